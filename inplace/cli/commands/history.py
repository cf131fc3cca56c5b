"""`inplace history`: lists a target's revisions with the author of each, and the runs that created none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from inplace.cli.common.connection import connect_target, connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.documents import Trails
from inplace.cli.common.options import output_option, selector_option, words_argument
from inplace.cli.common.sections import command, option
from inplace.cli.output import streams, tables
from inplace.cli.output.text import images_text
from inplace.engine.runs.history import HistoryEntry
from inplace.engine.status.run_state import with_message
from inplace.kube.clock import whole_seconds
from inplace.model.refs import TargetRef
from inplace.model.run import format_signature
from inplace.runtime.foreground import target_status
from inplace.runtime.foreground.audit import AuditRecord, audit_records

HEAD = ("REVISION", "IMAGES", "HOW", "OUTCOME", "WHEN", "BY", "CHANGE-CAUSE")


@command()
@words_argument("TARGET")
@selector_option
@option("--runs", "wants_runs", is_flag=True, help="Show the target's InPlaceRollouts instead, step by step and pod by pod.")
@output_option("json", "yaml", "wide")
@connection_options
def history(
    connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, wants_runs: bool, output: str | None
) -> None:
    """List a target's revisions, and how each was made.

    Lists the revisions of `kubectl rollout history`, and the last ten runs of inplace, including runs that created no revision
    (failed, paused or aborted). `inplace undo TARGET --to-revision N` goes back to a revision. Bare pods have no history after
    their run has ended.

    With --runs, shows the runs that the controller carried out, for as long as their InPlaceRollouts and Events exist.
    """
    cluster, target = connect_target(connect, words, selector)
    if wants_runs:
        _show_runs(cluster, target, output)
        return
    listed = target_status.history(cluster.api, target)
    if output in ("json", "yaml"):
        streams.structured(listed, output)
        return
    if listed.items:
        tables.show(HEAD, [_row(entry) for entry in listed.items], is_wide=output == "wide")
    else:
        streams.note(f"{listed.target} in {listed.namespace} has no history")
    if listed.problem:
        streams.note(f"the runs of inplace are unknown: {listed.problem}")


def _row(entry: HistoryEntry) -> tuple[str, ...]:
    operation = f"{entry.how}, undo" if entry.doing == "Undo" else entry.how
    outcome = with_message(entry.outcome, entry.message)
    if entry.superseded:
        outcome = f"{outcome}; superseded since: {entry.superseded}"
    cells = (
        str(entry.revision or ""),
        images_text(entry.images),
        operation,
        outcome,
        whole_seconds(entry.at),
        format_signature(entry.by, entry.client),
        entry.cause,
    )
    return tuple(cell or "-" for cell in cells)


def _show_runs(cluster: ClusterContext, target: TargetRef, output: str | None) -> None:
    records = audit_records(cluster.api, target)
    if output in ("json", "yaml"):
        streams.structured(Trails(str(target), target.namespace, records), output)
        return
    if not records:
        streams.note(f"{target} in {target.namespace} has no InPlaceRollout")
    for number, record in enumerate(records):
        if number:
            streams.data()
        _show_record(record, is_wide=output == "wide")


def _show_record(record: AuditRecord, *, is_wide: bool) -> None:
    tables.show_line(f"inplacerollout/{record.name}: {with_message(record.phase, record.message)}", record.phase)
    streams.lines(_about(record))
    steps = [(step.step, whole_seconds(step.started_at), whole_seconds(step.finished_at) or "-") for step in record.steps]
    if steps:
        tables.show(("STEP", "FROM", "TO"), steps, is_wide=is_wide, indent=2)
    pods = [(whole_seconds(event.at), event.pod, event.reason, event.note) for event in record.pods]
    if pods:
        tables.show(("AT", "POD", "EVENT", "NOTE"), pods, is_wide=is_wide, indent=2)


def _about(record: AuditRecord) -> Iterator[str]:
    if record.images:
        yield f"  images   {images_text(record.images)}"
    if record.by:
        yield f"  by       {format_signature(record.by, record.client)}"
    if record.started_at:
        yield f"  when     {whole_seconds(record.started_at)} to {whole_seconds(record.finished_at) or 'now'}"
