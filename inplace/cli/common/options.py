"""Options that several commands share, and the types that parse their values.

A wrong value is a usage error in the model's own words (exit code 2), before any request is sent.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click

from inplace.cli.common import completions
from inplace.cli.common.sections import option
from inplace.cli.common.targets import check_namespace
from inplace.kube.connection.config import check_server
from inplace.model.durations import parse_duration
from inplace.model.int_or_percent import parse_int_or_percent
from inplace.model.run import parse_steps
from inplace.model.validation import condition_type

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class ParsedType(click.ParamType[Any]):
    """A value that a function of the model parses; its ValueError becomes the usage error."""

    def __init__(self, name: str, parse: Callable[[str], Any]) -> None:
        self.name = name
        self._parse = parse

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return self._parse(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


def _budget(text: str) -> int | str:
    value = parse_int_or_percent(text)
    if value in (0, "0%"):
        raise ValueError("with 0 no pod could ever be restarted: allow at least 1")
    return value


def _timeout(text: str) -> float:
    seconds = parse_duration(text)
    if seconds <= 0:
        raise ValueError("must be more than 0: leave it out to wait as long as it takes")
    return seconds


DURATION = ParsedType("duration", parse_duration)
POSITIVE_DURATION = ParsedType("duration", _timeout)
STEPS = ParsedType("steps", parse_steps)
BUDGET = ParsedType("pods", _budget)
GATE = ParsedType("type", condition_type)
NAMESPACE = ParsedType("namespace", check_namespace)
SERVER = ParsedType("address", check_server)


def words_argument(metavar: str) -> Callable[[F], F]:
    """Adds what the command works on, unparsed: `targets` parses it."""
    return click.argument("words", nargs=-1, metavar=metavar, shell_complete=completions.words)


def selector_option(command: F) -> F:
    text = "Select bare pods by label: pods -l app=web."
    return option("-l", "--selector", default="", metavar="SELECTOR", section="Target", help=text)(command)


def controller_option(command: F) -> F:
    """Adds `--controller`: the controller in the cluster drives the run."""
    text = "Leave the run to the controller in the cluster, and follow it. Ctrl-C stops following."
    return option("--controller", "with_controller", is_flag=True, section="Execution", help=text)(command)


def quiet_option(command: F) -> F:
    text = "Print no progress, only warnings and the result."
    return option("-q", "--quiet", is_flag=True, section="Output", help=text)(command)


def timeout_option(command: F) -> F:
    """Adds `--timeout` to a command that drives a run."""
    text = "Stop after this time, once the pods in flight are done; exit code 3."
    return option("--timeout", type=POSITIVE_DURATION, section="Execution", help=text)(command)


def output_option(*formats: str) -> Callable[[F], F]:
    return option("-o", "--output", type=click.Choice(formats), section="Output", help="Output format.")


def dry_run_option(command: F) -> F:
    return option(
        "--dry-run",
        type=click.Choice(("none", "client", "server")),
        default="none",
        section="Execution",
        help="client: print the plan. server: also send one write of each kind to the API server, as a dry run.",
    )(command)


_RUN_OPTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "steps",
        "--steps",
        {
            "type": STEPS,
            "metavar": "LIST",
            "section": "Pace",
            "help": "Upgrade in steps, such as 10%,pause,50%,pause:10m,100% (default: 100%).",
        },
    ),
    (
        "max_unavailable",
        "--max-unavailable",
        {
            "type": BUDGET,
            "metavar": "N|N%",
            "section": "Pace",
            "help": "How many pods may be out of service at once (default: the workload's maxUnavailable, else 25%).",
        },
    ),
    (
        "settle_seconds",
        "--settle",
        {
            "type": DURATION,
            "section": "Pace",
            "help": "How long to wait between draining a pod and restarting it (default: 5s).",
        },
    ),
    (
        "min_ready_seconds",
        "--min-ready",
        {
            "type": DURATION,
            "section": "Pace",
            "help": "How long a pod must be ready to count as updated (default: the workload's minReadySeconds).",
        },
    ),
    (
        "drain_timeout_seconds",
        "--drain-timeout",
        {
            "type": POSITIVE_DURATION,
            "section": "Safety",
            "help": "A pod fails if EndpointSlices still send to it after this time (default: 60s).",
        },
    ),
    (
        "restart_timeout_seconds",
        "--restart-timeout",
        {
            "type": POSITIVE_DURATION,
            "section": "Safety",
            "help": "A pod fails if its new containers are not ready after this time (default: 5m).",
        },
    ),
    (
        "on_failure",
        "--on-failure",
        {
            "type": click.Choice(("pause", "rollback", "continue")),
            "section": "Safety",
            "help": "What to do when a pod fails (default: pause).",
        },
    ),
    (
        "max_failed",
        "--max-failed",
        {
            "type": click.IntRange(min=0),
            "metavar": "N",
            "section": "Safety",
            "help": "How many failed pods to tolerate before --on-failure applies (default: 0).",
        },
    ),
    (
        "gate",
        "--gate",
        {
            "type": GATE,
            "section": "Safety",
            "help": "Readiness gate that takes a pod out of service (default: inplace.dev/ready).",
        },
    ),
    (
        "without_gate",
        "--without-gate",
        {
            "is_flag": True,
            "section": "Safety",
            "help": "Also restart pods that lack the gate. They are not drained; only preStop protects their requests.",
        },
    ),
    (
        "accept_undrainable",
        "--accept-undrainable",
        {
            "multiple": True,
            "metavar": "SERVICE",
            "section": "Safety",
            "help": "Do not wait until this Service, which cannot be drained, stops sending; repeatable.",
        },
    ),
    (
        "allow_outage",
        "--allow-outage",
        {
            "is_flag": True,
            "section": "Safety",
            "help": "Also drain the last ready endpoint of a Service. Requests to the Service fail until the pod is back.",
        },
    ),
)


def run_options(command: F) -> F:
    """Adds the options of a run. Passes the command `overrides`: those fields of `RunOptions` that the user set."""

    @functools.wraps(command)
    def wrapped(**params: Any) -> Any:
        values = {field: params.pop(field) for field, _, _ in _RUN_OPTIONS}
        overrides = {field: value for field, value in values.items() if value is not False and value not in (None, ())}
        return command(overrides=overrides, **params)

    for field, flag, settings in reversed(_RUN_OPTIONS):
        option(flag, field, **settings)(wrapped)
    return wrapped  # type: ignore[return-value]


def as_usage_error(call: Callable[..., T], *args: Any) -> T:
    """Calls `call` with what the user wrote. Raises a usage error in place of its ValueError."""
    try:
        return call(*args)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


def driving_options(command: F) -> F:
    """Adds everything that a command takes which drives a new run: the options of the run, of its execution and its output."""
    with_output = output_option("json")(quiet_option(command))
    return run_options(timeout_option(dry_run_option(controller_option(with_output))))


def log_format_option(command: F) -> F:
    return option(
        "--log-format",
        type=click.Choice(("console", "json")),
        section="Output",
        help="Log format (default: console on a terminal, else json).",
    )(command)
