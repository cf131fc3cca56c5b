"""Admission sees every create and update, whoever asks, and dry runs too; quotas count."""

from typing import Any

from inplace.sim.api.admission import Attributes
from inplace.sim.objects.errors import forbidden
from inplace.sim.objects.kinds import PODS, REPLICA_SETS
from tests.unit.sim.support import MERGE, Client

Json = dict[str, Any]


def labelled(asked: Attributes) -> Json:
    """What a plugin may do to any object."""
    meta = asked.obj["metadata"]
    seen = f"{asked.operation}.{asked.subresource or 'main'}"
    return {**asked.obj, "metadata": {**meta, "labels": {**(meta.get("labels") or {}), "seen": seen}}}


def test_admission_changes_what_is_stored_and_dry_runs_show_it() -> None:
    client = Client()
    client.cluster.registry.admission.append(lambda asked: labelled(asked) if asked.kind is PODS else asked.obj)
    tried = client.ok(
        "POST", "pods", {"metadata": {"name": "a"}, "spec": {"containers": [{"name": "app", "image": "x"}]}}, dryRun="All"
    )
    assert tried["metadata"]["labels"]["seen"] == "CREATE.main"
    client.pod("a")
    assert client.get("pods/a")["metadata"]["labels"]["seen"] == "CREATE.main"
    client.run(3)
    assert client.get("pods/a")["metadata"]["labels"]["seen"] == "UPDATE.status", "the kubelet's writes go through it, too"
    made = client.ok("PATCH", "pods/a", {"metadata": {"labels": {"x": "y"}}}, MERGE, dryRun="All")
    assert made["metadata"]["labels"]["seen"] == "UPDATE.main"
    assert "x" not in client.get("pods/a")["metadata"]["labels"]


def test_admission_refuses_controllers_and_they_try_again() -> None:
    client = Client()

    def no_pods(asked: Attributes) -> Json:
        if asked.kind is PODS and asked.operation == "CREATE":
            raise forbidden("pods", "", "", "not today")
        return asked.obj

    client.cluster.registry.admission.append(no_pods)
    client.deployment(replicas=2)
    client.run(5)
    assert client.all("pods") == []
    client.cluster.registry.admission.remove(no_pods)
    client.run(5)
    assert len(client.all("pods")) == 2


def test_a_quota_of_objects_holds_in_a_dry_run_too() -> None:
    client = Client()
    client.ok("POST", "resourcequotas", {"metadata": {"name": "few"}, "spec": {"hard": {"count/replicasets.apps": "1"}}})
    client.deployment(replicas=1)
    client.run(3)
    assert client.get("resourcequotas/few")["status"]["used"] == {"count/replicasets.apps": "1"}
    spec = {
        "selector": {"matchLabels": {"a": "b"}},
        "template": {"metadata": {"labels": {"a": "b"}}, "spec": {"containers": [{"name": "app", "image": "x"}]}},
    }
    said = client.refused("POST", "replicasets", {"metadata": {"name": "more"}, "spec": spec}, dryRun="All")
    counted = "count/replicasets.apps"
    text = f"exceeded quota: few, requested: {counted}=1, used: {counted}=1, limited: {counted}=1"
    assert said == (403, f'replicasets.apps "more" is forbidden: {text}')
    for item in client.cluster.store.ordered(REPLICA_SETS):
        client.ok("DELETE", f"replicasets/{item.name}", {"propagationPolicy": "Background"})
    assert client.send("POST", "replicasets", {"metadata": {"name": "more"}, "spec": spec})[0] == 201
