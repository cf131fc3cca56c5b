"""What clients see: Services of all kinds, a PodDisruptionBudget, and not one failed request."""

from collections.abc import Iterator

from tests.scenarios.facts import fewest_ready
from tests.scenarios.manifests import container, deployment, service
from tests.scenarios.scene import Scene


def test_no_request_fails(scene: Scene) -> None:
    """50 new connections a second through the Service's IP, an app with a preStop of 1 s, all defaults."""
    app = container("app", scene.image("app:1"))
    app["lifecycle"] = {"preStop": {"sleep": {"seconds": 1}}}
    scene.deploy(deployment("web", [app], replicas=4), service("web"), count=4)
    with scene.stage.client_of_service("web", interval=0.02) as client:
        began = scene.stage.now()
        scene.upgrade("--max-unavailable", "2", settle=None, app="app:2")
        took = scene.stage.now() - began
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
    ended = scene.upgrade("--max-unavailable", "1", app="app:2")

    assert "Service peers has publishNotReadyAddresses (headless, for peer discovery): it is not waited for" in ended.said
    scene.check(upgraded=3, undrainable=["peers"])
    scene.check_same_pods()
    scene.check_runs(3, app="app:2")
    turned = {name for name, ready in readiness_told(scene) if not ready}
    assert turned == {"web", "admin", "direct"}  # so the check above was not an empty one


def readiness_told(scene: Scene) -> Iterator[tuple[str, bool]]:
    """Service and whether an endpoint is ready, of every version of every slice since the mark."""
    for event in scene.witness.log():
        if event.kind == "EndpointSlice" and event.rv > scene.witness.since:
            for endpoint in event.object.get("endpoints") or []:
                yield (
                    event.object["metadata"]["labels"]["kubernetes.io/service-name"],
                    endpoint["conditions"].get("ready") is not False,
                )


def test_no_service(scene: Scene) -> None:
    """Nobody to wait for: Ready False and one look at the slices are enough."""
    scene.web(2, serve=False)
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
    scene.until(lambda: scene.get("pdb/careful").get("status", {}).get("currentHealthy") == 4, "the budget is counted")
    scene.witness.mark()
    ended = scene.upgrade("--max-unavailable", "3", app="app:2")

    assert "waiting for PodDisruptionBudget careful" in ended.said
    scene.check(upgraded=4, max_unavailable=1)
    scene.check_same_pods()
    scene.check_runs(4, app="app:2")
    assert fewest_ready(scene.witness.log(), scene.witness.since) == 3
