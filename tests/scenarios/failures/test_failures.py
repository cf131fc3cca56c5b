"""A bad image, a slice that never lets go, a time that runs out: few pods are hurt, and what to do next is said, and works."""

import signal

import pytest

from tests.recorder import Object
from tests.recorder.log import condition
from tests.scenarios.cluster_under_test import Result
from tests.scenarios.facts import any_patched
from tests.scenarios.manifests import GATE, container, deployment, service
from tests.scenarios.scene import Scene

BAD = {"no such tag": "app:missing", "crash": "app:crash", "crash without a probe": "app:crash"}


def hurt_by(scene: Scene, result: Result, bad: str, at_most: int) -> set[str]:
    """The pods with the bad image: few, and each failed one named, with the reason; the others untouched."""
    hurt = scene.on_image(bad)
    assert result.code == 1, result
    assert 1 <= len(hurt) <= at_most, hurt
    named = {line.split()[0].removeprefix("pod/") for line in result.stdout.splitlines() if line.startswith("  pod/")}
    assert named, result
    assert named <= hurt, result
    for pod in scene.pods():
        if pod["metadata"]["name"] not in hurt:
            assert condition(pod, "Ready") == "True"
            assert pod["metadata"]["generation"] == 1, "its spec was never written"
    return hurt


def heal(scene: Scene, ref: str, *options: str, history: dict[int, str], replicas: int = 3) -> None:
    healed = scene.inplace(*scene.command(*options, app=ref))
    assert healed.code == 0, healed
    scene.check_consistent(ref, history, replicas)


@pytest.mark.parametrize("why", BAD)
def test_a_bad_image_hurts_at_most_max_unavailable(scene: Scene, why: str) -> None:
    containers: str | list[Object] = scene.image("app:1")
    if why == "crash without a probe":
        containers = [container("app", scene.image("app:1"), readiness=False)]
    scene.deploy(deployment("web", containers, replicas=4), service("web"), count=4)

    failed = scene.inplace(*scene.command("--max-unavailable", "2", app=BAD[why]))
    hurt = hurt_by(scene, failed, BAD[why], 2)
    reason = "ImagePullBackOff" if BAD[why] == "app:missing" else "CrashLoopBackOff"
    assert any(f"pod/{name} {reason}: " in failed.stdout for name in hurt), failed
    assert f"inplace upgrade deploy/web app=IMAGE -n {scene.ns}" in failed.stderr, failed
    assert f"inplace abort deploy/web -n {scene.ns}" in failed.stderr, failed
    assert scene.history() == {1: "app:1"}, "the template is not touched before every pod is well"
    assert scene.stored_run()["outcome"] == "Failed"
    scene.witness.check(scene.crash_rules(2))

    heal(scene, "app:3", "--max-unavailable", "2", history={1: "app:1", 2: "app:3"}, replicas=4)
    scene.check_same_pods()
    scene.witness.check(scene.crash_rules(2, upgraded=4))


def test_back_from_a_bad_image(scene: Scene) -> None:
    """The advice of the failed run, followed: only what was hurt is restarted, and nothing is committed."""
    scene.web()
    failed = scene.inplace(*scene.command("--max-unavailable", "1", app="app:missing"))
    hurt_by(scene, failed, "app:missing", 1)
    advice = next(line for line in failed.stderr.splitlines() if line.startswith("go back:"))
    assert advice.split()[2:] == ["inplace", "abort", "deploy/web", "-n", scene.ns]
    went_back = scene.inplace(*advice.split()[3:])
    assert went_back.code == 0, went_back
    scene.check_same_pods()
    scene.check_consistent("app:1", {1: "app:1"}, outcome="Aborted")
    scene.witness.check(scene.crash_rules(1, upgraded=1))


@pytest.mark.parametrize("bad", ["app:missing", "app:crash"])
def test_rollback_on_failure(scene: Scene, bad: str) -> None:
    """Goes back in place by itself, and still says that it failed. The next upgrade starts afresh."""
    scene.web()
    failed = scene.inplace(*scene.command("--on-failure", "rollback", "--max-unavailable", "1", app=bad))
    assert failed.code == 1, failed
    assert "rolled back, because pod/web-" in failed.stdout, failed
    assert scene.on_image(bad) == set()
    scene.check_same_pods()
    assert {condition(p, "Ready") for p in scene.pods()} == {"True"}
    assert scene.history() == {1: "app:1"}
    scene.check_no_orphans()
    scene.witness.check(scene.crash_rules(1, upgraded=1))
    heal(scene, "app:2", "--max-unavailable", "1", history={1: "app:1", 2: "app:2"})
    scene.witness.check(scene.crash_rules(1, upgraded=3))


def clinging(name: str, pod: Object) -> Object:
    """A slice of nobody's Service that goes on sending to the pod whatever happens."""
    meta = pod["metadata"]
    ref = {"kind": "Pod", "namespace": meta["namespace"], "name": meta["name"], "uid": meta["uid"]}
    endpoint = {"addresses": [pod["status"]["podIP"]], "conditions": {"ready": True}, "targetRef": ref}
    return {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [endpoint],
        "ports": [{"port": 8080}],
    }


@pytest.mark.parametrize("how", ["--on-failure=pause", "--on-failure=continue", "--max-failed=1"])
def test_a_slice_that_never_lets_go(scene: Scene, how: str) -> None:
    """The gate is opened again and the image left alone; the others are upgraded where that was said, and none commits."""
    goes_on = how != "--on-failure=pause"
    scene.web()
    stuck = min(scene.pods(), key=lambda p: (p["spec"]["nodeName"], p["metadata"]["name"]))
    scene.create(clinging("mesh", stuck))
    options = ("--drain-timeout", "3s", how, "--max-unavailable", "1")
    failed = scene.inplace(*scene.command(*options, app="app:2"))
    name = stuck["metadata"]["name"]
    assert failed.code == 1, failed
    assert f"pod/{name} DrainTimeout: waiting for the EndpointSlices of mesh" in failed.stdout, failed
    others = set(scene.before) - {name}
    assert scene.on_image("app:2") == (others if goes_on else set())
    assert scene.history() == {1: "app:1"}
    scene.check_no_orphans()
    scene.witness.check(scene.crash_rules(1, upgraded=2 if goes_on else 0))

    scene.delete("slice/mesh")
    heal(scene, "app:2", "--max-unavailable", "1", history={1: "app:1", 2: "app:2"})
    scene.check(upgraded=3, writes=None)


def test_a_timeout_leaves_no_pod_closed(scene: Scene) -> None:
    """4 pods one by one take 3 s each at least; pods in flight are finished or reopened, and the same command ends it."""
    scene.web(4)
    late = scene.inplace(*scene.command("--max-unavailable", "1", "--timeout", "8s", app="app:2"))
    assert late.code == 3, late
    assert "timed out after 8s" in late.stdout
    assert "resume with:  inplace upgrade deploy/web" in late.stderr
    scene.check_no_orphans()
    assert len(scene.on_image("app:2")) < 4
    assert scene.history() == {1: "app:1"}
    heal(scene, "app:2", "--max-unavailable", "1", history={1: "app:1", 2: "app:2"}, replicas=4)
    scene.check(upgraded=4, writes=None)


def test_a_timeout_over_a_bad_image_names_what_stays_closed(scene: Scene) -> None:
    """`mute` runs and never listens: its restart is proven, so its gate opens and the probe keeps traffic away."""
    scene.web()
    failed = scene.inplace(*scene.command("--max-unavailable", "1", "--restart-timeout", "5s", app="app:mute"))
    hurt = hurt_by(scene, failed, "app:mute", 1)
    assert f"pod/{hurt.pop()} RestartTimeout: waiting to be Ready" in failed.stdout, failed
    scene.check_no_orphans()
    scene.witness.check(scene.crash_rules(1))
    heal(scene, "app:2", history={1: "app:1", 2: "app:2"})


def test_before_its_time_nothing_is_written(scene: Scene) -> None:
    scene.web(1)
    late = scene.inplace(*scene.command("--timeout", "1ms", app="app:2"))
    assert late.code == 3, late
    assert late.stderr == "error: timed out after 0s, before anything was changed\n"
    assert scene.our_writes() == []


def test_interrupted_over_a_bad_image_the_record_names_its_owner(scene: Scene) -> None:
    """A pod whose restart cannot be proven stays closed; its record says by which run. It failed, whatever was asked."""
    scene.web()
    run = scene.stage.start(*scene.command("--max-unavailable", "1", app="app:missing"))
    scene.until_seen(any_patched(scene.image("app:missing")), "a pod gets the bad image")
    run.send(signal.SIGINT)
    ended = run.wait()
    assert ended.code == 1, ended
    (hurt,) = scene.on_image("app:missing")
    assert f"pod/{hurt} ImagePullBackOff" in ended.stdout, ended
    (closed,) = [p for p in scene.pods() if condition(p, GATE) == "False"]
    assert closed["metadata"]["name"] == hurt
    assert scene.stored_run()["id"] in closed["metadata"]["annotations"]["inplace.dev/upgrade"]
    heal(scene, "app:2", history={1: "app:1", 2: "app:2"})
    scene.witness.check(scene.crash_rules(1, upgraded=3))
