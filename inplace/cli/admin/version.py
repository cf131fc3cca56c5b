"""`inplace version`: prints the version of inplace, and of the API server."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import msgspec

from inplace import __version__
from inplace.cli.common.connection import connection_options
from inplace.cli.common.options import output_option
from inplace.cli.common.sections import command, option
from inplace.cli.output import streams

if TYPE_CHECKING:
    from inplace.cli.common.context import ClusterContext


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """`server` is empty without --server-version."""

    client: str
    server: str = ""


@command()
@option("--server-version", is_flag=True, help="Also print the version of the API server.")
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

    response = msgspec.json.decode(cluster.api.raw(Request(method="GET", path="/version")).body)
    return str(response.get("gitVersion", "unknown")) if isinstance(response, dict) else "unknown"
