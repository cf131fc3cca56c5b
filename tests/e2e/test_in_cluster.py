"""The controller as it is shipped: two pods of its own image, with the manifests' rights; on a real cluster alone."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.paths import binaries
from tests.cluster.processes import environment
from tests.cluster.wait import eventually
from tests.e2e.command import Inplace
from tests.recorder import Rules
from tests.scenarios.facts import any_patched, back
from tests.scenarios.manifests import deployment, service
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene

ONE = {"maxUnavailable": 1}
CONTROLLER = "deploy/inplace-controller"


@pytest.fixture
def home(cluster: Cluster, ns: str, inplace: Inplace, program: str) -> str:
    """The namespace, with a controller in it that works there alone."""
    restricted = "pod-security.kubernetes.io/enforce"
    cluster.kubectl("label", "namespace", ns, f"{restricted}=restricted")
    inplace("install", "--crds-only")
    installed = inplace("install", "--namespace-only", "-n", ns, "--image", program)
    assert installed.code == 0, installed
    cluster.kubectl("-n", ns, "rollout", "status", CONTROLLER, "--timeout=240s")
    cluster.kubectl("label", "namespace", ns, f"{restricted}-")  # what is upgraded here is not so strict
    return ns


def leader(cluster: Cluster, ns: str) -> str:
    """The pod that holds the controller's Lease."""
    holder = cluster.kubectl("-n", ns, "get", "lease", "inplace-controller", "-o=jsonpath={.spec.holderIdentity}", check=False)
    pods = json.loads(cluster.kubectl("-n", ns, "get", "pods", "-l", "app.kubernetes.io/name=inplace", "-o", "json"))["items"]
    return next((pod["metadata"]["name"] for pod in pods if holder.startswith(pod["metadata"]["name"])), "")


@contextmanager
def get_watch(cluster: Cluster, ns: str, out: Path) -> Iterator[None]:
    """`kubectl get ipr -w` writes to that file meanwhile."""
    env = {**environment(), "KUBECONFIG": cluster.kubeconfig, "KUBECACHEDIR": str(out.parent)}
    with out.open("wb") as stdout:
        watch = subprocess.Popen([binaries() / "kubectl", "-n", ns, "get", "ipr", "-w"], stdout=stdout, env=env)
    try:
        yield
    finally:
        watch.kill()
        watch.wait()


COLUMNS = ["NAME", "TARGET", "IMAGE", "DESIRED", "UPDATED", "READY", "DRAINING", "STATUS", "MESSAGE", "AGE"]


def rows_of(out: Path) -> list[dict[str, str]]:
    """What a person saw, up to the status: a row for each change once there is a status."""
    head, *lines = out.read_text().splitlines() or [""]
    assert head.split() == COLUMNS
    rows = [line.split() for line in lines]
    return [dict(zip(COLUMNS[:8], row, strict=False)) for row in rows if len(row) > 8]


def test_gates_and_a_rollout_survive_the_leaders_death(
    cluster: Cluster, home: str, scene: Scene, inplace: Inplace, tmp_path: Path
) -> None:
    """Gates of new pods are opened by it; the leader dies in the middle; the other goes on with the same run."""
    scene.create(deployment("web", scene.image("app:1"), replicas=3), service("web"))
    cluster.kubectl("-n", home, "rollout", "status", "deploy/web", "--timeout=120s")
    scene.witness.mark()
    before = {p["metadata"]["name"]: p["metadata"]["uid"] for p in scene.pods("app=web")}
    rollouts = Rollouts(scene)
    with get_watch(cluster, home, tmp_path / "watch"):
        rollouts.apply("up", app="app:2", strategy={**ONE, "steps": [{"pods": 2}, {"pause": {}}, {"pods": "100%"}]})
        scene.until_seen(any_patched(scene.image("app:2")), "the first pod is patched", 120)
        first = eventually(lambda: leader(cluster, home), "somebody leads", 60)
        run = scene.stored_run()
        cluster.kubectl("-n", home, "delete", "pod", first, "--grace-period=0", "--force")
        rollouts.until("up", "Paused", 240)
        assert leader(cluster, home) not in ("", first)
        assert scene.stored_run()["id"] == run["id"]
        refused = inplace("uninstall", "--namespace-only")
        assert refused.code == 5
        assert f"deploy/web in {home} (held by controller/{home}/" in refused.stderr
        promoted = inplace("promote", "deploy/web", "-n", home)
        assert promoted.code == 0, promoted
        cluster.kubectl("-n", home, "wait", "--for=condition=Ready", "ipr/up", "--timeout=240s")
        scene.until(lambda: rows_of(tmp_path / "watch")[-1]["STATUS"] == "Succeeded", "the watch says so", 30)
    rows = rows_of(tmp_path / "watch")
    updated = [int(row["UPDATED"]) for row in rows]
    assert updated == sorted(updated)
    assert set(updated) == {0, 1, 2, 3}
    assert {"Progressing", "Paused", "Succeeded"} <= {row["STATUS"] for row in rows}
    assert rows[-1]["READY"] == "3"
    after = {p["metadata"]["name"]: p for p in scene.pods("app=web")}
    assert {name: pod["metadata"]["uid"] for name, pod in after.items()} == before
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in after.values()] == [1, 1, 1]
    scene.witness.check(Rules(1, "Deployment/web", upgraded=3))
    assert scene.history() == {1: "app:1", 2: "app:2"}
    events = cluster.kubectl("-n", home, "get", "events.events.k8s.io", "-o=jsonpath={.items[*].reason}").split()
    assert {"RunStarted", "RunPaused", "RunSucceeded", "PodUpgraded"} <= set(events)
    gone = inplace("uninstall", "--namespace-only")
    assert gone.code == 0, gone
    assert f"warning: the template of deploy/web in {home} carries the gate inplace.dev/ready" in gone.stderr
    cluster.kubectl("-n", home, "delete", "ipr", "up", "--timeout=30s")


@pytest.mark.proof
def test_three_leaders_die_in_one_run(cluster: Cluster, home: str, scene: Scene) -> None:
    scene.create(deployment("web", scene.image("app:1"), replicas=8), service("web"))
    cluster.kubectl("-n", home, "rollout", "status", "deploy/web", "--timeout=120s")
    scene.witness.mark()
    before = {p["metadata"]["name"]: p["metadata"]["uid"] for p in scene.pods("app=web")}
    rollouts = Rollouts(scene)
    rollouts.apply("up", app="app:2", strategy=ONE)
    for done in (1, 2, 3):
        scene.until_seen(back(scene.image("app:2"), done), f"{done} pods are back", 120)
        dead = eventually(lambda: leader(cluster, home), "somebody leads", 60)
        cluster.kubectl("-n", home, "delete", "pod", dead, "--grace-period=0", "--force")
        eventually(lambda dead=dead: leader(cluster, home) not in ("", dead), "another leads", 90)  # type: ignore[misc]
    rollouts.until("up", "Succeeded", 240)
    after = {p["metadata"]["name"]: p for p in scene.pods("app=web")}
    assert {name: pod["metadata"]["uid"] for name, pod in after.items()} == before
    assert [pod["status"]["containerStatuses"][0]["restartCount"] for pod in after.values()] == [1] * 8
    scene.witness.check(Rules(1, "Deployment/web", upgraded=8))


def test_a_revoked_right_stops_a_rollout_until_it_is_granted(cluster: Cluster, home: str, scene: Scene) -> None:
    scene.create(deployment("web", scene.image("app:1"), replicas=2), service("web"))
    cluster.kubectl("-n", home, "rollout", "status", "deploy/web", "--timeout=120s")
    role = json.loads(cluster.kubectl("-n", home, "get", "role", "inplace-controller", "-o", "json"))
    without = json.loads(json.dumps(role["rules"]))
    for rule in without:
        if rule["resources"] == ["pods"] or "pods" in rule["resources"]:
            rule["verbs"] = [verb for verb in rule["verbs"] if verb != "patch"]
    rollouts = Rollouts(scene)
    cluster.kubectl("-n", home, "patch", "role", "inplace-controller", "--type=merge", "-p", json.dumps({"rules": without}))
    rollouts.apply("up", app="app:2", strategy=ONE)

    def says_why() -> bool:
        status = rollouts.status("up")
        assert status.get("phase") != "Failed", status
        return any(words in status.get("message", "").lower() for words in ("forbidden", "may not patch"))

    scene.until(says_why, "the status says what is refused", 120)
    back = json.dumps({"rules": role["rules"]})
    cluster.kubectl("-n", home, "patch", "role", "inplace-controller", "--type=merge", "-p", back)
    rollouts.until("up", "Succeeded", 240)
    assert all(p["status"]["containerStatuses"][0]["restartCount"] == 1 for p in scene.pods("app=web"))
