"""`inplace controller`: carries out InPlaceRollouts and label rules, until it is told to stop."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import msgspec

from inplace.cli.admin.gate import log_lines, resync_seconds
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import ExitCode
from inplace.cli.common.options import NAMESPACE, ParsedType, as_usage_error, connection_options
from inplace.cli.output.streams import note
from inplace.runtime.settings import Settings, parse_rule, parse_settings, validated


@click.command()
@click.option("-A", "--all-namespaces", is_flag=True, help="Serve every namespace.")
@click.option("--also", multiple=True, type=NAMESPACE, help="Also serve this namespace; may be repeated.")
@click.option("--config", metavar="FILE", help="Settings in YAML (docs/controller.md); flags win over them.")
@click.option("--lease-namespace", type=NAMESPACE, help="Namespace of the leader's Lease ($POD_NAMESPACE, or the context's).")
@click.option("--lease-name", metavar="NAME", help="Name of the leader's Lease (inplace-controller).")
@click.option("--workers", type=click.IntRange(1, 64), help="Rollouts reconciled at the same time (4).")
@click.option(
    "--gate-rule",
    "rules",
    multiple=True,
    type=ParsedType("rule", parse_rule),
    metavar="TYPE=LABEL[:closed]",
    help="Keep gate TYPE in line with LABEL (open without it, or :closed); repeatable (inplace.dev/ready=inplace.dev/serve).",
)
@click.option("--no-gate-rules", is_flag=True, help="Keep no gates.")
@click.option("--resync", type=ParsedType("duration", resync_seconds), help="Check all gates again this often (30s).")
@click.option("--listen", metavar="[HOST]:PORT", help="Address for /livez, /readyz and /metrics; empty: none (:8080).")
@click.option("--log-level", type=click.Choice(("debug", "info", "warning", "error")), help="The log level (info).")
@click.option("--log-format", type=click.Choice(("console", "json")), help="console on a terminal, else json.")
@connection_options
def controller(
    connect: Callable[[], ClusterContext],
    also: tuple[str, ...],
    config: str | None,
    log_format: str | None,
    **given: Any,
) -> ExitCode:
    """Run the controller: execute InPlaceRollouts, and keep readiness gates in line with labels.

    In one namespace, in several or in all. Of several processes with one Lease the one that holds it works, and the others
    stand by.

    \b
      inplace controller -A
      inplace controller -n shop --also stock
      inplace controller -n shop --gate-rule www.example.com/feature-1=example
    """
    settings = _settings(as_usage_error(_read, config) if config else Settings(), given)
    if settings.all_namespaces and also:
        raise click.UsageError("--also and all namespaces cannot be combined", click.get_current_context())
    cluster = connect()

    from inplace.runtime.controller.manager import build_manager, check_access
    from inplace.runtime.errors import RefusedError
    from inplace.runtime.foreground.session import identity

    here = cluster.namespace
    namespaces = () if settings.all_namespaces else tuple(dict.fromkeys((*(settings.namespaces or (here,)), *also)))
    lease_namespace = settings.leader_election.namespace or os.environ.get("POD_NAMESPACE") or here
    check_access(cluster.api, namespaces, lease_namespace)
    log_lines(log_format or ("console" if sys.stdout.isatty() else "json"), settings.log_level)
    try:
        backend = cluster.world.make_controller_backend()
        manager = build_manager(cluster.api, cluster.host, identity(), settings, namespaces, lease_namespace, backend)
    except OSError as error:
        raise RefusedError(f"cannot listen on {settings.listen}: {error.strerror or error}") from None
    if not settings.all_namespaces and not settings.namespaces:
        note(f"no namespace is named: this works in namespace {here}; -n names another, -A is for all")
    cluster.world.run_manager(manager)
    return ExitCode.DONE


def _read(path: str) -> Settings:
    """Raises ValueError with a line for a person."""
    try:
        return parse_settings(Path(path).read_bytes())
    except OSError as error:
        raise ValueError(f"{path}: {error.strerror}") from None
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from None


def _settings(file: Settings, given: dict[str, Any]) -> Settings:
    """Flags win over the file. Raises a usage error."""
    changes = {key: given[key] for key in ("workers", "listen", "log_level") if given[key] is not None}
    named = click.get_current_context().params.get("namespace")
    if given["all_namespaces"]:
        changes |= {"all_namespaces": True, "namespaces": None}
    elif named:
        changes |= {"all_namespaces": False, "namespaces": (named,)}
    if given["resync"] is not None:
        changes["resync_seconds"] = given["resync"]
    if given["rules"] or given["no_gate_rules"]:
        changes["gate_rules"] = () if given["no_gate_rules"] else given["rules"]
    if given["rules"] and given["no_gate_rules"]:
        raise click.UsageError("--gate-rule and --no-gate-rules cannot be combined", click.get_current_context())
    lease = {key: given[f"lease_{key}"] for key in ("namespace", "name") if given[f"lease_{key}"]}
    changes["leader_election"] = msgspec.structs.replace(file.leader_election, **lease)
    settings: Settings = as_usage_error(validated, msgspec.structs.replace(file, **changes))
    return settings
