"""`inplace history`: a target's revisions, with who made each, and the runs that made none."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click

from inplace.cli import out
from inplace.cli.options import connected, output_option, selector_option, words_argument
from inplace.cli.text import images_text
from inplace.cli.verbs import opened
from inplace.cli.world import Cluster
from inplace.engine.history import Entry
from inplace.model.names import TargetRef
from inplace.runtime import overview
from inplace.runtime.audit import Trail, trails

HEAD = ("REVISION", "IMAGES", "HOW", "OUTCOME", "WHEN", "BY", "CHANGE-CAUSE")


@click.command()
@words_argument("TARGET")
@selector_option
@click.option("--runs", "wants_runs", is_flag=True, help="The InPlaceRollouts of the target, step by step and pod by pod.")
@output_option("json")
@connected
def history(
    connect: Callable[[], Cluster], words: tuple[str, ...], selector: str, wants_runs: bool, output: str | None
) -> None:
    """List a target's revisions, and how each was made.

    The revisions are those of `kubectl rollout history`. The last ten runs of inplace are remembered beside them, those that
    made no revision (failed, paused, aborted) too. `inplace undo TARGET --to-revision N` goes back to one. Of bare pods nothing
    is remembered once their run has ended.

    With --runs: what the controller has carried out, as long as its InPlaceRollouts and the cluster's Events are kept.
    """
    cluster, target = opened(connect, words, selector)
    if wants_runs:
        _show_runs(cluster, target, output)
        return
    found = overview.history(cluster.api, target)
    if output == "json":
        out.as_json(found)
        return
    if found.items:
        out.lines(out.table(HEAD, [_row(entry) for entry in found.items]))
    else:
        out.note(f"{found.target} in {found.namespace} has no history")
    if found.problem:
        out.note(f"what inplace did is not known: {found.problem}")


def _row(entry: Entry) -> tuple[str, ...]:
    doing = f"{entry.how}, undo" if entry.doing == "Undo" else entry.how
    outcome = f"{entry.outcome}: {entry.message}" if entry.message else entry.outcome
    cells = (str(entry.revision or ""), images_text(entry.images), doing, outcome, entry.at, entry.by, entry.cause)
    return tuple(cell or "-" for cell in cells)


def _show_runs(cluster: Cluster, target: TargetRef, output: str | None) -> None:
    found = trails(cluster.api, target)
    if output == "json":
        out.as_json({"v": 1, "target": str(target), "namespace": target.namespace, "runs": found})
        return
    if not found:
        out.note(f"{target} in {target.namespace} has no InPlaceRollout")
    for number, trail in enumerate(found):
        out.lines(["", *_trail_lines(trail)] if number else list(_trail_lines(trail)))


def _trail_lines(trail: Trail) -> Iterator[str]:
    yield f"inplacerollout/{trail.name}: {trail.phase}{f': {trail.message}' if trail.message else ''}"
    if trail.images:
        yield f"  images   {images_text(trail.images)}"
    if trail.by:
        yield f"  by       {trail.by}"
    if trail.started_at:
        yield f"  when     {trail.started_at} to {trail.finished_at or 'now'}"
    steps = [(step.step, step.started_at, step.finished_at or "-") for step in trail.steps]
    if steps:
        yield from (f"  {line}" for line in out.table(("STEP", "FROM", "TO"), steps))
    pods = [(event.at, event.pod, event.reason, event.note) for event in trail.pods]
    if pods:
        yield from (f"  {line}" for line in out.table(("AT", "POD", "EVENT", "NOTE"), pods))
