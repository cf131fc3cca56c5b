"""`inplace controller`: carries out InPlaceRollouts, until it is told to stop."""

from __future__ import annotations

import sys
from collections.abc import Callable

import click

from inplace.cli.exits import Code
from inplace.cli.gate import log_lines
from inplace.cli.options import connected
from inplace.cli.world import Cluster


@click.command()
@click.option("-A", "--all-namespaces", is_flag=True, help="The rollouts of every namespace.")
@click.option("--also", multiple=True, metavar="NAMESPACE", help="One more namespace; may be repeated.")
@click.option("--leader-elect/--no-leader-elect", default=False, show_default=True, help="One of several processes works.")
@click.option("--log-format", type=click.Choice(("console", "json")), help="console on a terminal, else json.")
@connected
def controller(
    connect: Callable[[], Cluster], all_namespaces: bool, also: tuple[str, ...], leader_elect: bool, log_format: str | None
) -> Code:
    """Carry out InPlaceRollouts, until told to stop.

    Those of one namespace, of several or of all.

    \b
      inplace controller -A
      inplace controller -n shop --also stock
    """
    assert not leader_elect
    cluster = connect()

    from inplace.runtime.controller import Controller, Unwatched
    from inplace.runtime.lock import LeaderRef
    from inplace.runtime.manager import Alone, Manager
    from inplace.runtime.session import identity

    log_lines(log_format or ("console" if sys.stdout.isatty() else "json"))
    namespaces = () if all_namespaces else (cluster.namespace, *also)
    leader = LeaderRef(cluster.namespace, "inplace-controller", identity())
    manager = Manager(Controller(cluster.api, namespaces, leader, Alone(), Unwatched()), Alone())
    cluster.world.run_manager(manager)
    return Code.DONE
