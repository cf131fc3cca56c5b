"""Deployments and ReplicaSets, as the commit without recreation relies on them (design, section 5)."""

from typing import Any

from tests.unit.sim.support import GATE, JSON_PATCH, MERGE, STRATEGIC, Client, condition

Json = dict[str, Any]
REVISION = "deployment.kubernetes.io/revision"


def _sets(client: Client) -> dict[str, Json]:
    """By image."""
    return {rs["spec"]["template"]["spec"]["containers"][0]["image"]: rs for rs in client.all("replicasets")}


def _uids(client: Client) -> set[str]:
    return {pod["metadata"]["uid"] for pod in client.live()}


def _is_complete(client: Client, name: str = "web") -> bool:
    deployment = client.get(f"deployments/{name}")
    status, wanted = deployment["status"], deployment["spec"]["replicas"]
    counts = [status.get(field, 0) for field in ("replicas", "updatedReplicas", "availableReplicas")]
    return bool(counts == [wanted] * 3 and status["observedGeneration"] == deployment["metadata"]["generation"])


def test_a_deployment_comes_up_and_says_so() -> None:
    client = Client(events=True)
    client.deployment(replicas=3)
    client.run(4)
    assert _is_complete(client)
    deployment = client.get("deployments/web")
    reasons = {c["type"]: (c["status"], c["reason"]) for c in deployment["status"]["conditions"]}
    assert reasons == {"Available": ("True", "MinimumReplicasAvailable"), "Progressing": ("True", "NewReplicaSetAvailable")}
    assert deployment["metadata"]["annotations"] == {REVISION: "1"}
    [replica_set] = client.all("replicasets")
    digest = replica_set["metadata"]["labels"]["pod-template-hash"]
    assert replica_set["metadata"]["name"] == f"web-{digest}"
    assert all(pod["metadata"]["labels"]["pod-template-hash"] == digest for pod in client.all("pods"))
    assert {pod["spec"]["nodeName"] for pod in client.all("pods")} == {"node1", "node2"}


def test_a_rolling_update_keeps_to_surge_and_max_unavailable() -> None:
    client = Client()
    client.deployment(replicas=4)
    client.run(4)
    before = _uids(client)
    client.set_image("deployments/web", "reg/app:2")
    ends_at = client.scheduler.now + 30
    most = least = 4
    while client.scheduler.now < ends_at and not _is_complete(client):
        client.scheduler.run_next()
        most = max(most, sum(rs["spec"]["replicas"] for rs in client.all("replicasets")))
        least = min(least, sum(condition(pod, "Ready") == "True" for pod in client.live()))
    assert _is_complete(client)
    assert (most, least) == (5, 3)
    assert not before & _uids(client)
    assert {rs["metadata"]["annotations"][REVISION] for rs in client.all("replicasets")} == {"1", "2"}


def test_recreate_stops_everything_first() -> None:
    client = Client()
    client.deployment(replicas=2, strategy={"type": "Recreate"})
    client.run(4)
    client.set_image("deployments/web", "reg/app:2")
    images: set[frozenset[str]] = set()
    ends_at = client.scheduler.now + 10
    while client.scheduler.now < ends_at and client.scheduler.run_next():
        running = [pod for pod in client.all("pods") if pod["status"]["phase"] in ("Pending", "Running")]
        images.add(frozenset(pod["spec"]["containers"][0]["image"] for pod in running))
    assert frozenset({"reg/app:1", "reg/app:2"}) not in images
    assert _is_complete(client)


def test_a_paused_deployment_only_scales_and_reports() -> None:
    client = Client()
    client.deployment(replicas=2)
    client.run(4)
    client.ok("PATCH", "deployments/web", {"spec": {"paused": True}}, MERGE)
    client.set_image("deployments/web", "reg/app:2")
    client.run(2)
    deployment = client.get("deployments/web")
    assert deployment["status"]["observedGeneration"] == deployment["metadata"]["generation"]
    assert "updatedReplicas" not in deployment["status"]
    assert condition(deployment, "Progressing") == "Unknown"
    client.ok("PATCH", "deployments/web/scale", {"spec": {"replicas": 4}}, MERGE)
    client.run(4)
    assert [rs["spec"]["replicas"] for rs in client.all("replicasets")] == [4]
    assert client.get("deployments/web")["status"]["readyReplicas"] == 4


def _commit(client: Client, image: str) -> None:
    """The design's sequence, by hand: pods in place are left out."""
    [old] = [rs for rs in client.all("replicasets") if rs["spec"]["replicas"]]
    name = old["metadata"]["name"]
    client.ok("PATCH", "deployments/web", {"spec": {"paused": True}}, MERGE)
    client.run(0.5)
    client.set_image(f"replicasets/{name}", image)
    client.run(0.5)
    client.set_image("deployments/web", image)
    client.run(0.5)
    status = client.get("deployments/web")["status"]
    assert status["updatedReplicas"] == old["spec"]["replicas"]
    digest = f"old-{old['metadata']['annotations'][REVISION]}"
    labels = {"app": "web", "pod-template-hash": digest}
    template = old["spec"]["template"]
    tombstone = {
        "metadata": {
            "name": f"web-{digest}",
            "labels": labels,
            "annotations": {REVISION: old["metadata"]["annotations"][REVISION]},
            "ownerReferences": old["metadata"]["ownerReferences"],
        },
        "spec": {
            "replicas": 0,
            "selector": {"matchLabels": labels},
            "template": {**template, "metadata": {"labels": labels}},
        },
    }
    client.ok("POST", "replicasets", tombstone)
    client.run(0.5)
    client.ok("PATCH", "deployments/web", {"spec": {"paused": None}}, MERGE)


def test_a_template_last_commit_only_makes_history() -> None:
    client = Client()
    client.deployment(replicas=3)
    client.run(4)
    before = _uids(client)
    _commit(client, "reg/app:2")
    client.run(5)
    assert _uids(client) == before
    assert _is_complete(client)
    revisions = {image: rs["metadata"]["annotations"][REVISION] for image, rs in _sets(client).items()}
    assert revisions == {"reg/app:1": "1", "reg/app:2": "2"}
    assert client.get("deployments/web")["metadata"]["annotations"][REVISION] == "2"


def test_undo_to_a_tombstone_is_a_classic_rollout() -> None:
    client = Client()
    client.deployment(replicas=2)
    client.run(4)
    _commit(client, "reg/app:2")
    client.run(3)
    before = _uids(client)
    template = _sets(client)["reg/app:1"]["spec"]["template"]
    labels = {"app": "web"}
    value = {**template, "metadata": {"labels": labels}}
    client.ok("PATCH", "deployments/web", [{"op": "replace", "path": "/spec/template", "value": value}], JSON_PATCH)
    client.run(10)
    assert _is_complete(client)
    assert not before & _uids(client)
    notes = _sets(client)["reg/app:1"]["metadata"]["annotations"]
    assert (notes[REVISION], notes["deployment.kubernetes.io/revision-history"]) == ("3", "1")


def test_unpausing_before_the_replica_set_recreates_all() -> None:
    client = Client()
    client.deployment(replicas=2)
    client.run(4)
    before = _uids(client)
    client.ok("PATCH", "deployments/web", {"spec": {"paused": True}}, MERGE)
    client.set_image("deployments/web", "reg/app:2")
    client.run(1)
    client.ok("PATCH", "deployments/web", {"spec": {"paused": None}}, MERGE)
    client.run(10)
    assert not before & _uids(client)


def test_the_oldest_twin_is_taken_for_the_new_replica_set() -> None:
    """A return to an image used before: the ReplicaSet patched last is not the one that counts."""
    client = Client()
    client.deployment(replicas=2)
    client.run(4)
    client.set_image("deployments/web", "reg/app:2")
    client.run(8)
    [live] = [rs["metadata"]["name"] for rs in client.all("replicasets") if rs["spec"]["replicas"]]
    client.ok("PATCH", "deployments/web", {"spec": {"paused": True}}, MERGE)
    client.set_image(f"replicasets/{live}", "reg/app:1")
    client.set_image("deployments/web", "reg/app:1")
    client.run(2)
    assert "updatedReplicas" not in client.get("deployments/web")["status"]


def test_history_is_cut_to_its_limit_while_paused_too() -> None:
    client = Client()
    client.deployment(replicas=1, revisionHistoryLimit=1)
    for number in (2, 3):
        client.run(6)
        client.set_image("deployments/web", f"reg/app:{number}")
    client.run(6)
    assert sorted(_sets(client)) == ["reg/app:2", "reg/app:3"]
    client.ok("PATCH", "deployments/web", {"spec": {"paused": True, "revisionHistoryLimit": 0}}, MERGE)
    client.run(1)
    assert sorted(_sets(client)) == ["reg/app:3"]


def test_progress_has_a_deadline() -> None:
    client = Client()
    client.deployment(image="reg/app:missing", replicas=1, progressDeadlineSeconds=30)
    client.run(60)
    progressing = next(c for c in client.get("deployments/web")["status"]["conditions"] if c["type"] == "Progressing")
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")


def test_min_ready_seconds_delay_availability() -> None:
    client = Client()
    client.deployment(replicas=1, minReadySeconds=10)
    client.run(5)
    status = client.get("deployments/web")["status"]
    assert (status["readyReplicas"], status.get("availableReplicas", 0)) == (1, 0)
    client.run(10)
    assert client.get("deployments/web")["status"]["availableReplicas"] == 1


def test_a_replica_set_uses_its_template_for_new_pods_only() -> None:
    client = Client()
    client.deployment(replicas=2)
    client.run(4)
    client.ok("PATCH", "deployments/web", {"spec": {"paused": True}}, MERGE)
    [replica_set] = client.all("replicasets")
    path = f"replicasets/{replica_set['metadata']['name']}"
    client.set_image(path, "reg/app:2")
    client.run(2)
    found = client.get(path)
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"] == 2
    assert {pod["spec"]["containers"][0]["image"] for pod in client.live()} == {"reg/app:1"}
    client.ok("DELETE", f"pods/{client.live()[0]['metadata']['name']}")
    client.run(3)
    assert sorted(pod["spec"]["containers"][0]["image"] for pod in client.live()) == ["reg/app:1", "reg/app:2"]


def test_scaling_down_takes_unready_pods_then_the_newest_ready() -> None:
    client = Client(nodes=1)
    client.deployment(replicas=4, gate=True)
    client.run(3)
    names = [pod["metadata"]["name"] for pod in client.live()]
    client.set_gate(names[0], "True")
    client.set_gate(names[1], "True")
    client.run(300)
    client.set_gate(names[2], "True")
    client.run(5)
    client.ok("PATCH", "deployments/web/scale", {"spec": {"replicas": 3}}, MERGE)
    client.run(1)
    assert names[3] not in [pod["metadata"]["name"] for pod in client.live()]
    client.ok("PATCH", "deployments/web/scale", {"spec": {"replicas": 2}}, MERGE)
    client.run(1)
    assert {pod["metadata"]["name"] for pod in client.live()} == {names[0], names[1]}


def test_orphans_that_match_are_adopted_and_strangers_released() -> None:
    client = Client()
    client.deployment(replicas=1)
    client.run(3)
    [pod] = client.live()
    name = pod["metadata"]["name"]
    client.ok("PATCH", f"pods/{name}", {"metadata": {"labels": {"app": "other"}}}, STRATEGIC)
    client.run(3)
    assert "ownerReferences" not in client.get(f"pods/{name}")["metadata"]
    assert len(client.live()) == 2
    client.ok("PATCH", f"pods/{name}", {"metadata": {"labels": {"app": "web"}}}, STRATEGIC)
    client.run(3)
    assert len(client.live()) == 1


def test_a_gated_pod_waits_for_its_gate() -> None:
    client = Client()
    client.deployment(replicas=1, gate=True)
    client.run(5)
    [pod] = client.live()
    ready = next(c for c in pod["status"]["conditions"] if c["type"] == "Ready")
    text = f'corresponding condition of pod readiness gate "{GATE}" does not exist.'
    assert (ready["status"], ready["reason"], ready["message"]) == ("False", "ReadinessGatesNotReady", text)
    client.set_gate(pod["metadata"]["name"], "True")
    client.run(3)
    assert _is_complete(client)
