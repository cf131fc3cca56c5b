"""The connection flags, which every command that needs a cluster has, and the `ClusterContext` that they name."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import click
import msgspec
from click.core import ParameterSource

from inplace.cli.common import completions
from inplace.cli.common.context import CliContext, ClusterContext
from inplace.cli.common.options import NAMESPACE, POSITIVE_DURATION, SERVER, F, as_usage_error
from inplace.cli.common.sections import option
from inplace.cli.common.targets import parse_target
from inplace.cli.output import streams
from inplace.kube.connection.config import ConnectOptions
from inplace.model.refs import TargetRef

CONNECTION_OPTIONS: tuple[tuple[str, tuple[str, ...], dict[str, Any]], ...] = (
    (
        "namespace",
        ("-n", "--namespace"),
        {"type": NAMESPACE, "shell_complete": completions.namespaces, "help": "Namespace (default: that of the context)."},
    ),
    ("context", ("--context",), {"metavar": "NAME", "shell_complete": completions.contexts, "help": "Kubeconfig context."}),
    (
        "kubeconfig",
        ("--kubeconfig",),
        {"metavar": "FILE", "help": "Kubeconfig file (default: $KUBECONFIG, else ~/.kube/config)."},
    ),
    ("cluster", ("--cluster",), {"metavar": "NAME", "help": "Kubeconfig cluster."}),
    ("user", ("--user",), {"metavar": "NAME", "help": "Kubeconfig user."}),
    ("server", ("-s", "--server"), {"type": SERVER, "metavar": "URL", "help": "Address of the API server."}),
    (
        "token",
        ("--token",),
        {"metavar": "TOKEN", "help": "Bearer token. Other users of this machine can see it: prefer a kubeconfig."},
    ),
    ("as_user", ("--as",), {"metavar": "USER", "help": "User to impersonate."}),
    ("as_groups", ("--as-group",), {"metavar": "GROUP", "multiple": True, "help": "Group to impersonate; repeatable."}),
    (
        "request_timeout_seconds",
        ("--request-timeout",),
        {"type": POSITIVE_DURATION, "help": "Timeout of a single request (default: 30s)."},
    ),
    (
        "insecure_skip_tls_verify",
        ("--insecure-skip-tls-verify",),
        {"is_flag": True, "help": "Do not verify the server's certificate."},
    ),
    (
        "certificate_authority",
        ("--certificate-authority",),
        {"metavar": "FILE", "help": "CA certificate that the server's certificate must be signed by."},
    ),
    (
        "qps",
        ("--qps",),
        {"type": click.FloatRange(min=0, min_open=True), "metavar": "N", "help": "Requests per second at most (default: 20)."},
    ),
    (
        "burst",
        ("--burst",),
        {"type": click.IntRange(min=1), "metavar": "N", "help": "Requests in one burst at most (default: 40)."},
    ),
)


def connection_options(command: F) -> F:
    """Adds the connection flags. Passes the command `connect`, which opens a `ClusterContext` and sends no request yet."""

    @functools.wraps(command)
    def wrapped(**params: Any) -> Any:
        connection = {field: params.pop(field) for field, _, _ in CONNECTION_OPTIONS}
        return command(connect=functools.partial(open_cluster, click.get_current_context(), connection), **params)

    for field, flags, settings in reversed(CONNECTION_OPTIONS):
        option(*flags, field, section="Connection", **settings)(wrapped)
    option(
        "--debug", is_flag=True, expose_value=False, is_eager=True, callback=_debug, section="Output", help="Print tracebacks."
    )(wrapped)
    return wrapped  # type: ignore[return-value]


def _debug(ctx: click.Context, _param: click.Parameter, value: bool) -> None:
    context = ctx.find_object(CliContext)
    if context is not None and value:
        context.is_debugging = True


def open_cluster(ctx: click.Context, params: dict[str, Any]) -> ClusterContext:
    """Returns the cluster that the connection flags in `params` name; sends no request yet. Raises `ConfigError`."""
    from inplace.kube.api import ApiClient
    from inplace.kube.limiter import RateLimiter

    context = ctx.find_object(CliContext)
    assert context is not None
    settings = {field: params[field] for field, _, _ in CONNECTION_OPTIONS if params.get(field) not in (None, (), False)}
    options, flags = ConnectOptions(**settings), _flags(settings)
    context.flags = flags
    connection, clock = context.connect(options), context.make_clock()
    limiter = RateLimiter(clock, options.qps, options.burst)
    api = ApiClient(
        transport=connection.transport, clock=clock, limiter=limiter, timeout_seconds=options.request_timeout_seconds
    )
    return ClusterContext(api, connection.namespace, connection.host, flags, context)


def connect_target(
    connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str
) -> tuple[ClusterContext, TargetRef]:
    """Returns the cluster and the target with its namespace. Raises a usage error, before any request is sent."""
    target = as_usage_error(parse_target, words, selector)
    cluster = connect()
    return cluster, msgspec.structs.replace(target, namespace=cluster.namespace)


def _flags(settings: dict[str, Any]) -> tuple[str, ...]:
    """Returns the flags that name the cluster and the user, to repeat in commands that we propose; never the token."""
    shown: list[str] = []
    for field, flags, details in CONNECTION_OPTIONS:
        if field not in settings or field in ("namespace", "token", "request_timeout_seconds", "qps", "burst"):
            continue
        values = settings[field] if details.get("multiple") else (settings[field],)
        for value in values:
            shown += [flags[-1]] if details.get("is_flag") else [flags[-1], str(value)]
    return tuple(shown)


def is_on_command_line(parameter: str) -> bool:
    """True if the user passed this parameter to the running command."""
    return click.get_current_context().get_parameter_source(parameter) is ParameterSource.COMMANDLINE


def note_namespace(cluster: ClusterContext, what: str, hint: str = "") -> None:
    """Prints which namespace the command works in, unless the user named one with -n."""
    if not is_on_command_line("namespace"):
        streams.note(f"no -n given: {what} namespace {cluster.namespace} of the context{hint}")
