"""Traffic tells a careful restart from a careless one."""

from inplace.sim.traffic import Traffic
from tests.unit.sim.support import Client


def _up(replicas: int = 5) -> Client:
    client = Client(seed=3)
    client.service()
    client.deployment(replicas=replicas, gate=True)
    client.run(3)
    for pod in client.live():
        client.set_gate(pod["metadata"]["name"], "True")
    client.run(5)
    return client


def test_nobody_is_hurt_while_nothing_happens() -> None:
    client = _up()
    traffic = Traffic(client.cluster, "shop", "web", rate=100, kept_alive=3)
    client.run(20)
    assert 1500 < traffic.short.sent < 2500
    assert 550 < traffic.kept.sent < 650
    assert traffic.failed == 0


def test_restarts_without_a_drain_are_felt() -> None:
    client = _up()
    traffic = Traffic(client.cluster, "shop", "web", rate=200, kept_alive=5)
    for pod in client.live():
        client.set_image(f"pods/{pod['metadata']['name']}", "reg/app:2")
        client.run(4)
    assert traffic.short.refused > 0
    assert traffic.kept.dropped > 0
    assert {failure.why for failure in traffic.failures} <= {"refused", "cut"}


def test_a_drained_and_settled_pod_hurts_no_short_connection() -> None:
    client = _up()
    traffic = Traffic(client.cluster, "shop", "web", rate=200)
    for pod in client.live():
        name = pod["metadata"]["name"]
        client.set_gate(name, "False")
        client.run(2.5)
        client.set_image(f"pods/{name}", "reg/app:2")
        client.run(3)
        client.set_gate(name, "True")
        client.run(3)
    assert traffic.short.sent > 5000
    assert traffic.failed == 0


def test_a_request_under_way_is_cut_by_a_restart() -> None:
    client = _up(1)
    traffic = Traffic(client.cluster, "shop", "web", rate=20, answer_seconds=1.0)
    client.run(3)
    client.set_image(f"pods/{client.live()[0]['metadata']['name']}", "reg/app:2")
    client.run(3)
    assert traffic.short.cut > 0


def test_a_service_without_pods_sends_nowhere() -> None:
    client = Client()
    client.service()
    client.run(1)
    traffic = Traffic(client.cluster, "shop", "web", rate=10, kept_alive=1)
    client.run(2)
    assert traffic.short.nowhere == traffic.short.sent > 0
    traffic.stop()
    sent = traffic.sent
    client.run(2)
    assert traffic.sent == sent
