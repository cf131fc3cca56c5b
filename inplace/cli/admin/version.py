"""`inplace version`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import msgspec

from inplace import __version__
from inplace.cli.common.options import connection_options, output_option
from inplace.cli.output import streams

if TYPE_CHECKING:
    from inplace.cli.common.context import ClusterContext


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """`server`: with --server-version alone."""

    client: str
    server: str = ""


@click.command()
@click.option("--server-version", is_flag=True, help="Also ask the API server for its version.")
@output_option("json")
@connection_options
def version(connect: Callable[[], ClusterContext], server_version: bool, output: str | None) -> None:
    """Print the version."""
    server = _server(connect()) if server_version else ""
    if output == "json":
        streams.as_json(Version(__version__, server))
        return
    streams.data(f"inplace {__version__}")
    if server:
        streams.data(f"server {server}")


def _server(cluster: ClusterContext) -> str:
    """Raises `ApiError`."""
    from inplace.kube.protocols import Request

    answer = msgspec.json.decode(cluster.api.raw(Request(method="GET", path="/version")).body)
    return str(answer.get("gitVersion", "unknown")) if isinstance(answer, dict) else "unknown"
