"""What `inplace controller` sends: as whom, how often, and nothing at all when there is nothing to do."""

from __future__ import annotations

import json
from itertools import pairwise
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.e2e.command import Background, Inplace
from tests.e2e.controller_http import free_port, metric
from tests.e2e.proxy import Proxy
from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.facts import any_closed, back
from tests.scenarios.manifests import GATE, deployment, service
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene


def until_it_leads(scene: Scene, controller: Background) -> None:
    scene.until(lambda: '"leading"' in controller.stdout, "the controller leads", 60)


def told(pod: Object) -> tuple[str, ...] | None:
    """The condition, with why: a run that closes a pod which its label has closed already says so in it."""
    found = next((c for c in pod["status"].get("conditions") or () if c["type"] == GATE), None)
    return None if found is None else (found["status"], found.get("reason", ""), found.get("message", ""))


def test_a_gate_that_changes_is_written_once(cluster: Cluster, scene: Scene, rollouts: Rollouts) -> None:
    """Labels flip and pods come while a run goes on: a condition is written as often as it changes."""
    with Proxy(cluster) as proxy:
        rollouts.control("--server", proxy.url)
        scene.deploy(deployment("web", scene.image("app:1"), replicas=4), service("web"), count=4, gate=None)
        rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 2})
        scene.until_seen(any_closed, "the run is at work")
        names = sorted(scene.uids())
        for value in ("false", "true", "false"):
            for name in names[:2]:
                scene.label(f"pod/{name}", **{"inplace.dev/serve": value})
        scene.scale("deploy/web", 6)
        scene.until(lambda: len(scene.uids()) == 6, "two more")
        scene.label(f"pod/{names[0]}", **{"inplace.dev/serve": "true"})
        rollouts.until("up", "Succeeded")
        for value in ("true", "false", "true"):
            scene.label(f"pod/{names[3]}", **{"inplace.dev/serve": value})
            wanted = value.capitalize()
            scene.until(lambda wanted=wanted: condition(scene.get(f"pod/{names[3]}"), GATE) == wanted, "it follows", 30)  # type: ignore[misc]
        scene.check_quiet()
    born = {uid: [e for e in scene.witness.log() if e.uid == uid] for uid in scene.uids().values()}
    waited = [next(e.arrival for e in log if condition(e.object, GATE)) - log[0].arrival for log in born.values()]
    print(f"new pods had their condition after {max(waited):.2f} s at most")
    for name, uid in scene.uids().items():
        gates = [None, *(told(e.object) for e in sorted(scene.witness.log(), key=lambda e: e.rv) if e.uid == uid)]
        changes = sum(old != new for old, new in pairwise(gates))
        sent = [
            r.body
            for r in proxy.done
            if r.path.endswith(f"/pods/{name}/status") and "conditions" in json.loads(r.body).get("status", {})
        ]
        assert condition(scene.get(f"pod/{name}"), GATE) == ("False" if name == names[1] else "True"), (name, gates)
        assert len(sent) == changes, (name, gates, sent)


def token_of(cluster: Cluster, ns: str, secret: str) -> str:
    """A token of service account `runner` that is worth as much as this Secret lives."""
    body = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}}
    cluster.kubectl("-n", ns, "create", "-f-", input=json.dumps(body))
    bound = ("--bound-object-kind=Secret", f"--bound-object-name={secret}")
    return cluster.kubectl("-n", ns, "create", "token", "runner", *bound).strip()


@pytest.mark.proof
def test_a_token_is_rotated_in_the_middle_of_a_run(
    cluster: Cluster, scene: Scene, inplace: Inplace, rollouts: Rollouts, tmp_path: Path
) -> None:
    """Twice: first as the kubelet does it, the new one some time before the old is refused; then too late, so that for a while
    everything is refused."""
    cluster.kubectl("-n", scene.ns, "create", "serviceaccount", "runner")
    granted = ("--clusterrole=cluster-admin", f"--serviceaccount={scene.ns}:runner")
    cluster.kubectl("-n", scene.ns, "create", "rolebinding", "runner", *granted)
    file = tmp_path / "token"
    file.write_text(token_of(cluster, scene.ns, "one"))
    config = json.loads(cluster.kubeconfig_for("", tmp_path / "config", scene.ns).read_text())
    config["users"][0]["user"] = {"tokenFile": str(file)}
    (tmp_path / "config").write_text(json.dumps(config))

    scene.web(8)
    controller = inplace.start("controller", "--listen", "", "-n", scene.ns, env={"KUBECONFIG": str(tmp_path / "config")})
    until_it_leads(scene, controller)
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_closed, "the run is at work", 120)
    second = token_of(cluster, scene.ns, "two")
    file.write_text(second)
    cluster.kubectl("-n", scene.ns, "delete", "secret", "one")
    scene.until_seen(back(scene.image("app:2"), 4), "it goes on", 240)
    cluster.kubectl("-n", scene.ns, "delete", "secret", "two")
    scene.until(lambda: "Unauthorized" in controller.stdout, "it is refused", 120)
    assert rollouts.phase("up") == "Progressing"
    file.write_text(token_of(cluster, scene.ns, "three"))
    rollouts.until("up", "Succeeded", 300)
    assert second not in controller.stdout + controller.stderr
    scene.check(upgraded=8, writes=None)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 8)


@pytest.mark.proof
def test_at_rest_with_200_pods_nothing_is_written_memory_is_flat(scene: Scene, inplace: Inplace, rollouts: Rollouts) -> None:
    """For ten minutes, after a run of all of them."""
    port = free_port()
    scene.web(200)
    until_it_leads(scene, inplace.start("controller", "--listen", f"127.0.0.1:{port}"))
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": "20%"})
    rollouts.until("up", "Succeeded", 1200)
    scene.stage.let_pass(60)
    mark, before = scene.witness.version(), metric(port, "process_resident_memory_bytes")
    scene.stage.let_pass(600)
    after = metric(port, "process_resident_memory_bytes")
    print(f"memory: {before / 1e6:.1f} MB, ten minutes later {after / 1e6:.1f} MB")
    leases = [e for e in scene.witness.writes_after(mark) if (e.kind, e.name) == ("Lease", "inplace-controller")]
    assert len(leases) > 60
    assert [e for e in scene.our_writes(mark) if " Lease inplace-controller " not in e] == []
    assert after < 1.02 * before
