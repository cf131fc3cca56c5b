"""Which images a pod is to have, where admission gives them other names."""

import msgspec

from inplace.engine.planning.failures import reverse_run
from inplace.engine.pods.goals import Goal, goal_of
from inplace.model.record import UpgradeRecord
from inplace.model.run import Run
from tests.builders import facts, pod, record, run

PINNED = "repo/app:2@sha256:" + "a" * 64
MIRRORED = {"app": "mirror/repo/app:1"}


def given(goal: Goal, image: str, written: UpgradeRecord | None = None) -> str:
    return goal.images_for(facts(pod(images={"app": image}, record=written)))["app"]


def back(begun: Run) -> Goal:
    return goal_of(reverse_run(begun, "Abort", "aborted"))


def test_forward_a_pod_keeps_what_stands_for_the_image() -> None:
    goal = goal_of(run())
    assert given(goal, "repo/app:1") == "repo/app:2"
    assert given(goal, PINNED) == PINNED
    assert given(goal, "mirror/repo/app:2") == "mirror/repo/app:2"
    assert given(goal, "mirror/repo/app:1") == "repo/app:2"


def test_the_requested_and_the_rewritten_image_are_one_goal() -> None:
    goal = goal_of(run(images={"app": PINNED}, images_before_admission={"app": "repo/app:2"}))
    assert given(goal, "repo/app:2") == "repo/app:2"
    assert given(goal, "repo/app:1") == PINNED
    on_pods = goal_of(run(pod_images={"app": PINNED}))
    assert given(on_pods, "repo/app:2") == "repo/app:2", "made from the template"
    assert given(on_pods, "repo/app:1") == PINNED


def test_from_one_registry_to_another_is_a_change() -> None:
    moved = run(images={"app": "mirror/repo/app:1"}, from_images={"app": "repo/app:1"})
    assert given(goal_of(moved), "repo/app:1") == "mirror/repo/app:1"
    assert given(back(moved), "mirror/repo/app:1") == "repo/app:1"


def test_a_tag_that_was_pinned_and_moved_is_a_change() -> None:
    older = "repo/app:2@sha256:" + "b" * 64
    moved = run(from_images={"app": older})
    assert given(goal_of(moved), older) == "repo/app:2"


def test_each_pod_goes_back_to_what_its_record_says() -> None:
    assert given(back(run()), "repo/app:2", record(from_images=MIRRORED)) == MIRRORED["app"]
    undo = run(
        operation="Undo",
        images={"app": "repo/app:1"},
        from_images={"app": "repo/app:1"},
        superseded_images=({"app": "repo/app:2"},),
    )
    assert given(goal_of(undo), "repo/app:2", record(from_images=MIRRORED)) == MIRRORED["app"]
    assert given(goal_of(undo), MIRRORED["app"]) == MIRRORED["app"]


def test_a_pod_without_a_record_goes_back_to_what_the_pods_ran() -> None:
    begun = run(pod_from_images=MIRRORED)
    assert given(back(begun), "repo/app:2") == MIRRORED["app"]
    assert given(back(begun), "repo/app:1") == "repo/app:1"


def test_an_untouched_pod_is_at_its_goal_with_whatever_it_runs() -> None:
    assert given(back(run()), "repo/app:1-hardened") == "repo/app:1-hardened"
    assert given(back(run()), "repo/app:2") == "repo/app:1"
    assert given(back(run()), PINNED) == "repo/app:1", "it runs what is gone back from"
    assert given(back(run(images_before_admission={"app": "repo/app:2"}, images={"app": PINNED})), "repo/app:2") == "repo/app:1"


def test_what_admission_made_against_the_runs_will_goes_back_too() -> None:
    begun = run(rewritten={"app": "repo/app:3"})
    assert given(back(begun), "repo/app:3") == "repo/app:1"
    taken_over = run(superseded_images=({"app": "repo/app:9"},))
    assert given(back(taken_over), "repo/app:9") == "repo/app:1"


def test_a_run_is_the_same_in_requested_and_in_rewritten_images() -> None:
    begun = run(images={"app": PINNED}, images_before_admission={"app": "repo/app:2"})
    assert begun.is_for({"app": "repo/app:2"})
    assert begun.is_for({"app": PINNED})
    assert not begun.is_for({"app": "repo/app:3"})
    assert not begun.is_for({"app": "repo/app:2", "side": "x"})
    aborted = reverse_run(begun, "Abort", "aborted")
    assert aborted.is_for({"app": "repo/app:2"})
    assert msgspec.json.decode(msgspec.json.encode(aborted), type=Run) == aborted
