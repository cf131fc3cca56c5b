"""Options that several commands share, and the types that turn what a person wrote into values of the model.

Everything wrong is a usage error in the model's own words (exit code 2), before any cluster is asked.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, TypeVar

import click
import msgspec
from click.core import ParameterSource

from inplace.cli.common import completions
from inplace.cli.common.context import CliContext, ClusterContext
from inplace.cli.common.targets import check_namespace
from inplace.cli.output import streams
from inplace.kube.connection.config import ConnectOptions, check_server
from inplace.model.durations import parse_duration
from inplace.model.int_or_percent import parse_int_or_percent
from inplace.model.run import RunOptions, parse_steps
from inplace.model.validation import condition_type

F = TypeVar("F", bound=Callable[..., Any])
T = TypeVar("T")


class ParsedType(click.ParamType[Any]):
    """A value that a function of the model understands: its ValueError is the usage error."""

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

CONNECTION_OPTIONS: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    (
        "namespace",
        ("-n", "--namespace"),
        {"type": NAMESPACE, "shell_complete": completions.namespaces, "help": "The namespace (the context's own)."},
    ),
    ("context", ("--context",), {"shell_complete": completions.contexts, "help": "The kubeconfig context to use."}),
    ("kubeconfig", ("--kubeconfig",), {"metavar": "FILE", "help": "The kubeconfig file; else $KUBECONFIG or ~/.kube/config."}),
    ("cluster", ("--cluster",), {"help": "The kubeconfig cluster to use."}),
    ("user", ("--user",), {"help": "The kubeconfig user to use."}),
    ("server", ("-s", "--server"), {"type": SERVER, "metavar": "URL", "help": "The API server's address."}),
    ("token", ("--token",), {"help": "A bearer token (others on this machine can see it; prefer a kubeconfig)."}),
    ("as_user", ("--as",), {"metavar": "USER", "help": "Impersonate this user."}),
    ("as_groups", ("--as-group",), {"metavar": "GROUP", "multiple": True, "help": "Impersonate this group; may be repeated."}),
    ("request_timeout_seconds", ("--request-timeout",), {"type": POSITIVE_DURATION, "help": "Timeout of one request (30s)."}),
    ("insecure_skip_tls_verify", ("--insecure-skip-tls-verify",), {"is_flag": True, "help": "Trust any certificate."}),
    ("certificate_authority", ("--certificate-authority",), {"metavar": "FILE", "help": "Trust certificates signed by this."}),
    ("qps", ("--qps",), {"type": click.FloatRange(min=0, min_open=True), "help": "Requests per second, at most (20)."}),
    ("burst", ("--burst",), {"type": click.IntRange(min=1), "help": "Requests at once, at most (40)."}),
)


def connection_options(command: F) -> F:
    """Adds the connection flags; the command is called with `connect`, which opens a `Cluster` and sends nothing yet."""

    @functools.wraps(command)
    def wrapped(**given: Any) -> Any:
        named = {field: given.pop(field) for field, _, _ in CONNECTION_OPTIONS}
        return command(connect=functools.partial(cluster_of, click.get_current_context(), named), **given)

    for field, flags, settings in reversed(CONNECTION_OPTIONS):
        click.option(*flags, field, **settings)(wrapped)
    click.option("--debug", is_flag=True, expose_value=False, is_eager=True, callback=_debug, help="Show tracebacks.")(wrapped)
    return wrapped  # type: ignore[return-value]


def _debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    world = ctx.find_object(CliContext)
    if world is not None and value:
        world.is_debugging = True


def cluster_of(ctx: click.Context, params: dict[str, Any]) -> ClusterContext:
    """What the connection flags among the parameters name; sends nothing yet. Raises `ConfigError`."""
    from inplace.kube.api import ApiClient
    from inplace.kube.limiter import RateLimiter

    world = ctx.find_object(CliContext)
    assert world is not None
    given = {field: params[field] for field, _, _ in CONNECTION_OPTIONS if params.get(field) not in (None, (), False)}
    options, flags = ConnectOptions(**given), _flags_of(given)
    world.flags = flags
    connection, clock = world.connect(options), world.make_clock()
    limiter = RateLimiter(clock, options.qps, options.burst)
    api = ApiClient(
        transport=connection.transport, clock=clock, limiter=limiter, timeout_seconds=options.request_timeout_seconds
    )
    return ClusterContext(api, connection.namespace, connection.host, flags, world)


def _flags_of(named: dict[str, Any]) -> tuple[str, ...]:
    """The flags that say which cluster and as whom, to be repeated in commands that we propose; never the token."""
    shown: list[str] = []
    for field, flags, settings in CONNECTION_OPTIONS:
        if field not in named or field in ("namespace", "token", "request_timeout_seconds", "qps", "burst"):
            continue
        values = named[field] if settings.get("multiple") else (named[field],)
        for value in values:
            shown += [flags[-1]] if settings.get("is_flag") else [flags[-1], str(value)]
    return tuple(shown)


def is_given(parameter: str) -> bool:
    """Whether the person has named it, on the command line of the command that is under way."""
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def tell_namespace(cluster: ClusterContext, what: str, otherwise: str = "") -> None:
    """What is done in a namespace that nobody has named."""
    if not is_given("namespace"):
        streams.note(f"no -n is given: {what} namespace {cluster.namespace}, which the context says{otherwise}")


def words_argument(metavar: str) -> Callable[[F], F]:
    """What a command works on, as a person writes it; judged by `targets`."""
    return click.argument("words", nargs=-1, metavar=metavar, shell_complete=completions.words)


def selector_option(command: F) -> F:
    return click.option("-l", "--selector", default="", help="Pods with these labels: pods -l app=web.")(command)


def controller_option(command: F) -> F:
    """`--controller`: whether the controller in the cluster carries it out."""
    text = "Let the controller in the cluster do the run, and follow it; Ctrl-C detaches."
    return click.option("--controller", "with_controller", is_flag=True, help=text)(command)


def quiet_option(command: F) -> F:
    return click.option("-q", "--quiet", is_flag=True, help="No progress, only warnings and the result.")(command)


def timeout_option(command: F) -> F:
    """Of a command that drives a run."""
    text = "Stop gracefully after this time; exit code 3."
    return click.option("--timeout", type=POSITIVE_DURATION, help=text)(command)


def output_option(*formats: str) -> Callable[[F], F]:
    return click.option("-o", "--output", type=click.Choice(formats), help="Output format.")


def dry_run_option(command: F) -> F:
    return click.option(
        "--dry-run",
        type=click.Choice(("none", "client", "server")),
        default="none",
        help="client: like `plan`; server: also send each kind of write as a server dry run.",
    )(command)


_RUN_OPTIONS: tuple[tuple[str, str, dict[str, Any]], ...] = (
    (
        "steps",
        "--steps",
        {"type": STEPS, "metavar": "LIST", "help": "Steps, such as 10%,pause,50%,pause:10m,100% (100%)."},
    ),
    (
        "max_unavailable",
        "--max-unavailable",
        {"type": BUDGET, "metavar": "N|N%", "help": "Pods out of service at once (the workload's own, else 25%)."},
    ),
    ("settle_seconds", "--settle", {"type": DURATION, "help": "Wait after a pod is drained, before its restart (5s)."}),
    (
        "drain_timeout_seconds",
        "--drain-timeout",
        {"type": POSITIVE_DURATION, "help": "Timeout for EndpointSlices to drop a pod (60s)."},
    ),
    ("restart_timeout_seconds", "--restart-timeout", {"type": POSITIVE_DURATION, "help": "From the new image to Ready (5m)."}),
    ("min_ready_seconds", "--min-ready", {"type": DURATION, "help": "Ready this long counts as updated (minReadySeconds)."}),
    ("gate", "--gate", {"type": GATE, "help": "The readiness gate to close and open (inplace.dev/ready)."}),
    (
        "on_failure",
        "--on-failure",
        {"type": click.Choice(("pause", "rollback", "continue")), "help": "What to do when a pod fails (pause)."},
    ),
    (
        "max_failed",
        "--max-failed",
        {"type": click.IntRange(min=0), "metavar": "N", "help": "Failed pods tolerated before --on-failure applies (0)."},
    ),
    (
        "accept_undrainable",
        "--accept-undrainable",
        {"multiple": True, "metavar": "SERVICE", "help": "Do not wait for this Service; may be repeated."},
    ),
    (
        "without_gate",
        "--without-gate",
        {"is_flag": True, "help": "Also restart pods without the gate: not drained, protected by preStop alone."},
    ),
    (
        "allow_outage",
        "--allow-outage",
        {"is_flag": True, "help": "Also drain the last ready endpoint of a Service: its requests fail meanwhile."},
    ),
)


def run_options(command: F) -> F:
    """Adds how to go about a run; the command is called with `given`, exactly the fields of `Options` that were named."""

    @functools.wraps(command)
    def wrapped(**named: Any) -> Any:
        values = {field: named.pop(field) for field, _, _ in _RUN_OPTIONS}
        given = {field: value for field, value in values.items() if value is not False and value not in (None, ())}
        return command(given=given, **named)

    for field, flag, settings in reversed(_RUN_OPTIONS):
        click.option(flag, field, **settings)(wrapped)
    return wrapped  # type: ignore[return-value]


def as_usage_error(call: Callable[..., T], *args: Any) -> T:
    """What `call` makes of what the person wrote; its ValueError is a usage error."""
    try:
        return call(*args)
    except ValueError as error:
        raise click.UsageError(str(error), click.get_current_context()) from None


def with_defaults(given: dict[str, Any]) -> RunOptions:
    return msgspec.structs.replace(RunOptions(), **given)
