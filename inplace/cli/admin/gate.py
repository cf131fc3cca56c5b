"""`inplace gate`: readiness gates without upgrades. `gate run` is a controller that syncs one gate with a label."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from inplace.cli.common.connection import connection_options, note_namespace
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import ExitCode
from inplace.cli.common.options import ParsedType, as_usage_error, log_format_option
from inplace.cli.common.sections import SectionedCommand, option
from inplace.cli.common.targets import parse_target
from inplace.cli.output.streams import data, note
from inplace.engine.gate_rules import Default, GateRule, resync_period
from inplace.model.constants import DEFAULT_GATE, DEFAULT_LABEL
from inplace.model.durations import parse_duration
from inplace.model.validation import condition_type, qualified_name
from inplace.runtime.observability.health import listen_address

if TYPE_CHECKING:
    from inplace.kube.paging import ListOptions
    from inplace.runtime.gates.controller import GateController
    from inplace.runtime.lease.leader_election import LeaderElector


def address(text: str) -> str:
    if text:
        listen_address(text)
    return text


def resync_seconds(text: str) -> float:
    return resync_period(parse_duration(text))


@click.group()
def gate() -> None:
    """Sync readiness gates with pod labels, without the controller."""


@gate.command(cls=SectionedCommand)
@option("-A", "--all-namespaces", is_flag=True, section="Target", help="Sync the pods of all namespaces.")
@option(
    "-l", "--selector", default="", metavar="SELECTOR", section="Target", help="Sync only pods with these labels, as app=web."
)
@option(
    "--condition",
    metavar="TYPE",
    type=ParsedType("type", condition_type),
    default=DEFAULT_GATE,
    section="Gates",
    help=f"Condition type of the gate (default: {DEFAULT_GATE}).",
)
@option(
    "--label",
    metavar="KEY",
    type=ParsedType("key", qualified_name),
    default=DEFAULT_LABEL,
    section="Gates",
    help=f"Label that opens or closes the gate (default: {DEFAULT_LABEL}).",
)
@option(
    "--default",
    type=click.Choice(("open", "closed")),
    default="open",
    section="Gates",
    help="State of the gate if the label is missing or neither true nor false (default: open).",
)
@option(
    "--resync",
    type=ParsedType("duration", resync_seconds),
    default="30s",
    section="Gates",
    help="How often to check all pods again (default: 30s).",
)
@option(
    "--listen",
    metavar="[HOST]:PORT",
    type=ParsedType("address", address),
    default="",
    help="Address of /livez and /readyz (default: none).",
)
@log_format_option
@connection_options
def run(
    connect: Callable[[], ClusterContext],
    condition: str,
    label: str,
    default: Default,
    resync: float,
    all_namespaces: bool,
    listen: str,
    log_format: str | None,
    selector: str,
) -> ExitCode:
    """Sync one readiness gate of pods with a label, until stopped.

    For every pod that has TYPE among its readinessGates, label KEY `true` sets the condition to True, `false` sets it to False,
    and anything else to the state in --default. A gate that an upgrade or another hold keeps closed is not opened.

    A new pod with a gate stays out of service until its gate is opened, so keep this command running, or install
    deploy/gate.yaml or the controller. If several of these run for the same gate, one works. Its Lease shows `plan`, `upgrade`
    and `status` that it is alive.

    \b
      inplace gate run
      inplace gate run --condition www.example.com/feature-1 --label example
    """
    if selector:
        as_usage_error(parse_target, ["pods"], selector)
    cluster = connect()

    from inplace.kube.paging import ListOptions
    from inplace.runtime.gates.access import check_access

    scope = ListOptions(namespace=None if all_namespaces else cluster.namespace, label_selector=selector)
    if not all_namespaces:
        note_namespace(cluster, "syncing the gates of", "; use -A for all namespaces")
    check_access(cluster.api, scope)
    log_lines(log_format or ("console" if sys.stdout.isatty() else "json"))
    cluster.context.run_gate_controller(_gate_controller(cluster, GateRule(condition, label, default), scope, resync, listen))
    return ExitCode.DONE


def _gate_controller(cluster: ClusterContext, rule: GateRule, scope: ListOptions, resync: float, listen: str) -> GateController:
    """Raises `RefusedError` if it cannot listen on `listen`."""
    from inplace.runtime.caller import new_identity
    from inplace.runtime.errors import RefusedError
    from inplace.runtime.gates.access import leader_for
    from inplace.runtime.gates.controller import GateController
    from inplace.runtime.threads import SYSTEM_THREADS

    home = cluster.namespace if scope.namespace else os.environ.get("POD_NAMESPACE") or cluster.namespace
    backend = cluster.context.make_controller_backend()
    threads = backend.threads if backend is not None else SYSTEM_THREADS
    leader = _with_lease(cluster, leader_for(cluster.api, rule, scope, home, new_identity(), threads))
    try:
        return GateController(cluster.api, rule, scope, resync_seconds=resync, leader=leader, listen=listen, threads=threads)
    except OSError as error:
        raise RefusedError(f"cannot listen on {listen}: {error.strerror or error}") from None


def _with_lease(cluster: ClusterContext, leader: LeaderElector) -> LeaderElector | None:
    """Returns None if the user may not write the Lease: opening gates matters more than being seen to run."""
    from inplace.runtime.gates.access import missing_lease_permissions

    missing, (namespace, _) = missing_lease_permissions(cluster.api, leader), leader.lease_ref
    if not missing:
        return leader
    what = f"you may not {missing} in namespace {namespace}"
    note(f"warning: {what}, so `plan` and `status` cannot see this process, and will say that nobody opens these gates")
    return None


class _Lines:
    """A structlog logger that writes to `streams`: through the sanitiser, and without raising."""

    def msg(self, line: str) -> None:
        data(line)

    debug = info = warning = error = critical = msg


def log_lines(log_format: str, level: str = "info") -> None:
    """Configures structlog to print one line per event to stdout."""
    import structlog

    processors: dict[str, list[Any]] = {
        "console": [
            structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
            structlog.dev.ConsoleRenderer(colors=False, sort_keys=False, pad_event_to=14),
        ],
        "json": [
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
    }
    structlog.configure(
        processors=[structlog.processors.add_log_level, *processors[log_format]],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: _Lines(),
    )
