"""`inplace history`: a target's revisions, with who made each, and the runs that made none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from inplace.cli.commands.resume import connect_target
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.documents import Trails
from inplace.cli.common.options import connection_options, output_option, selector_option, words_argument
from inplace.cli.output import streams, tables
from inplace.cli.output.text import images_text
from inplace.engine.runs.history import HistoryEntry
from inplace.engine.status.account import with_message
from inplace.kube.clock import whole_seconds
from inplace.model.refs import TargetRef
from inplace.model.run import signed
from inplace.runtime.foreground import target_status
from inplace.runtime.foreground.audit import AuditRecord, audit_records

HEAD = ("REVISION", "IMAGES", "HOW", "OUTCOME", "WHEN", "BY", "CHANGE-CAUSE")


@click.command()
@words_argument("TARGET")
@selector_option
@click.option("--runs", "wants_runs", is_flag=True, help="The InPlaceRollouts of the target, step by step and pod by pod.")
@output_option("json", "yaml", "wide")
@connection_options
def history(
    connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, wants_runs: bool, output: str | None
) -> None:
    """List a target's revisions, and how each was made.

    The revisions are those of `kubectl rollout history`. The last ten runs of inplace are remembered beside them, those that
    made no revision (failed, paused, aborted) too. `inplace undo TARGET --to-revision N` goes back to one. Of bare pods nothing
    is remembered once their run has ended.

    With --runs: what the controller has carried out, as long as its InPlaceRollouts and the cluster's Events are kept.
    """
    cluster, target = connect_target(connect, words, selector)
    if wants_runs:
        _show_runs(cluster, target, output)
        return
    found = target_status.history(cluster.api, target)
    if output in ("json", "yaml"):
        streams.structured(found, output)
        return
    if found.items:
        tables.show(HEAD, [_row(entry) for entry in found.items], is_wide=output == "wide")
    else:
        streams.note(f"{found.target} in {found.namespace} has no history")
    if found.problem:
        streams.note(f"what inplace did is not known: {found.problem}")


def _row(entry: HistoryEntry) -> tuple[str, ...]:
    doing = f"{entry.how}, undo" if entry.doing == "Undo" else entry.how
    outcome = with_message(entry.outcome, entry.message)
    if entry.superseded:
        outcome = f"{outcome}; superseded since: {entry.superseded}"
    cells = (
        str(entry.revision or ""),
        images_text(entry.images),
        doing,
        outcome,
        whole_seconds(entry.at),
        signed(entry.by, entry.client),
        entry.cause,
    )
    return tuple(cell or "-" for cell in cells)


def _show_runs(cluster: ClusterContext, target: TargetRef, output: str | None) -> None:
    found = audit_records(cluster.api, target)
    if output in ("json", "yaml"):
        streams.structured(Trails(str(target), target.namespace, found), output)
        return
    if not found:
        streams.note(f"{target} in {target.namespace} has no InPlaceRollout")
    for number, trail in enumerate(found):
        if number:
            streams.data()
        _show_trail(trail, is_wide=output == "wide")


def _show_trail(trail: AuditRecord, *, is_wide: bool) -> None:
    tables.show_line(f"inplacerollout/{trail.name}: {with_message(trail.phase, trail.message)}", trail.phase)
    streams.lines(_about(trail))
    steps = [(step.step, whole_seconds(step.started_at), whole_seconds(step.finished_at) or "-") for step in trail.steps]
    if steps:
        tables.show(("STEP", "FROM", "TO"), steps, is_wide=is_wide, indent=2)
    pods = [(whole_seconds(event.at), event.pod, event.reason, event.note) for event in trail.pods]
    if pods:
        tables.show(("AT", "POD", "EVENT", "NOTE"), pods, is_wide=is_wide, indent=2)


def _about(trail: AuditRecord) -> Iterator[str]:
    if trail.images:
        yield f"  images   {images_text(trail.images)}"
    if trail.by:
        yield f"  by       {signed(trail.by, trail.client)}"
    if trail.started_at:
        yield f"  when     {whole_seconds(trail.started_at)} to {whole_seconds(trail.finished_at) or 'now'}"
