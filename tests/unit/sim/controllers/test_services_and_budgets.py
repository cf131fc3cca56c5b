"""EndpointSlices and PodDisruptionBudgets, and what cleans up."""

from typing import Any

import pytest

from tests.unit.sim.support import MERGE, Client

Json = dict[str, Any]


def _endpoints(client: Client, service: str = "web") -> list[Json]:
    slices = client.ok("GET", "endpointslices", labelSelector=f"kubernetes.io/service-name={service}")["items"]
    return [endpoint for each in slices for endpoint in each["endpoints"]]


def _says(endpoint: Json) -> tuple[bool, bool, bool]:
    conditions = endpoint["conditions"]
    return conditions["ready"], conditions["serving"], conditions["terminating"]


def test_a_closed_gate_keeps_the_pod_listed_and_not_ready() -> None:
    client = Client()
    client.service()
    client.deployment(replicas=2, gate=True)
    client.run(3)
    names = [pod["metadata"]["name"] for pod in client.live()]
    for name in names:
        client.set_gate(name, "True")
    client.run(3)
    assert [_says(endpoint) for endpoint in _endpoints(client)] == [(True, True, False)] * 2
    client.set_gate(names[0], "False")
    client.run(1.5)
    found = {endpoint["targetRef"]["name"]: _says(endpoint) for endpoint in _endpoints(client)}
    assert found == {names[0]: (False, False, False), names[1]: (True, True, False)}
    assert client.all("endpointslices")[0]["ports"] == [{"name": "", "protocol": "TCP", "port": 8080}]


def test_a_terminating_pod_serves_until_it_is_over() -> None:
    client = Client()
    client.service()
    client.pod("web", container={"lifecycle": {"preStop": {"sleep": {"seconds": 5}}}})
    client.run(3)
    client.ok("DELETE", "pods/web")
    client.run(1)
    assert [_says(endpoint) for endpoint in _endpoints(client)] == [(False, True, True)]
    client.run(6)
    assert _endpoints(client) == []
    assert client.all("endpointslices")


def test_a_service_that_publishes_not_ready_pods_keeps_sending() -> None:
    client = Client()
    client.service(publishNotReadyAddresses=True)
    client.pod("web", gate=True)
    client.run(3)
    assert [_says(endpoint) for endpoint in _endpoints(client)] == [(True, False, False)]


def test_a_slice_holds_a_hundred() -> None:
    client = Client()
    client.service()
    client.deployment(replicas=230)
    client.run(6)
    assert sorted(len(each["endpoints"]) for each in client.all("endpointslices")) == [30, 100, 100]
    assert len({endpoint["targetRef"]["uid"] for endpoint in _endpoints(client)}) == 230


def test_slices_go_with_their_service_and_come_back_when_deleted() -> None:
    client = Client()
    client.service()
    client.pod("web")
    client.run(3)
    name = client.all("endpointslices")[0]["metadata"]["name"]
    client.ok("DELETE", f"endpointslices/{name}")
    client.run(1)
    assert len(_endpoints(client)) == 1
    client.ok("DELETE", "services/web")
    client.run(1)
    assert client.all("endpointslices") == []


def test_named_ports_are_looked_up_in_the_pod() -> None:
    client = Client()
    client.service(ports=[{"name": "web", "port": 80, "targetPort": "http"}])
    client.pod("web", container={"ports": [{"name": "http", "containerPort": 9090}]})
    client.run(3)
    assert client.all("endpointslices")[0]["ports"] == [{"name": "web", "protocol": "TCP", "port": 9090}]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 2}, (3, 2, 3, 1)),
        ({"minAvailable": "50%"}, (3, 2, 3, 1)),
        ({"maxUnavailable": 1}, (3, 2, 3, 1)),
        ({"maxUnavailable": 0}, (3, 3, 3, 0)),
    ],
)
def test_disruption_budgets_count(spec: Json, expected: tuple[int, ...]) -> None:
    client = Client()
    client.deployment(replicas=3)
    body = {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, **spec}}
    client.ok("POST", "poddisruptionbudgets", body)
    client.run(4)
    status = client.get("poddisruptionbudgets/b")["status"]
    fields = ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed")
    assert tuple(status[field] for field in fields) == expected


def test_an_eviction_keeps_to_the_budget() -> None:
    client = Client()
    client.deployment(replicas=1)
    body = {"metadata": {"name": "b"}, "spec": {"selector": {"matchLabels": {"app": "web"}}, "minAvailable": 1}}
    client.ok("POST", "poddisruptionbudgets", body)
    client.run(4)
    name = client.live()[0]["metadata"]["name"]
    code, message = client.refused("POST", f"pods/{name}/eviction", {"metadata": {"name": name}})
    assert (code, message) == (429, "Cannot evict pod as it would violate the pod's disruption budget.")
    client.ok("PATCH", "poddisruptionbudgets/b", {"spec": {"minAvailable": 0}}, MERGE)
    client.run(1)
    client.ok("POST", f"pods/{name}/eviction", {"metadata": {"name": name}})
    assert "deletionTimestamp" in client.get(f"pods/{name}")["metadata"]


@pytest.mark.parametrize("policy", ["Background", "Foreground"])
def test_deleting_a_deployment_takes_everything_it_owns(policy: str) -> None:
    client = Client()
    client.deployment(replicas=2)
    client.run(4)
    client.ok("DELETE", "deployments/web", {"propagationPolicy": policy})
    client.run(5)
    assert [client.all(plural) for plural in ("deployments", "replicasets", "pods")] == [[], [], []]


def test_orphans_stay() -> None:
    client = Client()
    client.deployment(replicas=2)
    client.run(4)
    client.ok("DELETE", "deployments/web", {"propagationPolicy": "Orphan"})
    client.run(5)
    assert len(client.live()) == 2
    assert "ownerReferences" not in client.all("replicasets")[0]["metadata"]


def test_a_namespace_is_emptied_and_goes() -> None:
    client = Client()
    client.service()
    client.deployment(replicas=2)
    client.run(4)
    client.ok("DELETE", "/api/v1/namespaces/shop")
    assert client.get("/api/v1/namespaces/shop")["status"]["phase"] == "Terminating"
    code, message = client.refused("POST", "configmaps", {"metadata": {"name": "late"}})
    assert code == 403
    assert "because it is being terminated" in message
    client.run(5)
    assert client.refused("GET", "/api/v1/namespaces/shop")[0] == 404
