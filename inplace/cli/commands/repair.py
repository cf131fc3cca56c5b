"""`inplace repair`: cleans up after runs that have no living holder."""

from __future__ import annotations

from collections.abc import Callable

import click

from inplace.cli.common.connection import connect_target, connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.documents import Repaired
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import output_option, selector_option, words_argument
from inplace.cli.common.sections import command, option
from inplace.cli.output import streams
from inplace.runtime.caller import new_identity
from inplace.runtime.lookup import require_namespace
from inplace.runtime.repair.context import RepairEvent
from inplace.runtime.repair.repair import Repair


@command()
@words_argument("[TARGET]")
@selector_option
@option("-A", "--all-namespaces", is_flag=True, section="Target", help="Repair in all namespaces.")
@option("--dry-run", is_flag=True, section="Execution", help="Only print what would be done.")
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

    Opens gates, finishes commits, restores update strategies, and removes records and locks that a crashed run left behind: of
    one target, of a namespace, or of all namespaces. Leaves alone the runs that are going on: it watches each lock for up to 15
    seconds to see whether its holder is alive.

    A pod in flight is finished, or put back into service if its image was not changed yet. Afterwards an unfinished run can
    still be resumed, undone or aborted.

    Exit codes: 0 no pod is left closed without an owner, 1 some are, and are listed, 2 usage, 5 refused.
    """
    if words or selector:
        if all_namespaces:
            raise click.UsageError("a target and --all-namespaces cannot be combined")
        cluster, target = connect_target(connect, words, selector)
    else:
        cluster, target = connect(), None
    events: list[RepairEvent] = []

    def on_event(event: RepairEvent) -> None:
        events.append(event)
        if output is None:
            streams.data(_text(event, dry_run))

    with cluster.context.make_interrupt_handler(None) as interrupts:
        work = Repair(cluster.api, new_identity(), on_event, interrupts.attach, cluster.context.make_backend(), dry_run=dry_run)
        try:
            is_clean = work.repair(None if all_namespaces else cluster.namespace, target)
        except KeyboardInterrupt:
            has_begun = not dry_run and any(event.about == "done" for event in events)
            what = "the repairs listed above were begun" if has_begun else "nothing was changed"
            raise CommandExit(f"interrupted; {what}", ExitCode.INTERRUPTED) from None
    if not events:
        if not all_namespaces:
            require_namespace(cluster.api, cluster.namespace)
        if output is None:
            streams.data("nothing to repair")
    if output is not None:
        streams.structured(Repaired(tuple(events), is_clean, dry_run), output)
    return ExitCode.DONE if is_clean else ExitCode.FAILED


def _text(event: RepairEvent, dry_run: bool) -> str:
    match event.about:
        case "found":
            return f"{event.where}: {event.text}"
        case "done":
            return f"{event.where}: {'would ' if dry_run else ''}{event.text}"
        case "left":
            return f"{event.where}: left as it is: {event.text}"
