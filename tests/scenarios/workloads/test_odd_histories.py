"""Histories over which other tools have tripped: none kept, one kept, and a template with the hash label of the controllers."""

from __future__ import annotations

import pytest

from tests.scenarios.facts import images_in, is_observed
from tests.scenarios.manifests import deployment, service, statefulset
from tests.scenarios.scene import WEB, Scene

pytestmark = [pytest.mark.at_rest, pytest.mark.sampled]

FAST = ("--settle", "0s", "--max-unavailable", "3")


@pytest.mark.parametrize("limit", [0, 1])
def test_a_stateful_set_that_keeps_next_to_no_revisions(scene: Scene, limit: int) -> None:
    """Three updates in steps (KusionStack/kuperator#148). Every revision that a pod carries lives."""
    made = statefulset("db", scene.image("app:1"), parallel=True)
    made["spec"]["revisionHistoryLimit"] = limit
    scene.deploy(made, service("db"), count=3)
    scene.run_gates()
    for words, code in (
        (("app:2", "--steps", "1,pause,100%"), 4),
        (("app:3", "--steps", "2,pause,100%"), 4),
        (("app:2",), 0),
    ):
        ref, *steps = words
        ended = scene.inplace("upgrade", "sts/db", f"app={scene.image(ref)}", *FAST, *steps)
        assert ended.code == code, ended
        scene.check_same_pods()
        carried = {pod["metadata"]["labels"]["controller-revision-hash"] for pod in scene.pods()}
        assert carried <= {revision["metadata"]["name"] for revision in scene.all("ControllerRevision")}
    scene.until(lambda: is_observed(scene.get("sts/db")), "the controller has seen it")
    refused = scene.inplace("undo", "sts/db", "--to-revision", "99")
    assert refused.code == 5, refused
    assert "has no revision 99" in refused.stderr
    undone = scene.inplace("undo", "sts/db", "--settle", "0s")
    assert undone.code == 0, undone
    scene.check_same_pods()
    assert "app:2" not in str(images_in(scene.get("sts/db")["spec"]["template"]["spec"]))


def test_classic_rollouts_after_one_in_place_without_a_history(scene: Scene) -> None:
    """Back to the template that the living ReplicaSet was made for: its name is taken (kubernetes/kubernetes#29735)."""
    scene.web(2, revision_history_limit=0)
    scene.run_gates()
    scene.upgrade("--max-unavailable", "2", app="app:2")
    scene.set_images(WEB, app=scene.image("app:1"))
    scene.until_rolled_out()
    assert scene.on_image("app:1") == set(scene.uids())


def test_a_classic_undo_after_three_runs_restores_the_second(scene: Scene) -> None:
    scene.web(2, revision_history_limit=2)
    scene.run_gates()
    for ref in ("app:2", "app:3", "app:4"):
        scene.upgrade("--max-unavailable", "2", app=ref)
    scene.until(lambda: max(scene.history()) == 4, "the history is written")
    assert scene.history()[3] == "app:3"
    scene.undo(WEB, 3)
    scene.until_rolled_out()
    assert scene.on_image("app:3") == set(scene.uids())


def test_the_hash_label_in_the_users_own_template(scene: Scene) -> None:
    """From exported YAML (openkruise/rollouts#308)."""
    made = deployment("web", scene.image("app:1"), replicas=2)
    made["spec"]["template"]["metadata"]["labels"]["pod-template-hash"] = "abc123"
    scene.deploy(made, service("web"), count=2)
    scene.run_gates()
    scene.upgrade("--max-unavailable", "2", app="app:2")
    scene.check_same_pods()
    undone = scene.inplace("undo", WEB, "--settle", "0s")
    assert undone.code == 0, undone
    scene.check_same_pods()
    scene.check_consistent("app:1", {2: "app:2", 3: "app:1"}, replicas=2)
    labels = scene.get(WEB)["spec"]["template"]["metadata"]["labels"]
    assert labels["pod-template-hash"] == "abc123"
    scene.set_images(WEB, app=scene.image("app:3"))
    scene.until_rolled_out()
    assert scene.on_image("app:3") == set(scene.uids())
