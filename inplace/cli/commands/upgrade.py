"""`inplace upgrade`: upgrades the images of one target's running pods, to the end."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from inplace.cli.common.connection import connection_options
from inplace.cli.common.context import CliContext, ClusterContext
from inplace.cli.common.options import as_usage_error, driving_options, selector_option, words_argument
from inplace.cli.common.sections import command
from inplace.cli.common.targets import parse_upgrade
from inplace.cli.running.foreground import ForegroundOptions, run_foreground
from inplace.cli.running.new_run import new_run

EXAMPLES = """\
\b
  inplace upgrade deploy/web app=registry/app:1.5
  inplace upgrade deploy/web app=registry/app:1.5 --steps 10%,pause,100%
  inplace upgrade sts/db
  inplace upgrade pods -l app=game app=registry/game:7 --max-unavailable 1
"""


@command(epilog=EXAMPLES)
@words_argument("TARGET CONTAINER=IMAGE...")
@selector_option
@driving_options
@connection_options
@click.pass_obj
def upgrade(
    context: CliContext,
    connect: Callable[[], ClusterContext],
    words: tuple[str, ...],
    selector: str,
    overrides: dict[str, Any],
    timeout: float | None,
    dry_run: str,
    with_controller: bool,
    output: str | None,
    quiet: bool,
) -> int:
    """Upgrade the images of running pods without recreating them.

    TARGET is deploy/NAME, sts/NAME, ds/NAME, rs/NAME, pod/NAME..., or pods -l SELECTOR. Without images, the pods get the images
    of their template, if that was changed while the workload was paused, partitioned or OnDelete.

    Ctrl-C finishes the pods in flight and stops; a second Ctrl-C quits at once. The same command resumes the run; `inplace
    abort` and `inplace undo` roll it back.

    Exit codes: 0 done, 1 failed, 2 usage, 3 timed out, 4 paused or aborted, 5 refused before any write, 130 interrupted.
    """
    target, images = as_usage_error(parse_upgrade, words, selector)
    cluster = connect()
    run = new_run(cluster, target, images, overrides)
    if dry_run != "none":
        from inplace.cli.running.dry_run import print_plan
        from inplace.runtime.foreground.preview import preview_upgrade

        return print_plan(
            cluster,
            run,
            lambda view: preview_upgrade(view, run, overrides),
            output,
            is_dry=True,
            on_server=dry_run == "server",
            by_controller=with_controller,
        )
    options = ForegroundOptions(
        is_json=output == "json", is_quiet=quiet, timeout_seconds=timeout, again=context.same_command(), follows=with_controller
    )
    if with_controller:
        from inplace.cli.running.via_controller import run_via_controller

        return run_via_controller(cluster, run, options)
    return run_foreground(cluster, run.target, lambda session, on_frame: session.upgrade(run, overrides, on_frame), options)
