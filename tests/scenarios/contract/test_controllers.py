"""What the stock controllers do: facts that the commits are built on (design, sections 4 and 5), on both clusters."""

from __future__ import annotations

import copy

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.facts import container_statuses, images_in, is_observed
from tests.scenarios.manifests import deployment, pod, replicaset
from tests.scenarios.scene import REVISION, WEB, Scene

HASH = "pod-template-hash"


def a_node(scene: Scene) -> str:
    return str(scene.send("GET", "/api/v1/nodes")["items"][0]["metadata"]["name"])


def until_observed(scene: Scene, reference: str = WEB) -> Object:
    scene.until(lambda: is_observed(scene.get(reference)), f"{reference} is observed")
    return scene.get(reference)


def live(scene: Scene) -> Object:
    """The only ReplicaSet that wants pods."""
    (found,) = [rs for rs in scene.all("rs") if rs["spec"]["replicas"]]
    return found


def made_by_hand(owner: Object, name: str, template: Object) -> Object:
    """A ReplicaSet without pods, as if the Deployment's controller had made it of this template."""
    labelled = copy.deepcopy(template)
    labelled["metadata"]["labels"][HASH] = name
    meta = owner["metadata"]
    owned = {"apiVersion": "apps/v1", "kind": "Deployment", "name": meta["name"], "uid": meta["uid"], "controller": True}
    labels = labelled["metadata"]["labels"]
    return {
        "apiVersion": "apps/v1",
        "kind": "ReplicaSet",
        "metadata": {"name": f"{meta['name']}-{name}", "labels": labels, "ownerReferences": [owned]},
        "spec": {"replicas": 0, "selector": {"matchLabels": labels}, "template": labelled},
    }


def test_a_scale_down_takes_not_ready_pods_then_restarted_ones(scene: Scene) -> None:
    made = replicaset("game", scene.image("app:1"), replicas=3, nodeName=a_node(scene))
    scene.deploy(made, count=3)
    scene.stage.let_pass(8)  # ages are compared in powers of two
    closed, restarted, quiet = sorted(scene.before)
    scene.set_images(f"pod/{restarted}", app=scene.image("app:2"))
    scene.until(lambda: scene.restarts()[restarted] == {"app": 1}, "restarted")
    scene.until(lambda: condition(scene.get(f"pod/{restarted}"), "Ready") == "True", "Ready again")
    scene.set_gate(closed, "False")
    scene.until(lambda: condition(scene.get(f"pod/{closed}"), "Ready") == "False", "closed")
    scene.until(lambda: scene.get("rs/game")["status"]["readyReplicas"] == 2, "the controller knows")
    scene.scale("rs/game", 2)
    scene.until(lambda: set(scene.uids()) == {restarted, quiet}, "the closed one goes")
    scene.scale("rs/game", 1)
    scene.until(lambda: set(scene.uids()) == {quiet}, "then the one that became Ready last")


def test_a_replica_set_never_touches_pods_for_its_template(scene: Scene) -> None:
    scene.deploy(replicaset("game", scene.image("app:1"), replicas=1), count=1)
    scene.set_images("rs/game", app=scene.image("app:2"))
    until_observed(scene, "rs/game")
    scene.scale("rs/game", 2)
    scene.until(lambda: len(scene.pods()) == 2, "a second pod")
    (old,) = scene.before
    assert sorted(images_in(p["spec"])["app"] for p in scene.pods()) == [scene.image("app:1"), scene.image("app:2")]
    assert scene.uids()[old] == scene.before[old]


def test_the_oldest_replica_set_of_a_template_is_taken(scene: Scene) -> None:
    """Why an older twin must go before a commit."""
    scene.web(1)
    owner = scene.get(WEB)
    template = copy.deepcopy(owner["spec"]["template"])
    template["spec"]["containers"][0]["image"] = scene.image("app:2")
    for name in ("zz-older", "aa-newer"):
        scene.create(made_by_hand(owner, name, template))
        scene.stage.let_pass(1.2)  # creation times are whole seconds
    scene.run_gates()
    scene.set_images(WEB, app=scene.image("app:2"))
    scene.until_rolled_out()
    assert live(scene)["metadata"]["name"] == "web-zz-older"


def test_the_commit_by_hand(scene: Scene) -> None:
    """Section 5, step by step: while paused, and no pod is made or deleted when it goes on."""
    scene.web(2)
    name = live(scene)["metadata"]["name"]
    old = live(scene)
    assert old["metadata"]["annotations"][REVISION] == "1"
    scene.merge(WEB, {"spec": {"paused": True}})
    until_observed(scene)
    scene.set_images(f"rs/{name}", app=scene.image("app:2"))
    until_observed(scene, f"rs/{name}")
    scene.until(lambda: scene.get(WEB)["status"].get("updatedReplicas", 0) == 0, "it is no longer taken for the new one", 10)
    scene.set_images(WEB, app=scene.image("app:2"))
    scene.until(lambda: until_observed(scene)["status"].get("updatedReplicas", 0) == 2, "now it is")
    assert live(scene)["metadata"]["annotations"][REVISION] == "1"

    tombstone = made_by_hand(scene.get(WEB), "buried", strip(old["spec"]["template"]))
    tombstone["metadata"]["annotations"] = old["metadata"]["annotations"]
    scene.create(tombstone)
    scene.until(lambda: live(scene)["metadata"]["annotations"][REVISION] == "2", "the live one is a revision on")
    scene.merge(WEB, {"spec": {"paused": None}})
    until_observed(scene)
    scene.stage.let_pass(3)
    assert scene.history() == {1: "app:1", 2: "app:2"}
    assert scene.get(WEB)["metadata"]["annotations"][REVISION] == "2"
    assert {k: scene.get(WEB)["status"][k] for k in ("replicas", "updatedReplicas", "readyReplicas")} == dict.fromkeys(
        ("replicas", "updatedReplicas", "readyReplicas"), 2
    )
    scene.check_same_pods()


def strip(template: Object) -> Object:
    made = copy.deepcopy(template)
    del made["metadata"]["labels"][HASH]
    return made


def test_a_paused_deployment_does_not_roll_out_but_scales(scene: Scene) -> None:
    scene.web(2)
    scene.merge(WEB, {"spec": {"paused": True}})
    scene.set_images(WEB, app=scene.image("app:2"))
    assert until_observed(scene)["status"].get("updatedReplicas", 0) == 0
    assert len(scene.all("rs")) == 1
    scene.scale(WEB, 3)
    scene.until(lambda: len(scene.pods()) == 3, "scaled")
    assert {images_in(p["spec"])["app"] for p in scene.pods()} == {scene.image("app:1")}


def test_the_history_is_kept_as_long_as_its_limit(scene: Scene) -> None:
    scene.create(deployment("web", scene.image("app:1"), replicas=0, revision_history_limit=1))
    for ref in ("app:2", "app:3"):
        until_observed(scene)
        scene.set_images(WEB, app=scene.image(ref))
    scene.until(lambda: scene.history() == {2: "app:2", 3: "app:3"}, "the oldest goes")
    scene.merge(WEB, {"spec": {"revisionHistoryLimit": 0}})
    scene.until(lambda: scene.history() == {3: "app:3"}, "all but the live one go")


def test_a_disruption_budget_counts(scene: Scene) -> None:
    spec = {"minAvailable": 2, "selector": {"matchLabels": {"app": "web"}}}
    scene.web(3)
    scene.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "b"}, "spec": spec})

    def told() -> list[int]:
        status = scene.get("pdb/b").get("status", {})
        return [status.get(k, 0) for k in ("expectedPods", "currentHealthy", "desiredHealthy", "disruptionsAllowed")]

    scene.until(lambda: told() == [3, 3, 2, 1], "counted")
    scene.set_gate(min(scene.before), "False")
    scene.until(lambda: told() == [3, 2, 2, 0], "a closed pod is not healthy")


def test_what_owners_leave_behind(scene: Scene) -> None:
    """What a Deployment owns goes with it. Of an owner that nobody knows, nothing is known: what it owns stays."""
    stranger = {"apiVersion": "example.org/v1", "kind": "Stranger", "name": "x", "uid": "1234"}
    kept = pod("kept", scene.image("app:1"))
    kept["metadata"]["ownerReferences"] = [stranger]
    scene.deploy(deployment("web", scene.image("app:1"), replicas=1), kept, count=2)
    scene.delete(WEB)
    scene.until(lambda: not scene.all("rs") and set(scene.uids()) == {"kept"}, "ReplicaSet and pod are collected")
    assert container_statuses(scene.get("pod/kept"))["app"]["restartCount"] == 0
