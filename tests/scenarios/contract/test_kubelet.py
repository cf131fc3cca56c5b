"""What a kubelet and the slices do with a pod: facts that drain, proof and failures are built on (design, section 4)."""

from __future__ import annotations

from itertools import pairwise

import pytest

from tests.recorder import Event, Object
from tests.recorder.log import condition, statuses
from tests.scenarios.facts import container_statuses
from tests.scenarios.manifests import container, pod, service
from tests.scenarios.scene import Scene


def serve(scene: Scene, containers: list[Object], *services: Object, gate: bool = True, **spec: object) -> str:
    """Pod a, in service; its uid."""
    made = pod("a", containers, gate="inplace.dev/ready" if gate else None, **spec)
    scene.deploy(made, *services, count=1, gate="inplace.dev/ready" if gate else None)
    return scene.before["a"]


def app(scene: Scene, **options: object) -> Object:
    return container("app", scene.image("app:1"), **options)  # type: ignore[arg-type]


def identity(scene: Scene, name: str = "app") -> str:
    return str(container_statuses(scene.get("pod/a"))[name]["containerID"])


def change(scene: Scene, ref: str, name: str = "app") -> str:
    """Another image; returns when the new container runs: its id."""
    old = identity(scene, name)
    scene.patch("pod/a", {"spec": {"containers": [{"name": name, "image": scene.image(ref)}]}})

    def runs() -> str:
        status = container_statuses(scene.get("pod/a"))[name]
        return str(status["containerID"]) if status["containerID"] != old and "running" in status["state"] else ""

    return scene.until(runs, "the new container runs")


def with_id(versions: list[Event], container_id: str) -> list[Event]:
    return [v for v in versions if statuses(v.object)["app"].get("containerID") == container_id]


def endpoint(scene: Scene) -> Object:
    (found,) = scene.endpoints()
    conditions: Object = found["conditions"]
    return conditions


def test_a_gate_takes_a_pod_out_and_back(scene: Scene) -> None:
    """False > Ready False > the slices, where the pod stays listed. Within seconds both ways."""
    uid = serve(scene, [app(scene)], service("a"))
    scene.set_gate("a", "False")
    scene.until(lambda: endpoint(scene)["ready"] is False, "the slice lets go", 5)
    assert endpoint(scene) == {"ready": False, "serving": False, "terminating": False}
    found = scene.get("pod/a")
    assert (condition(found, "Ready"), condition(found, "ContainersReady")) == ("False", "True")
    scene.set_gate("a", "True")
    scene.until(lambda: endpoint(scene)["ready"], "it is back", 5)
    assert endpoint(scene) == {"ready": True, "serving": True, "terminating": False}
    order = [(v.kind, v.rv) for v in sorted(scene.witness.log(), key=lambda e: e.rv) if v.rv > scene.witness.since]
    first = {kind: next(rv for k, rv in order if k == kind) for kind in ("Pod", "EndpointSlice")}
    not_ready = next(v.rv for v in scene.versions(uid) if condition(v.object, "Ready") == "False")
    assert first["Pod"] < not_ready < first["EndpointSlice"]


def test_the_generation_is_observed_before_the_container_changes(scene: Scene) -> None:
    """Mostly earlier: it proves "seen", not "restarted" (a busy kubelet tells both at once). Then the id changes;
    ContainersReady goes False, and True again with the new one, which a busy kubelet may tell at once, too (1.34, 1.35)."""
    uid = serve(scene, [app(scene)])
    old, generation = identity(scene), scene.get("pod/a")["metadata"]["generation"]
    new = change(scene, "app:2")
    scene.until(lambda: condition(scene.get("pod/a"), "Ready") == "True", "Ready again")
    versions = scene.versions(uid)
    changed = with_id(versions, new)
    assert {v.object["status"]["observedGeneration"] for v in changed} == {generation + 1}
    assert {v.object["status"]["observedGeneration"] for v in with_id(versions, old)} >= {generation}
    assert condition(changed[-1].object, "ContainersReady") == "True"
    told = [condition(v.object, "ContainersReady") for v in versions]
    assert [a for a, b in pairwise([*told, None]) if a != b] in (["True", "False", "True"], ["True"])
    assert scene.ips() == scene.addresses
    assert scene.uids() == scene.before
    assert scene.restarts() == {"a": {"app": 1}}


def test_the_same_digest_under_another_tag_restarts(scene: Scene) -> None:
    made = pod("a", scene.image("app:2"))
    scene.deploy(made, count=1)
    before = container_statuses(scene.get("pod/a"))["app"]
    change(scene, "app:2b")
    after = container_statuses(scene.get("pod/a"))["app"]
    assert after["containerID"] != before["containerID"]
    assert after["imageID"] == before["imageID"]


def test_an_image_that_comes_back_waits_in_crash_loop_back_off(scene: Scene) -> None:
    """The first way back, to the image that the pod was made with, is free; soon no way is."""
    uid = serve(scene, [app(scene)])

    def back_offs() -> list[str]:
        waiting = [statuses(v.object)["app"]["state"].get("waiting", {}).get("reason") for v in scene.versions(uid)]
        return [reason for reason in waiting if reason == "CrashLoopBackOff"]

    change(scene, "app:2")
    change(scene, "app:1")
    assert back_offs() == []
    change(scene, "app:2")
    change(scene, "app:1")
    assert back_offs()


def test_a_readiness_probe_holds_ready_until_the_new_one_answers(scene: Scene) -> None:
    uid = serve(scene, [app(scene, boot=3)])
    with scene.stage.client_of_pod(scene.get("pod/a"), 0.05) as client:
        new = change(scene, "app:2")
        scene.until(lambda: condition(scene.get("pod/a"), "Ready") == "True", "Ready again")
        scene.stage.let_pass(0.5)
    versions = with_id(scene.versions(uid), new)
    first = versions[0].object
    told = (condition(first, "Ready"), condition(first, "ContainersReady"), statuses(first)["app"]["ready"])
    assert told == ("False", "False", False)
    ready = next(v.arrival for v in versions if condition(v.object, "Ready") == "True")
    assert min(p.at for p in client.probes if p.body == "2") < ready


def test_a_startup_probe_is_carried_over_by_name(scene: Scene) -> None:
    """`started: true`, Ready and ContainersReady, of a new container that does not answer yet: unless its probe's worker comes
    first, as on a busy machine it may."""
    uid = serve(scene, [app(scene, boot=10, readiness=False, startup=True)])
    for version in "234234":
        with scene.stage.client_of_pod(scene.get("pod/a"), 0.05) as client:
            new = change(scene, f"app:{version}")
            scene.until(lambda version=version: any(p.body == version for p in client.probes), "it answers")  # type: ignore[misc]
        versions = with_id(scene.versions(uid), new)
        assert any(statuses(v.object)["app"]["started"] is False for v in versions), "it is found out in the end"
        if statuses(versions[0].object)["app"]["started"]:
            break
    assert statuses(versions[0].object)["app"]["started"] is True
    assert condition(versions[0].object, "ContainersReady") == "True"
    assert versions[0].arrival + 5 < min(p.at for p in client.probes if p.body == version)


def test_without_a_probe_running_is_ready(scene: Scene) -> None:
    uid = serve(scene, [app(scene, readiness=False)])
    new = change(scene, "app:2")
    first = with_id(scene.versions(uid), new)[0].object
    assert (statuses(first)["app"]["ready"], statuses(first)["app"]["started"]) == (True, True)


def test_the_image_of_a_plain_init_container_restarts_nothing(scene: Scene) -> None:
    once = {"name": "once", "image": scene.image("app:1"), "command": ["true"]}
    serve(scene, [app(scene)], initContainers=[once])
    before = {name: s["containerID"] for name, s in container_statuses(scene.get("pod/a")).items()}
    patched = scene.patch("pod/a", {"spec": {"initContainers": [{"name": "once", "image": scene.image("app:2")}]}})
    generation = patched["metadata"]["generation"]
    scene.until(lambda: scene.get("pod/a")["status"].get("observedGeneration") == generation, "seen", 10)
    scene.stage.let_pass(5)
    assert {name: s["containerID"] for name, s in container_statuses(scene.get("pod/a")).items()} == before
    assert scene.restarts() == {"a": {"app": 0, "once": 0}}


def test_the_image_of_a_sidecar_restarts_the_sidecar_alone(scene: Scene) -> None:
    sidecar = container("side", scene.image("side:1"), port=8081, sidecar=True)
    serve(scene, [app(scene), sidecar])
    before = identity(scene), identity(scene, "side")
    scene.patch("pod/a", {"spec": {"initContainers": [{"name": "side", "image": scene.image("side:2")}]}})
    scene.until(lambda: scene.restarts() == {"a": {"app": 0, "side": 1}}, "it is restarted")
    assert identity(scene) == before[0]
    assert identity(scene, "side") != before[1]


def test_a_service_that_publishes_not_ready_pods_goes_on_sending(scene: Scene) -> None:
    serve(scene, [app(scene)], service("a", publishNotReadyAddresses=True))
    scene.set_gate("a", "False")
    scene.until(lambda: endpoint(scene)["serving"] is False, "the slice follows", 5)
    assert endpoint(scene) == {"ready": True, "serving": False, "terminating": False}


def test_ready_belongs_to_the_kubelet(scene: Scene) -> None:
    """Written by somebody else it comes back."""
    serve(scene, [app(scene)])
    scene.patch("pod/a/status", {"status": {"conditions": [{"type": "Ready", "status": "False"}]}})
    scene.until(lambda: condition(scene.get("pod/a"), "Ready") == "True", "the kubelet says again what it thinks", 30)


@pytest.mark.parametrize(
    ("ref", "reasons"), [("app:missing", ("ErrImagePull", "ImagePullBackOff")), ("App:1", ("InvalidImageName",))]
)
def test_a_missing_image_stops_the_old_container_first(scene: Scene, ref: str, reasons: tuple[str, ...]) -> None:
    uid = serve(scene, [app(scene)])
    old = identity(scene)
    scene.set_images("pod/a", app=scene.image(ref))

    def waiting() -> str:
        return str(container_statuses(scene.get("pod/a"))["app"]["state"].get("waiting", {}).get("reason"))

    scene.until(lambda: waiting() == reasons[-1], reasons[-1], 60)
    status = container_statuses(scene.get("pod/a"))["app"]
    assert (status["containerID"], status["ready"], status["restartCount"]) == (old, False, 0)
    seen = [statuses(v.object)["app"]["state"].get("waiting", {}).get("reason") for v in scene.versions(uid)]
    assert {reasons[-1]} <= {r for r in seen if r} <= set(reasons)  # a busy kubelet tells only the last


def test_a_terminating_pod_is_not_ready_in_its_slices_but_serves(scene: Scene) -> None:
    serve(scene, [app(scene, pre_stop="sleep 3")], service("a"))
    scene.delete("pod/a")
    scene.until(lambda: endpoint(scene)["terminating"], "the slice follows", 5)
    assert endpoint(scene) == {"ready": False, "serving": True, "terminating": True}
