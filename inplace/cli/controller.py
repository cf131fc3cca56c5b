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
@click.option("--lease-namespace", metavar="NAMESPACE", default="", help="Of the leader's Lease; else the first one worked in.")
@click.option("--lease-name", metavar="NAME", default="inplace-controller", show_default=True, help="Of the leader's Lease.")
@click.option("--log-format", type=click.Choice(("console", "json")), help="console on a terminal, else json.")
@connected
def controller(
    connect: Callable[[], Cluster],
    all_namespaces: bool,
    also: tuple[str, ...],
    lease_namespace: str,
    lease_name: str,
    log_format: str | None,
) -> Code:
    """Carry out InPlaceRollouts, until told to stop.

    Those of one namespace, of several or of all. Of several processes with one Lease the one that holds it works, and the
    others stand by.

    \b
      inplace controller -A
      inplace controller -n shop --also stock
    """
    cluster = connect()

    from inplace.runtime.controller import Controller, Unwatched
    from inplace.runtime.election import Leader
    from inplace.runtime.lock import LeaderRef
    from inplace.runtime.manager import Manager
    from inplace.runtime.session import identity

    log_lines(log_format or ("console" if sys.stdout.isatty() else "json"))
    namespaces = () if all_namespaces else (cluster.namespace, *also)
    leader = Leader(cluster.api, lease_namespace or cluster.namespace, lease_name, identity())
    ref = LeaderRef(*leader.lease_ref, leader.identity)
    manager = Manager(Controller(cluster.api, namespaces, ref, leader, Unwatched()), leader)
    cluster.world.run_manager(manager)
    return Code.DONE
