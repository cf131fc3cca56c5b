"""`inplace upgrade`: the images of running pods, one target at a time, to the end."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from typing import Any

import click
import msgspec

from inplace.cli.common.context import CliContext, ClusterContext
from inplace.cli.common.options import (
    as_usage_error,
    connection_options,
    controller_option,
    dry_run_option,
    output_option,
    quiet_option,
    run_options,
    selector_option,
    timeout_option,
    with_defaults,
    words_argument,
)
from inplace.cli.common.targets import parse_arguments
from inplace.cli.running.foreground import ForegroundOptions, run_foreground
from inplace.kube.clock import format_time
from inplace.model.refs import TargetRef
from inplace.model.run import Run

EXAMPLES = """\
\b
  inplace upgrade deploy/web app=registry/app:1.5
  inplace upgrade deploy/web app=registry/app:1.5 --steps 10%,pause,100%
  inplace upgrade sts/db
  inplace upgrade pods -l app=game app=registry/game:7 --max-unavailable 1
"""


@click.command(epilog=EXAMPLES)
@words_argument("TARGET CONTAINER=IMAGE...")
@selector_option
@run_options
@timeout_option
@dry_run_option
@controller_option
@output_option("json")
@quiet_option
@connection_options
@click.pass_obj
def upgrade(
    world: CliContext,
    connect: Callable[[], ClusterContext],
    words: tuple[str, ...],
    selector: str,
    given: dict[str, Any],
    timeout: float | None,
    dry_run: str,
    with_controller: bool,
    output: str | None,
    quiet: bool,
) -> int:
    """Upgrade the images of running pods without recreating them.

    TARGET is deploy/NAME, sts/NAME, ds/NAME, rs/NAME, pod/NAME..., or pods -l SELECTOR. Without images the pods are brought to
    a template that was changed while its workload was paused, partitioned or OnDelete. Ctrl-C once lets the pods in flight end
    well, twice leaves at once; the same command goes on where it was left, `abort` and `undo` go back.

    Exit codes: 0 done, 1 failed, 2 usage, 3 timed out, 4 paused or aborted, 5 refused before any write, 130 interrupted.
    """
    target, images = as_usage_error(parse_arguments, words, selector)
    require_template(target, images)
    cluster = connect()
    asked = asked_run(cluster, target, images, given)
    if dry_run != "none":
        from inplace.cli.commands.plan import show

        look = lambda session: session.preview(asked, given)  # noqa: E731
        on_server = dry_run == "server"
        return show(cluster, asked, look, output, is_dry=True, on_server=on_server, by_controller=with_controller)
    how = ForegroundOptions(output == "json", quiet, timeout, world.same_command(), follows=with_controller)
    if with_controller:
        from inplace.cli.running.via_controller import run_via_controller

        return run_via_controller(cluster, asked, how)
    return run_foreground(cluster, asked.target, lambda session, told: session.upgrade(asked, given, told), how)


def require_template(target: TargetRef, images: dict[str, str]) -> None:
    """Without images pods are brought to what their workload's template says."""
    if not images and target.kind == "Pods":
        raise click.UsageError("say which images: CONTAINER=IMAGE (bare pods have no template to be brought to)")


def asked_run(cluster: ClusterContext, target: TargetRef, images: dict[str, str], given: dict[str, Any]) -> Run:
    """The run as a new one would be."""
    return Run(
        id=uuid.uuid4().hex[:12],
        target=msgspec.structs.replace(target, namespace=cluster.namespace),
        images=images,
        adopts_template=not images,
        options=with_defaults(given),
        created_by=cluster.who.by,
        client=cluster.who.client,
        started_at=format_time(cluster.api.clock.utcnow()),
    )
