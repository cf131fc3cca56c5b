"""What undo goes back to."""

from typing import Any

import pytest

from inplace.engine.preflight.checks import Rejected
from inplace.engine.runs.history import latest_revision, revisions
from inplace.engine.runs.undo import UndoTarget, resolve_undo_target, undo_options
from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.revisions import Revision
from inplace.model.run import Run, RunOptions, parse_steps
from tests.builders import (
    NEW,
    OLD,
    deployment,
    facts,
    observed,
    of_deployment,
    of_pods,
    pod,
    replica_set,
    run,
    template,
)

OTHER = {"app": "repo/app:3"}


def seen(images: dict[str, str] = NEW, *older: Any) -> Snapshot:
    """A Deployment at revision 3, with these older ReplicaSets."""
    live = replica_set(images, revision=3)
    return observed(facts(pod(images=images)), target=of_deployment(deployment(images), live, *older))


def old_set(images: dict[str, str], revision: int, **more: Any) -> Any:
    return replica_set(images, name=f"web-{revision}", uid=f"uid-{revision}", revision=revision, replicas=0, **more)


def test_revisions_are_numbered_as_kubectl_does() -> None:
    cause = {"kubernetes.io/change-cause": "first"}
    target = seen(NEW, old_set(OLD, 1, annotations=cause), old_set(OTHER, 2), old_set(OLD, 0)).target
    assert [(r.number, r.images, r.cause) for r in revisions(target)] == [(1, OLD, "first"), (2, OTHER, ""), (3, NEW, "")]
    assert latest_revision(target) == 3
    assert latest_revision(of_pods()) == 0
    assert Revision(1, template(OLD)).images == OLD


def test_the_revision_before_the_newest() -> None:
    assert resolve_undo_target(seen(NEW, old_set(OLD, 1), old_set(OTHER, 2)), "deploy/web", None, None) == UndoTarget(
        OTHER, "revision 2"
    )


def test_an_open_run_goes_back_to_where_it_began() -> None:
    stored = run(outcome="Failed", images=NEW, from_images={**OLD, "gone": "x"})
    assert resolve_undo_target(seen(OLD, old_set(OTHER, 2)), "deploy/web", stored, None) == UndoTarget(
        OLD, "what they ran before run run-1"
    )


def test_an_open_undo_goes_on() -> None:
    found = resolve_undo_target(
        seen(NEW, old_set(OLD, 2)), "deploy/web", run(operation="Undo", images=OLD, from_images=NEW), None
    )
    assert isinstance(found, UndoTarget)
    assert found.images == OLD


def test_an_open_run_of_another_object_of_that_name_is_ignored() -> None:
    stored = run(outcome="Failed", target_uid="uid-of-before", from_images={"app": "older"})
    assert resolve_undo_target(seen(NEW, old_set(OTHER, 2)), "deploy/web", stored, None) == UndoTarget(OTHER, "revision 2")


def test_a_revision_in_the_middle_of_a_run_names_the_runs_images() -> None:
    """The template still holds the old image; some pods do not."""
    stored = run(outcome="Paused", images=NEW, from_images=OLD)
    assert resolve_undo_target(seen(OLD), "deploy/web", stored, 3) == UndoTarget(OLD, "revision 3")
    assert resolve_undo_target(seen(OLD), "deploy/web", None, 3) == UndoTarget({}, "revision 3")


def test_an_unknown_revision_is_refused_with_those_there_are() -> None:
    assert resolve_undo_target(seen(NEW, old_set(OLD, 1)), "deploy/web", None, 2) == Rejected(
        "deploy/web has no revision 2; it has: 1, 3"
    )


def test_more_than_images_is_refused_by_name() -> None:
    other = old_set(OLD, 1, template_=template(OLD, hostNetwork=True))
    found = resolve_undo_target(seen(NEW, other), "deploy/web", None, None)
    assert isinstance(found, Rejected)
    assert "revision 1 of deploy/web differs from its template in more than images (spec.hostNetwork)" in found.message
    assert "`kubectl rollout undo deploy/web --to-revision=1`" in found.message


@pytest.mark.parametrize(
    ("stored", "ok"),
    [
        (run(outcome="Succeeded"), True),
        (run(outcome="Succeeded", images=OTHER), False),
        (None, False),
    ],
    ids=["its pods run what the last run left", "they run something else", "no run"],
)
def test_without_a_history_the_last_run_tells(stored: Run | None, ok: bool) -> None:
    for found in (
        resolve_undo_target(seen(NEW), "deploy/web", stored, None),
        resolve_undo_target(_bare(), "pod/web-a", stored, None),
    ):
        assert isinstance(found, UndoTarget if ok else Rejected)
        if isinstance(found, UndoTarget):
            assert found.images == OLD


def _bare() -> Snapshot:
    return observed(facts(pod(images=NEW, owner=None)), target=of_pods())


def test_bare_pods_have_no_revisions() -> None:
    assert isinstance(resolve_undo_target(_bare(), "pod/web-a", None, 1), Rejected)
    found = resolve_undo_target(_bare(), "pod/web-a", None, None)
    why = "nothing is kept of a bare pod's run once it has ended: say the images, with `upgrade`"
    assert found == Rejected(f"pod/web-a cannot be undone: {why}")


def test_options_are_those_of_the_run_before_but_in_one_step() -> None:
    before = run(
        RunOptions(settle_seconds=1.0, gate="a/b", steps=parse_steps("1,pause,100%"), on_failure="rollback", max_failed=2)
    )
    assert undo_options(before, {}) == RunOptions(settle_seconds=1.0, gate="a/b")
    assert undo_options(before, {"settle_seconds": 2.0}).settle_seconds == 2.0
    assert undo_options(None, {"on_failure": "continue"}) == RunOptions(on_failure="continue")
