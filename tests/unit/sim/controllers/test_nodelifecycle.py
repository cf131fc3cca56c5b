"""Nodes that fall silent and come back, as the source of a real 1.36 has it (MarkPodsNotReady, taint eviction)."""

from tests.unit.sim.support import MERGE, Client, condition


def test_a_silent_nodes_pods_are_not_ready_their_containers_are() -> None:
    client = Client(nodes=1, events=True)
    client.deployment(replicas=2)
    client.run(4)
    before = client.live()
    client.cluster.stop_node("node1")
    client.run(39)
    assert {condition(pod, "Ready") for pod in client.live()} == {"True"}
    client.run(20)
    node = client.get("/api/v1/nodes/node1")
    assert {c["status"] for c in node["status"]["conditions"]} == {"Unknown"}
    assert [(t["key"], t["effect"]) for t in node["spec"]["taints"]] == [
        ("node.kubernetes.io/unreachable", "NoSchedule"),
        ("node.kubernetes.io/unreachable", "NoExecute"),
    ]
    for old, new in zip(before, client.live(), strict=True):
        assert (condition(new, "Ready"), condition(new, "ContainersReady")) == ("False", "True")
        assert new["status"]["containerStatuses"] == old["status"]["containerStatuses"]
        assert new["status"]["observedGeneration"] == old["status"]["observedGeneration"]
    assert client.get("deployments/web")["status"]["unavailableReplicas"] == 2
    assert "Node is not ready" in {event["message"] for event in client.all("events")}
    client.cluster.start_node("node1")
    client.run(3)
    assert {condition(pod, "Ready") for pod in client.live()} == {"True"}
    assert "taints" not in client.get("/api/v1/nodes/node1")["spec"]


def test_a_node_that_is_back_in_time_is_not_missed() -> None:
    client = Client(nodes=1)
    client.pod("a")
    client.run(4)
    for _ in range(4):
        client.cluster.stop_node("node1")
        client.run(30)
        client.cluster.start_node("node1")
        client.run(5)
        assert condition(client.get("pods/a"), "Ready") == "True"


def test_a_silent_nodes_pods_are_replaced_after_five_minutes() -> None:
    client = Client()
    client.deployment(replicas=2)
    client.daemon_set()
    client.run(4)
    lost = {pod["metadata"]["name"] for pod in client.live() if pod["spec"]["nodeName"] == "node1"}
    client.cluster.stop_node("node1")
    client.run(300)
    assert lost <= {pod["metadata"]["name"] for pod in client.live()}
    assert client.get("daemonsets/agent")["status"]["desiredNumberScheduled"] == 1  # it tolerates NoExecute only
    client.run(70)
    ending = {pod["metadata"]["name"]: pod for pod in client.all("pods") if "deletionTimestamp" in pod["metadata"]}
    assert set(ending) == {name for name in lost if name.startswith("web-")}
    assert all(condition(pod, "DisruptionTarget") == "True" for pod in ending.values())
    web = [pod for pod in client.live() if pod["metadata"]["labels"]["app"] == "web"]
    assert [pod["spec"]["nodeName"] for pod in web] == ["node2"] * 2
    client.cluster.start_node("node1")
    client.run(40)
    assert not any("deletionTimestamp" in pod["metadata"] for pod in client.all("pods"))
    assert client.get("daemonsets/agent")["status"]["numberAvailable"] == 2


def test_a_stateful_pod_on_a_lost_node_is_not_made_anew() -> None:
    """Two of one name would be worse than none."""
    client = Client()
    client.stateful_set(replicas=2)
    client.run(6)
    name, node = "db-1", client.get("pods/db-1")["spec"]["nodeName"]
    uid = client.get(f"pods/{name}")["metadata"]["uid"]
    client.cluster.stop_node(node)
    client.run(500)
    assert client.get(f"pods/{name}")["metadata"]["uid"] == uid
    client.cluster.start_node(node)
    client.run(40)
    assert client.get(f"pods/{name}")["metadata"]["uid"] != uid


def test_a_cordoned_node_gets_a_taint() -> None:
    client = Client()
    client.ok("PATCH", "/api/v1/nodes/node1", {"spec": {"unschedulable": True}}, MERGE)
    client.run(1)
    assert client.get("/api/v1/nodes/node1")["spec"]["taints"][0]["key"] == "node.kubernetes.io/unschedulable"
    client.deployment(replicas=2)
    client.run(3)
    assert {pod["spec"]["nodeName"] for pod in client.live()} == {"node2"}
    client.ok("PATCH", "/api/v1/nodes/node1", {"spec": {"unschedulable": None}}, MERGE)
    client.run(1)
    assert "taints" not in client.get("/api/v1/nodes/node1")["spec"]
