"""`inplace plan`: shows what `upgrade` would do with the same arguments, and changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from inplace.cli.common.connection import connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.options import as_usage_error, output_option, run_options, selector_option, words_argument
from inplace.cli.common.sections import command, option
from inplace.cli.common.targets import parse_upgrade
from inplace.cli.running.dry_run import print_plan
from inplace.cli.running.new_run import new_run
from inplace.runtime.foreground.preview import preview_upgrade


@command()
@words_argument("TARGET CONTAINER=IMAGE...")
@selector_option
@run_options
@option("--exit-code", is_flag=True, section="Output", help="Exit with 1 if the upgrade would change anything.")
@output_option("json", "yaml", "wide")
@connection_options
def plan(
    connect: Callable[[], ClusterContext],
    words: tuple[str, ...],
    selector: str,
    overrides: dict[str, Any],
    exit_code: bool,
    output: str | None,
) -> int:
    """Show what an upgrade would do, and change nothing.

    Takes the arguments of `upgrade`. Lists the pods in the order in which they would be upgraded, with what would happen to
    each of them and why.

    If the target is locked, names the holder of the lock, but does not check that it is alive. As long as it is, `upgrade` is
    refused.

    Exit codes: 0 shown, even if the target is locked (with --exit-code: 1 if there is something to do), 2 usage, 5 the upgrade
    would be refused for a reason other than a lock.
    """
    target, images = as_usage_error(parse_upgrade, words, selector)
    cluster = connect()
    run = new_run(cluster, target, images, overrides)
    return print_plan(
        cluster, run, lambda view: preview_upgrade(view, run, overrides), output, rehearses=True, wants_exit_code=exit_code
    )
