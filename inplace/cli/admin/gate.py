"""`inplace gate`: readiness gates by themselves. `run` is the controller that keeps one condition true to a label."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import ExitCode
from inplace.cli.common.options import ParsedType, as_usage_error, connection_options, selector_option, tell_namespace
from inplace.cli.common.targets import parse_target
from inplace.cli.output.streams import data, note
from inplace.engine.gate_rules import Default, GateRule, resync_period
from inplace.model.constants import DEFAULT_GATE, DEFAULT_LABEL
from inplace.model.durations import parse_duration
from inplace.model.validation import condition_type, qualified_name
from inplace.runtime.observability.health import listen_address

if TYPE_CHECKING:
    from inplace.runtime.lease.leader_election import LeaderElector


def address(text: str) -> str:
    if text:
        listen_address(text)
    return text


def resync_seconds(text: str) -> float:
    return resync_period(parse_duration(text))


@click.group()
def gate() -> None:
    """Work with the readiness gate by hand, or keep it open on new pods."""


@gate.command()
@click.option("--condition", metavar="TYPE", type=ParsedType("type", condition_type), default=DEFAULT_GATE, show_default=True)
@click.option("--label", metavar="KEY", type=ParsedType("key", qualified_name), default=DEFAULT_LABEL, show_default=True)
@click.option(
    "--default",
    type=click.Choice(("open", "closed")),
    default="open",
    show_default=True,
    help="What a pod without the label gets, or with any other value.",
)
@click.option(
    "--resync",
    type=ParsedType("duration", resync_seconds),
    default="30s",
    show_default=True,
    help="Check all pods again this often.",
)
@click.option("-A", "--all-namespaces", is_flag=True, help="The pods of every namespace.")
@click.option(
    "--listen", metavar="[HOST]:PORT", type=ParsedType("address", address), default="", help="For /livez and /readyz."
)
@click.option("--log-format", type=click.Choice(("console", "json")), help="console on a terminal, else json.")
@selector_option
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
    """Keep one readiness gate of pods in line with a label, until stopped.

    Of every pod with TYPE among its readinessGates: label KEY `true` sets the condition True, `false` sets it False, and
    anything else means --default. While an upgrade or another hold keeps a gate closed it is not opened.

    A new pod with a gate stays out of service until somebody opens it, so keep this running, or install deploy/gate.yaml or the
    controller. `plan`, `upgrade` and `status` see by its Lease that it lives; of several for the same gate one works.

    \b
      inplace gate run
      inplace gate run --condition www.example.com/feature-1 --label example
    """
    if selector:
        as_usage_error(parse_target, ["pods"], selector)
    cluster = connect()

    from inplace.kube.paging import ListOptions
    from inplace.runtime.errors import RefusedError
    from inplace.runtime.foreground.session import identity
    from inplace.runtime.gates.reconciler import GateController, check_access, leader_for
    from inplace.runtime.threads import SYSTEM_THREADS

    scope = ListOptions(namespace=None if all_namespaces else cluster.namespace, label_selector=selector)
    if not all_namespaces:
        tell_namespace(cluster, "keeping the gates of", "; -A is for all namespaces")
    check_access(cluster.api, scope)
    rule = GateRule(condition, label, default)
    log_lines(log_format or ("console" if sys.stdout.isatty() else "json"))
    home = os.environ.get("POD_NAMESPACE") or cluster.namespace if all_namespaces else cluster.namespace
    backend = cluster.world.make_controller_backend()
    threads = backend.threads if backend is not None else SYSTEM_THREADS
    leader = _seen(cluster, leader_for(cluster.api, rule, scope, home, identity(), threads))
    try:
        controller = GateController(
            cluster.api, rule, scope, resync_seconds=resync, leader=leader, listen=listen, threads=threads
        )
    except OSError as error:
        raise RefusedError(f"cannot listen on {listen}: {error.strerror or error}") from None
    cluster.world.keep_gates(controller)
    return ExitCode.DONE


def _seen(cluster: ClusterContext, leader: LeaderElector) -> LeaderElector | None:
    """Open gates count more than to be seen: without the rights to a Lease it works all the same."""
    from inplace.runtime.gates.reconciler import missing_for_lease

    missing, (namespace, _) = missing_for_lease(cluster.api, leader), leader.lease_ref
    if not missing:
        return leader
    what = f"you may not {missing} in namespace {namespace}"
    note(f"warning: {what}, so nobody can see that this runs: `plan` and `status` will say that nobody opens these gates")
    return None


class _Lines:
    """A structlog logger that writes as everything else here does: through the sanitiser, never raising."""

    def msg(self, line: str) -> None:
        data(line)

    debug = info = warning = error = critical = msg


def log_lines(log_format: str, level: str = "info") -> None:
    """The log of a controller goes to stdout, a line for each thing that happened."""
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
