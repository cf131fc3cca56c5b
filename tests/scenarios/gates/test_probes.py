"""When a gate may open, for every kind of probe: as early as is safe, and never before the app answers."""

from contextlib import ExitStack

from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import Client
from tests.scenarios.facts import lists_ready, since, spans, started_at, turned
from tests.scenarios.manifests import GATE, container, deployment, service
from tests.scenarios.scene import Ended, Scene


def test_a_startup_probe_alone(scene: Scene) -> None:
    """The kubelet calls the restarted container started, and ContainersReady, for seconds before it answers."""
    app = container("app", scene.image("app:1"), boot=12, readiness=False, startup=True)
    scene.deploy(deployment("web", [app], replicas=2), service("web"), count=2)
    ended, clients = probed(scene, "--max-unavailable", "1", app="app:2")
    for uid, client in clients.items():
        check_honest(scene, uid, client, down_seconds=11.0)
    assert ended.report["phases"]["out"]["median"] < 25


def test_a_readiness_probe(scene: Scene) -> None:
    """The gate opens at once, and the probe alone decides when requests come back."""
    app = container("app", scene.image("app:1"), boot=3)
    scene.deploy(deployment("web", [app], replicas=2), service("web"), count=2)
    _, clients = probed(scene, "--max-unavailable", "2", max_unavailable=2, app="app:2")
    for uid, client in clients.items():
        check_honest(scene, uid, client, down_seconds=2.5)
        assert condition(scene.opening(uid).object, "ContainersReady") == "False"


def test_no_probe_at_all(scene: Scene) -> None:
    """Running counts as ready, as everywhere in Kubernetes, once it has lasted a little; that is said."""
    app = container("app", scene.image("app:1"), readiness=False)
    scene.deploy(deployment("web", [app], replicas=2), service("web"), count=2)
    ended = scene.upgrade("--max-unavailable", "2", app="app:2")
    assert "warning: container app has no readiness probe: it counts as ready once it has run for 3 seconds" in ended.said
    scene.check(upgraded=2, max_unavailable=2)
    scene.check_same_pods()
    scene.check_runs(2, app="app:2")
    for uid in scene.before.values():
        opened = scene.opening(uid).object
        assert (since(opened, GATE) - started_at(opened)).total_seconds() >= 3


def test_min_ready_seconds(scene: Scene) -> None:
    """The gate opens only after ContainersReady held for as long."""
    app = container("app", scene.image("app:1"), boot=2)
    scene.deploy(deployment("web", [app], replicas=2, min_ready_seconds=5), service("web"), count=2)
    _, clients = probed(scene, "--max-unavailable", "2", max_unavailable=2, app="app:2")
    for uid, client in clients.items():
        check_honest(scene, uid, client, down_seconds=1.5)
        opened = scene.opening(uid).object
        assert condition(opened, "ContainersReady") == "True"
        assert (since(opened, GATE) - since(opened, "ContainersReady")).total_seconds() >= 5
        # It was ContainersReady with the old container, too: it is the new one's that counts.
        assert len(turned(scene.versions(uid), "ContainersReady")) == 1
        assert since(opened, "ContainersReady") >= started_at(opened)


def probed(scene: Scene, *options: str, app: str, max_unavailable: int = 1) -> tuple[Ended, dict[str, Client]]:
    """An upgrade while every pod is asked at its own address every 100 ms; the clients by pod uid."""
    clients: dict[str, Client] = {p["metadata"]["uid"]: scene.stage.client_of_pod(p, interval=0.1) for p in scene.pods()}
    with ExitStack() as asking:
        for client in clients.values():
            asking.enter_context(client)
        ended = scene.upgrade(*options, app=app)
    scene.check(upgraded=len(clients), max_unavailable=max_unavailable)
    scene.check_same_pods()
    scene.check_runs(len(clients), app=app)
    return ended, clients


def check_honest(scene: Scene, uid: str, client: Client, down_seconds: float) -> None:
    """No request failed that was sent while a slice listed the pod as ready, or while it was Ready."""
    log = sorted(scene.witness.log(), key=lambda e: e.rv)
    listed = spans((e.arrival, lists_ready(e, uid)) for e in log if e.kind == "EndpointSlice")
    ready = spans((e.arrival, condition(e.object, "Ready") == "True") for e in log if e.uid == uid)
    failed = [p.at for p in client.failures]
    assert failed[-1] - failed[0] >= down_seconds, "it was never away"
    for told, during in (("listed as ready", listed), ("Ready", ready)):
        assert len(during) == 2, f"{told} {during}"  # before and after
        wrong = [at for at in failed for begin, end in during if begin <= at < end]
        assert not wrong, f"{len(wrong)} requests failed while the pod was {told}: at {wrong} of {during}"
