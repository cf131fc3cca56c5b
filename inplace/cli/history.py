"""`inplace history`: a target's revisions, with who made each, and the runs that made none."""

from __future__ import annotations

from collections.abc import Callable

import click

from inplace.cli import out
from inplace.cli.options import connected, output_option, selector_option
from inplace.cli.text import images_text
from inplace.cli.verbs import opened
from inplace.cli.world import Cluster
from inplace.engine.history import Entry
from inplace.runtime import overview

HEAD = ("REVISION", "IMAGES", "HOW", "OUTCOME", "WHEN", "BY", "CHANGE-CAUSE")


@click.command()
@click.argument("words", nargs=-1, metavar="TARGET")
@selector_option
@output_option("json")
@connected
def history(connect: Callable[[], Cluster], words: tuple[str, ...], selector: str, output: str | None) -> None:
    """List a target's revisions, and how each was made.

    The revisions are those of `kubectl rollout history`. The last ten runs of inplace are remembered beside them, those that
    made no revision (failed, paused, aborted) too. `inplace undo TARGET --to-revision N` goes back to one.
    """
    cluster, target = opened(connect, words, selector)
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
