"""`inplace controller`: carries out InPlaceRollouts and gate rules, until a signal comes."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from inplace.cli.admin.gate import log_lines, resync_seconds
from inplace.cli.common.connection import connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import ExitCode
from inplace.cli.common.options import NAMESPACE, ParsedType, as_usage_error, log_format_option
from inplace.cli.common.sections import command, option
from inplace.cli.output.streams import note
from inplace.runtime.settings import Settings, parse_rule, parse_settings, validated


@command()
@option("-A", "--all-namespaces", is_flag=True, section="Target", help="Serve all namespaces.")
@option("--also", multiple=True, type=NAMESPACE, section="Target", help="Also serve this namespace; repeatable.")
@option("--config", metavar="FILE", help="Settings in YAML (docs/controller.md); flags override them.")
@option("--workers", type=click.IntRange(1, 64), metavar="N", help="Concurrent reconciles (default: 4).")
@option("--listen", metavar="[HOST]:PORT", help="Address of /livez, /readyz and /metrics; empty for none (default: :8080).")
@option(
    "--lease-namespace",
    type=NAMESPACE,
    section="Leader election",
    help="Namespace of the leader's Lease (default: $POD_NAMESPACE, else that of the context).",
)
@option(
    "--lease-name",
    metavar="NAME",
    section="Leader election",
    help="Name of the leader's Lease (default: inplace-controller).",
)
@option(
    "--gate-rule",
    "rules",
    multiple=True,
    type=ParsedType("rule", parse_rule),
    metavar="TYPE=LABEL[:closed]",
    section="Gates",
    help="Sync gate TYPE of pods with LABEL. Pods without the label are open, or closed with :closed. Repeatable "
    "(default: inplace.dev/ready=inplace.dev/serve).",
)
@option("--no-gate-rules", is_flag=True, section="Gates", help="Sync no gates.")
@option(
    "--resync",
    type=ParsedType("duration", resync_seconds),
    section="Gates",
    help="How often to check all gates again (default: 30s).",
)
@option(
    "--log-level",
    type=click.Choice(("debug", "info", "warning", "error")),
    section="Output",
    help="Log level (default: info).",
)
@log_format_option
@connection_options
def controller(
    connect: Callable[[], ClusterContext],
    also: tuple[str, ...],
    config: str | None,
    log_format: str | None,
    **flags: Any,
) -> ExitCode:
    """Run the controller: carry out InPlaceRollouts, and sync readiness gates with pod labels.

    Serves one namespace, several, or all. If several replicas share a Lease, the one that holds it works, and the others stand
    by.

    \b
      inplace controller -A
      inplace controller -n shop --also stock
      inplace controller -n shop --gate-rule www.example.com/feature-1=example
    """
    settings = _settings(as_usage_error(_read, config) if config else Settings(), flags)
    if settings.all_namespaces and also:
        raise click.UsageError("--also and all namespaces cannot be combined", click.get_current_context())
    cluster = connect()

    from inplace.runtime.caller import new_identity
    from inplace.runtime.controller.manager import build_manager, check_access
    from inplace.runtime.errors import RefusedError

    own_namespace = cluster.namespace
    namespaces = () if settings.all_namespaces else tuple(dict.fromkeys((*(settings.namespaces or (own_namespace,)), *also)))
    lease_namespace = settings.leader_election.namespace or os.environ.get("POD_NAMESPACE") or own_namespace
    check_access(cluster.api, namespaces, lease_namespace)
    log_lines(log_format or ("console" if sys.stdout.isatty() else "json"), settings.log_level)
    try:
        backend = cluster.context.make_controller_backend()
        manager = build_manager(cluster.api, cluster.host, new_identity(), settings, namespaces, lease_namespace, backend)
    except OSError as error:
        raise RefusedError(f"cannot listen on {settings.listen}: {error.strerror or error}") from None
    if not settings.all_namespaces and not settings.namespaces:
        note(f"no namespace is given: serving namespace {own_namespace}; use -n for another, -A for all")
    cluster.context.run_manager(manager)
    return ExitCode.DONE


def _read(path: str) -> Settings:
    """Reads the settings file. Raises ValueError with one line for a person."""
    try:
        return parse_settings(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _settings(file: Settings, flags: dict[str, Any]) -> Settings:
    """Merges the flags into the settings of the file; flags win. Raises a usage error."""
    changes = {key: flags[key] for key in ("workers", "listen", "log_level") if flags[key] is not None}
    named = click.get_current_context().params.get("namespace")
    if flags["all_namespaces"]:
        changes |= {"all_namespaces": True, "namespaces": None}
    elif named:
        changes |= {"all_namespaces": False, "namespaces": (named,)}
    if flags["resync"] is not None:
        changes["resync_seconds"] = flags["resync"]
    if flags["rules"] or flags["no_gate_rules"]:
        changes["gate_rules"] = () if flags["no_gate_rules"] else flags["rules"]
    if flags["rules"] and flags["no_gate_rules"]:
        raise click.UsageError("--gate-rule and --no-gate-rules cannot be combined", click.get_current_context())
    lease = {key: flags[f"lease_{key}"] for key in ("namespace", "name") if flags[f"lease_{key}"]}
    changes["leader_election"] = msgspec.structs.replace(file.leader_election, **lease)
    settings: Settings = as_usage_error(validated, msgspec.structs.replace(file, **changes))
    return settings
