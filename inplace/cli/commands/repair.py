"""`inplace repair`: frees what runs without a living holder have left behind."""

from __future__ import annotations

from collections.abc import Callable

import click

from inplace.cli.commands.resume import connect_target
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.documents import Repaired
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import connection_options, output_option, selector_option, words_argument
from inplace.cli.output import streams
from inplace.runtime.foreground.repair import Repair, RepairEvent
from inplace.runtime.foreground.session import identity
from inplace.runtime.lookup import require_namespace


@click.command()
@words_argument("[TARGET]")
@selector_option
@click.option("-A", "--all-namespaces", is_flag=True, help="Look in all namespaces.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@output_option("json", "yaml")
@connection_options
def repair(
    connect: Callable[[], ClusterContext],
    words: tuple[str, ...],
    selector: str,
    all_namespaces: bool,
    dry_run: bool,
    output: str | None,
) -> int:
    """Clean up after crashed runs.

    Closed gates, half-done commits, update strategies, records and locks, of one target, a namespace, or all. Whoever is at
    work is left alone: each lock is watched for up to 15 seconds. Pods in flight are finished, or reopened where their image
    was not changed; a run that has not reached its end can still be resumed, undone or aborted.

    Exit codes: 0 nothing is left closed without an owner, 1 something is, and is named; 2 usage, 5 refused.
    """
    if words or selector:
        if all_namespaces:
            raise click.UsageError("a target and --all-namespaces cannot be combined")
        cluster, target = connect_target(connect, words, selector)
    else:
        cluster, target = connect(), None
    said: list[RepairEvent] = []

    def tell(line: RepairEvent) -> None:
        said.append(line)
        if output is None:
            streams.data(_text(line, dry_run))

    with cluster.world.make_stopper(None) as stopper:
        work = Repair(cluster.api, identity(), tell, stopper.attach, cluster.world.make_host(), dry_run=dry_run)
        try:
            is_clean = work.repair(None if all_namespaces else cluster.namespace, target)
        except KeyboardInterrupt:
            has_begun = not dry_run and any(line.about == "done" for line in said)
            what = "what is listed above was started" if has_begun else "nothing was changed"
            raise CommandExit(f"interrupted; {what}", ExitCode.INTERRUPTED) from None
    if not said:
        if not all_namespaces:
            require_namespace(cluster.api, cluster.namespace)
        if output is None:
            streams.data("nothing to repair")
    if output is not None:
        streams.structured(Repaired(tuple(said), is_clean, dry_run), output)
    return ExitCode.DONE if is_clean else ExitCode.FAILED


def _text(line: RepairEvent, dry_run: bool) -> str:
    match line.about:
        case "found":
            return f"{line.where}: {line.text}"
        case "done":
            return f"{line.where}: {'would ' if dry_run else ''}{line.text}"
        case "left":
            return f"{line.where}: left as it is: {line.text}"
