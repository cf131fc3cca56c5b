"""`inplace controller` where it takes real processes: one that is killed, one that stands by, one that is asked over HTTP."""

from __future__ import annotations

import signal
import time

import pytest

from tests.cluster import Cluster
from tests.e2e.command import Background, Inplace
from tests.e2e.controller_http import free_port, get, metric
from tests.e2e.proxy import Proxy
from tests.recorder.log import condition
from tests.scenarios.facts import any_patched, back
from tests.scenarios.manifests import pod
from tests.scenarios.rollouts import Rollouts
from tests.scenarios.scene import Scene

GATE, LABEL = "www.example.com/feature-1", "example"
LEASE = "inplace-controller"


def start(inplace: Inplace, port: int) -> Background:
    return inplace.start(
        "controller", "-n", inplace.namespace, "--listen", f"127.0.0.1:{port}", "--gate-rule", f"{GATE}={LABEL}"
    )


def until_gate(scene: Scene, name: str, status: str, seconds: float = 10) -> None:
    scene.until(lambda: condition(scene.get(f"pod/{name}"), GATE) == status, f"the gate of {name} {status}", seconds)


def holder(scene: Scene) -> str | None:
    found: str | None = scene.get(f"lease/{LEASE}")["spec"].get("holderIdentity")
    return found


def test_two_processes_one_works_and_the_other_takes_over(
    cluster: Cluster, scene: Scene, inplace: Inplace, rollouts: Rollouts
) -> None:
    scene.create(pod("old", scene.image("app:1"), gate=GATE))
    ports = free_port(), free_port()
    first = start(inplace, ports[0])
    scene.until(lambda: get(ports[0], "/readyz")[0] == 200, "the first is ready", 60)
    until_gate(scene, "old", "True")
    assert get(ports[0], "/livez") == (200, "ok")
    assert metric(ports[0], f'leader_election_master_status{{name="{LEASE}"}}') == 1
    assert metric(ports[0], 'workqueue_adds_total{name="gates"}') >= 1
    assert metric(ports[0], 'rest_client_requests_total{code="200"') >= 1
    scene.label("pod/old", **{LABEL: "false"})
    until_gate(scene, "old", "False")

    second = start(inplace, ports[1])
    scene.until(lambda: get(ports[1], "/readyz")[0] == 200, "the second is ready, though it does not lead", 60)
    scene.until(lambda: "standing by" in second.stdout, "the second stands by", 30)
    assert metric(ports[1], f'leader_election_master_status{{name="{LEASE}"}}') == 0
    led_by = holder(scene)
    first.send(signal.SIGKILL)
    killed_at = time.monotonic()
    scene.create(pod("new", scene.image("app:1"), gate=GATE))
    scene.until(lambda: holder(scene) != led_by, "the second takes over", 60)
    print(f"taken over {time.monotonic() - killed_at:.1f} s after the leader was killed")
    until_gate(scene, "new", "True")
    scene.label("pod/old", **{LABEL: "true"})
    until_gate(scene, "old", "True")

    second.send(signal.SIGTERM)
    ended = second.wait(30)
    assert (ended.code, ended.stderr) == (0, "")
    assert holder(scene) is None
    third = start(inplace, free_port())
    scene.until(lambda: '"leading"' in third.stdout, "a third leads without waiting for a Lease to grow old", 10)
    told = cluster.kubectl("-n", scene.ns, "get", "events", "-o=jsonpath={.items[*].reason}").split()
    assert {"GateClosed", "GateOpened"} <= set(told)


def test_a_leader_that_slept_too_long_lost_and_writes_no_more(scene: Scene, inplace: Inplace, rollouts: Rollouts) -> None:
    first = start(inplace, free_port())
    scene.until(lambda: '"leading"' in first.stdout, "the first leads", 60)
    second = start(inplace, free_port())
    scene.until(lambda: '"standing by"' in second.stdout, "the second stands by", 60)
    led_by = holder(scene)
    first.send(signal.SIGSTOP)
    scene.until(lambda: holder(scene) != led_by, "the second takes over", 60)
    scene.create(pod("web", scene.image("app:1"), gate=GATE))
    until_gate(scene, "web", "True")
    first.send(signal.SIGCONT)
    ended = first.wait(60)
    assert ended.code == 1
    assert "was taken over by" in ended.stderr
    assert "gate opened" not in first.stdout
    assert second.stdout.count("gate opened") == 1


@pytest.mark.proof
def test_a_leader_that_slept_in_a_run_touches_no_pod_any_more(scene: Scene, inplace: Inplace, rollouts: Rollouts) -> None:
    scene.web(4)
    first = start(inplace, free_port())
    scene.until(lambda: '"leading"' in first.stdout, "the first leads", 60)
    second = start(inplace, free_port())
    scene.until(lambda: '"standing by"' in second.stdout, "the second stands by", 60)
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    scene.until_seen(any_patched(scene.image("app:2")), "the first pod is patched", 120)
    led_by = holder(scene)
    first.send(signal.SIGSTOP)
    scene.until(lambda: holder(scene) != led_by, "the second takes over", 60)
    scene.until_seen(back(scene.image("app:2"), 2), "the second goes on", 120)
    first.send(signal.SIGCONT)
    assert first.wait(60).code == 1
    rollouts.until("up", "Succeeded", 240)
    scene.check(upgraded=4, writes=None)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 4)


@pytest.mark.proof
def test_the_api_server_is_gone_for_30_s_in_the_middle_of_a_run(
    cluster: Cluster, scene: Scene, inplace: Inplace, rollouts: Rollouts
) -> None:
    scene.web(4)
    with Proxy(cluster) as proxy:
        controller = inplace.start("controller", "-n", inplace.namespace, "--listen", "", "--server", proxy.url)
        scene.until(lambda: '"leading"' in controller.stdout, "it leads", 60)
        rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
        scene.until_seen(any_patched(scene.image("app:2")), "the first pod is patched", 120)
        proxy.go_away()
        here = scene.witness.version()
        scene.stage.let_pass(30)
        assert scene.our_writes(here) == []
        assert rollouts.phase("up") == "Progressing"
        proxy.is_away = False
        rollouts.until("up", "Succeeded", 240)
    scene.check(upgraded=4, writes=None)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 4)


def test_a_run_is_told_in_events_and_metrics(cluster: Cluster, scene: Scene, inplace: Inplace, rollouts: Rollouts) -> None:
    scene.web(2)
    port = free_port()
    controller = inplace.start("controller", "-n", inplace.namespace, "--listen", f"127.0.0.1:{port}")
    scene.until(lambda: '"leading"' in controller.stdout, "it leads", 60)
    rollouts.apply("up", app="app:2", strategy={"maxUnavailable": 1})
    rollouts.until("up", "Succeeded")

    def reasons() -> set[str]:
        told = cluster.kubectl(
            "-n", scene.ns, "get", "events", "-o=jsonpath={range .items[*]}{.involvedObject.kind} {.reason}{'\\n'}{end}"
        )
        return set(told.splitlines())

    wanted = {f"{kind} {reason}" for kind in ("InPlaceRollout", "Deployment") for reason in ("RunStarted", "RunSucceeded")}
    scene.until(lambda: {*wanted, "Pod PodClosed", "Pod PodUpgraded"} <= reasons(), "all events are there", 30)
    assert metric(port, "inplace_pods_upgraded_total") == 2
    assert metric(port, "inplace_pods_out_of_service") == 0
    assert metric(port, 'inplace_stage_duration_seconds_count{stage="Restarting"}') == 2
    scene.until(lambda: metric(port, 'inplace_rollouts{phase="Succeeded"}') == 1, "the rollout is counted", 10)
    page = get(port, "/metrics")[1]
    assert not any(item["metadata"]["name"] in page for item in scene.all("pod"))
