"""What clients see: Services of all kinds, a PodDisruptionBudget, and not one failed request."""

import time
from collections.abc import Iterator

from tests.e2e import support
from tests.e2e.scenarios import Scene
from tests.e2e.support import Object, Prober, condition, container, deployment, service
from tests.recorder.history import replay


def test_no_request_fails(scene: Scene) -> None:
    """50 new connections a second through the Service's IP, an app with a preStop of 1 s, all defaults."""
    app = container("app", scene.image("app:1"))
    app["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
    scene.deploy(deployment("web", [app], replicas=4), service("web"), count=4)
    with Prober(support.service_ip(scene.cluster, scene.ns, "web"), interval=0.02) as client:
        began = time.monotonic()
        scene.upgrade("--max-unavailable", "2", settle=None, app="app:2")
        took = time.monotonic() - began
    print(f"FIGURES {len(client.failures)} of {len(client.probes)} requests failed, {len(client.probes) / took:.0f} per second")

    assert client.failures == []
    assert len(client.probes) >= took * 25  # however busy the machine is
    assert client.bodies == {"1", "2"}
    scene.check(upgraded=4, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(4, app="app:2")


def test_several_services(scene: Scene) -> None:
    """All are waited for but peer discovery, which goes on listing a closed pod by design; that is said."""
    services = [
        service("web"),
        {**service("admin"), "spec": {**service("web")["spec"]}},
        {**service("direct", headless=True), "spec": {**service("web", headless=True)["spec"]}},
        {**service("peers"), "spec": service("web", headless=True, publishNotReadyAddresses=True)["spec"]},
    ]
    scene.deploy(deployment("web", scene.image("app:1"), replicas=3), *services, count=3)
    support.eventually(lambda: len(listed(scene)) == 12, "all slices list all pods")
    scene.recorder.mark()
    ended = scene.upgrade("--max-unavailable", "1", app="app:2")

    assert "Service peers has publishNotReadyAddresses (headless, for peer discovery): it is not waited for" in ended.said
    scene.check(upgraded=3, undrainable=["peers"])
    scene.check_same_pods()
    scene.check_runs(3, app="app:2")
    turned = {name for name, ready in readiness_told(scene) if not ready}
    assert turned == {"web", "admin", "direct"}  # so the check above was not an empty one


def listed(scene: Scene) -> list[Object]:
    return [e for e in support.endpoints(scene.cluster, scene.ns) if e["conditions"].get("ready") is not False]


def readiness_told(scene: Scene) -> Iterator[tuple[str, bool]]:
    """Service and whether an endpoint is ready, of every version of every slice since the mark."""
    for event in scene.recorder.log():
        if event.kind == "EndpointSlice" and event.rv > scene.recorder.since:
            for endpoint in event.object.get("endpoints") or []:
                yield (
                    event.object["metadata"]["labels"]["kubernetes.io/service-name"],
                    endpoint["conditions"].get("ready") is not False,
                )


def test_no_service(scene: Scene) -> None:
    """Nobody to wait for: Ready False and one look at the slices are enough."""
    scene.deploy(deployment("web", scene.image("app:1"), replicas=2), count=2)
    scene.upgrade("--max-unavailable", "2", app="app:2")
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(2, app="app:2")


def test_a_disruption_budget(scene: Scene) -> None:
    """It allows one at a time where the command line would allow three."""
    budget = {
        "apiVersion": "policy/v1",
        "kind": "PodDisruptionBudget",
        "metadata": {"name": "careful"},
        "spec": {"minAvailable": 3, "selector": {"matchLabels": {"app": "web"}}},
    }
    scene.deploy(deployment("web", scene.image("app:1"), replicas=4), service("web"), budget, count=4)
    scene.kubectl("wait", "pdb/careful", "--for=jsonpath={.status.currentHealthy}=4", "--timeout=60s")
    scene.recorder.mark()
    ended = scene.upgrade("--max-unavailable", "3", app="app:2")

    assert "waiting for PodDisruptionBudget careful" in ended.said
    scene.check(upgraded=4, max_unavailable=1)
    scene.check_same_pods()
    scene.check_runs(4, app="app:2")
    assert fewest_ready(scene) == 3


def fewest_ready(scene: Scene) -> int:
    """Pods Ready at the worst moment since the mark."""
    counts = []
    for step in replay(scene.recorder.log()):
        if step.event.kind == "Pod" and step.event.rv > scene.recorder.since:
            pods = {**step.world.all("Pod"), step.event.uid: step.event.object}
            counts.append(sum(condition(p, "Ready") == "True" for p in pods.values()))
    return min(counts)
