"""Revisions and who made them."""

from typing import Any

from inplace.engine.runs.history import HistoryEntry, merge_history
from inplace.engine.workloads.revisions import Revision
from inplace.model.history import MAX_RUNS, PastRun
from tests.builders import NEW, OLD, template


def revision(number: int, images: dict[str, str], at: str) -> Revision:
    return Revision(number, template(images), f"cause {number}", at)


def past(id_: str, at: str, *made: int, **fields: Any) -> PastRun:
    return PastRun(
        id=id_, images=NEW, ended_at=at, created_by="me", revisions_created=made, **{"outcome": "Succeeded", **fields}
    )


def test_a_revision_is_told_by_the_run_that_made_it() -> None:
    classic, ours = merge_history([revision(1, OLD, "t1"), revision(2, NEW, "t0")], [past("a", "t5", 2)])
    assert classic == HistoryEntry(1, "classic", OLD, cause="cause 1"), "its age is that of its tombstone"
    assert ours == HistoryEntry(2, "in place", NEW, "me", "t5", "Succeeded", "cause 2", "a", "Upgrade")


def test_runs_that_made_none_stand_where_they_ended() -> None:
    runs = [past("a", "t1", outcome="Failed"), past("b", "t5", 2), past("c", "t7", outcome="Aborted", message="by hand")]
    entries = merge_history([revision(1, OLD, "t0"), revision(2, NEW, "t0")], runs)
    assert [(e.revision, e.run, e.outcome) for e in entries] == [
        (1, "", ""),
        (0, "a", "Failed"),
        (2, "b", "Succeeded"),
        (0, "c", "Aborted"),
    ]


def test_a_run_that_went_there_and_back_made_two() -> None:
    entries = merge_history([revision(2, NEW, "t1"), revision(3, OLD, "t0")], [past("a", "t5", 2, 3, outcome="Aborted")])
    assert [(e.revision, e.images, e.outcome) for e in entries] == [(2, NEW, "Aborted"), (3, OLD, "Aborted")]


def test_a_revision_that_is_no_longer_kept_leaves_its_run() -> None:
    entries = merge_history([revision(4, NEW, "t1")], [past("a", "t5", 2)])
    assert [(e.revision, e.how, e.run) for e in entries] == [(4, "classic", ""), (0, "in place", "a")]


def test_beyond_what_is_remembered_nobody_knows() -> None:
    runs = [past(f"r{n}", f"t{n}", n + 5) for n in range(MAX_RUNS)]
    assert merge_history([revision(1, OLD, "t1")], runs)[0].how == ""
