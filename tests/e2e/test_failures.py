"""A bad image, a slice that never lets go, a time that runs out: few pods are hurt, and what to do next is said, and works."""

import signal

import pytest

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Inplace
from tests.e2e.mishaps import (
    SETTLE,
    any_patched,
    app,
    consistent,
    no_orphans,
    our_writes,
    revisions,
    stored_run,
    until,
    web,
    with_image,
)
from tests.e2e.support import Object
from tests.recorder import Recorder, Rules
from tests.scenarios.stage import Result

BAD = {"no such tag": "nosuch", "crash": "crash", "crash without a probe": "crash"}


def rules(max_unavailable: int = 1, upgraded: int | None = None) -> Rules:
    """Restarts cannot be counted where images crash."""
    return Rules(max_unavailable=max_unavailable, workload="Deployment/web", upgraded=upgraded, one_restart=False)


def hurt_by(cluster: Cluster, ns: str, result: Result, bad: str, at_most: int) -> set[str]:
    """The pods with the bad image: few, and each failed one named, with the reason; the others untouched."""
    hurt = with_image(cluster, ns, bad)
    assert result.code == 1, result
    assert 1 <= len(hurt) <= at_most, hurt
    named = {line.split()[0].removeprefix("pod/") for line in result.stdout.splitlines() if line.startswith("  pod/")}
    assert named, result
    assert named <= hurt, result
    for pod in support.pods(cluster, ns):
        if pod["metadata"]["name"] not in hurt:
            assert support.condition(pod, "Ready") == "True"
            assert pod["metadata"]["generation"] == 1, "its spec was never written"
    return hurt


@pytest.mark.parametrize("why", BAD)
def test_a_bad_image_hurts_at_most_max_unavailable(
    cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, why: str
) -> None:
    bad, good = app(cluster, BAD[why]), app(cluster, "3")
    containers: str | list[Object] = app(cluster, "1")
    if why == "crash without a probe":
        containers = [support.container("app", app(cluster, "1"), readiness=False)]
    support.deploy(cluster, ns, support.deployment("web", containers, replicas=4), support.service("web"), count=4)
    before = support.uids(cluster, ns)
    recorder.mark()

    failed = inplace("upgrade", "deploy/web", f"app={bad}", "--max-unavailable", "2", *SETTLE)
    hurt = hurt_by(cluster, ns, failed, bad, 2)
    reason = "ImagePullBackOff" if BAD[why] == "nosuch" else "CrashLoopBackOff"
    assert reason in failed.stdout, failed
    assert any(f"pod/{name} {reason}: " in failed.stdout for name in hurt), failed
    assert f"inplace upgrade deploy/web app=IMAGE -n {ns}" in failed.stderr, failed
    assert f"inplace upgrade deploy/web app={app(cluster, '1')} -n {ns}" in failed.stderr, failed
    assert revisions(cluster, ns) == {1: "1"}, "the template is not touched before every pod is well"
    assert stored_run(cluster, ns)["outcome"] == "Failed"
    recorder.check(rules(2))

    healed = inplace("upgrade", "deploy/web", f"app={good}", "--max-unavailable", "2", *SETTLE)
    assert healed.code == 0, healed
    assert support.uids(cluster, ns) == before
    consistent(cluster, ns, "3", {1: "1", 2: "3"}, replicas=4)
    recorder.check(rules(2, upgraded=4))


def test_back_from_a_bad_image(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """The advice of the failed run, followed: only what was hurt is restarted, and nothing is committed."""
    web(cluster, ns)
    before = support.uids(cluster, ns)
    recorder.mark()
    failed = inplace("upgrade", "deploy/web", f"app={app(cluster, 'nosuch')}", "--max-unavailable", "1", *SETTLE)
    hurt_by(cluster, ns, failed, app(cluster, "nosuch"), 1)
    advice = next(line for line in failed.stderr.splitlines() if line.startswith("go back:"))
    assert advice.split()[2:] == ["inplace", "upgrade", "deploy/web", f"app={app(cluster, '1')}", "-n", ns]
    went_back = inplace(*advice.split()[3:], *SETTLE)
    assert went_back.code == 0, went_back
    assert support.uids(cluster, ns) == before
    consistent(cluster, ns, "1", {1: "1"})
    recorder.check(rules(1, upgraded=1))


@pytest.mark.parametrize("tag", ["nosuch", "crash"])
def test_rollback_on_failure(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, tag: str) -> None:
    """Goes back in place by itself, and still says that it failed. The next upgrade starts afresh."""
    web(cluster, ns)
    before, bad = support.uids(cluster, ns), app(cluster, tag)
    recorder.mark()
    failed = inplace("upgrade", "deploy/web", f"app={bad}", "--on-failure", "rollback", "--max-unavailable", "1", *SETTLE)
    assert failed.code == 1, failed
    assert "rolled back, because pod/web-" in failed.stdout, failed
    assert with_image(cluster, ns, bad) == set()
    assert support.uids(cluster, ns) == before
    assert {support.condition(p, "Ready") for p in support.pods(cluster, ns)} == {"True"}
    assert revisions(cluster, ns) == {1: "1"}
    no_orphans(cluster, ns)
    recorder.check(rules(1, upgraded=1))
    done = inplace("upgrade", "deploy/web", f"app={app(cluster, '2')}", "--max-unavailable", "1", *SETTLE)
    assert done.code == 0, done
    consistent(cluster, ns, "2", {1: "1", 2: "2"})
    recorder.check(rules(1, upgraded=3))


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


@pytest.mark.parametrize("on_failure", ["pause", "continue"])
def test_a_slice_that_never_lets_go(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, on_failure: str) -> None:
    """The gate is opened again and the image left alone; `continue` upgrades the others, and neither commits."""
    web(cluster, ns)
    new = app(cluster, "2")
    stuck = min(support.pods(cluster, ns), key=lambda p: (p["spec"]["nodeName"], p["metadata"]["name"]))
    support.apply(cluster, ns, clinging("mesh", stuck))
    recorder.mark()
    options = ("--drain-timeout", "3s", "--on-failure", on_failure, "--max-unavailable", "1", *SETTLE)
    failed = inplace("upgrade", "deploy/web", f"app={new}", *options)
    name = stuck["metadata"]["name"]
    assert failed.code == 1, failed
    assert f"pod/{name} DrainTimeout: waiting for the EndpointSlices of mesh" in failed.stdout, failed
    others = set(support.uids(cluster, ns)) - {name}
    assert with_image(cluster, ns, new) == (others if on_failure == "continue" else set())
    assert revisions(cluster, ns) == {1: "1"}
    no_orphans(cluster, ns)
    recorder.check(rules(1, upgraded=2 if on_failure == "continue" else 0))

    cluster.kubectl("-n", ns, "delete", "endpointslice", "mesh")
    done = inplace("upgrade", "deploy/web", f"app={new}", "--max-unavailable", "1", *SETTLE)
    assert done.code == 0, done
    consistent(cluster, ns, "2", {1: "1", 2: "2"})
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=3))


def test_a_timeout_leaves_no_pod_closed(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """4 pods one by one take 4 s each at least; pods in flight are finished or reopened, and the same command ends it."""
    web(cluster, ns, replicas=4)
    recorder.mark()
    new = app(cluster, "2")
    command = ("upgrade", "deploy/web", f"app={new}", "--max-unavailable", "1", *SETTLE)
    late = inplace(*command, "--timeout", "10s")
    assert late.code == 3, late
    assert "timed out after 10s" in late.stdout
    assert "go on with:  inplace upgrade deploy/web" in late.stderr
    no_orphans(cluster, ns)
    assert len(with_image(cluster, ns, new)) < 4
    assert revisions(cluster, ns) == {1: "1"}
    done = inplace(*command)
    assert done.code == 0, done
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=4)
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=4))


def test_a_timeout_over_a_bad_image_names_what_stays_closed(
    cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace
) -> None:
    """`mute` runs and never listens: its restart is proven, so its gate opens and the probe keeps traffic away."""
    web(cluster, ns)
    recorder.mark()
    bad = app(cluster, "mute")
    options = ("--max-unavailable", "1", "--restart-timeout", "5s", *SETTLE)
    failed = inplace("upgrade", "deploy/web", f"app={bad}", *options)
    hurt = hurt_by(cluster, ns, failed, bad, 1)
    assert f"pod/{hurt.pop()} RestartTimeout: waiting to be Ready" in failed.stdout, failed
    no_orphans(cluster, ns)
    recorder.check(rules(1))
    done = inplace("upgrade", "deploy/web", f"app={app(cluster, '2')}", *SETTLE)
    assert done.code == 0, done
    consistent(cluster, ns, "2", {1: "1", 2: "2"})


def test_before_its_time_nothing_is_written(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    web(cluster, ns, replicas=1)
    recorder.mark()
    late = inplace("upgrade", "deploy/web", f"app={app(cluster, '2')}", "--timeout", "1ms")
    assert late.code == 3, late
    assert late.stderr == "error: timed out after 0s, before anything was changed\n"
    assert our_writes(recorder) == []


def test_interrupted_over_a_bad_image_the_record_names_its_owner(
    cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace
) -> None:
    """A pod whose restart cannot be proven stays closed; its record says by which run. It failed, whatever was asked."""
    web(cluster, ns)
    recorder.mark()
    bad = app(cluster, "nosuch")
    run = inplace.start("upgrade", "deploy/web", f"app={bad}", "--max-unavailable", "1", *SETTLE)
    until(recorder, any_patched(bad), "a pod gets the bad image")
    run.send(signal.SIGINT)
    ended = run.wait()
    assert ended.code == 1, ended
    (hurt,) = with_image(cluster, ns, bad)
    assert f"pod/{hurt} ImagePullBackOff" in ended.stdout, ended
    (closed,) = [p for p in support.pods(cluster, ns) if support.condition(p, support.GATE) == "False"]
    assert closed["metadata"]["name"] == hurt
    assert stored_run(cluster, ns)["id"] in closed["metadata"]["annotations"]["inplace.dev/upgrade"]
    healed = inplace("upgrade", "deploy/web", f"app={app(cluster, '2')}", *SETTLE)
    assert healed.code == 0, healed
    consistent(cluster, ns, "2", {1: "1", 2: "2"})
    recorder.check(rules(1, upgraded=3))
