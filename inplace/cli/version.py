"""`inplace version`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import click
import msgspec

from inplace import __version__
from inplace.cli import out
from inplace.cli.options import connected, output_option

if TYPE_CHECKING:
    from inplace.cli.world import Cluster


class Version(msgspec.Struct, frozen=True, omit_defaults=True):
    """`server`: with --server-version alone."""

    client: str
    server: str = ""


@click.command()
@click.option("--server-version", is_flag=True, help="Also ask the API server for its version.")
@output_option("json")
@connected
def version(connect: Callable[[], Cluster], server_version: bool, output: str | None) -> None:
    """Print the version."""
    server = _server(connect()) if server_version else ""
    if output == "json":
        out.as_json(Version(__version__, server))
        return
    out.data(f"inplace {__version__}")
    if server:
        out.data(f"server {server}")


def _server(cluster: Cluster) -> str:
    """Raises `ApiError`."""
    from inplace.kube.seam import Request

    answer = msgspec.json.decode(cluster.api.raw(Request(method="GET", path="/version")).body)
    return str(answer.get("gitVersion", "unknown")) if isinstance(answer, dict) else "unknown"
