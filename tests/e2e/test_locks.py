"""One run per target at a time: a living holder is never disturbed, a dead one is replaced, and a late one writes nothing."""

import json
import signal
import time

import pytest

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Inplace
from tests.e2e.mishaps import LEASE, SETTLE, any_patched, app, consistent, our_writes, refused, stored_run, until, web
from tests.e2e.proxy import Proxy
from tests.e2e.support import Object
from tests.recorder import Event, Recorder, Rules


def lock(cluster: Cluster, ns: str) -> Object:
    return support.get(cluster, ns, f"lease/{LEASE}")


def holders(log: list[Event]) -> list[str]:
    """Who held the lock, one after the other."""
    found: list[str] = []
    for event in sorted((e for e in log if e.kind == "Lease"), key=lambda e: e.rv):
        holder = event.object["spec"].get("holderIdentity") or ""
        if holder and (not found or found[-1] != holder):
            found.append(holder)
    return found


def test_a_second_run_is_refused(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """For the same images or others, and by name: it learns within 15 s that the holder lives."""
    web(cluster, ns, replicas=2)
    recorder.mark()
    new = app(cluster, "2")
    options = ("--steps", "50%,pause:30m,100%", "--max-unavailable", "1", *SETTLE)
    first = inplace.start("upgrade", "deploy/web", f"app={new}", *options)
    until(recorder, holders, "the lock is taken")
    holder = lock(cluster, ns)["spec"]["holderIdentity"]
    with Proxy(cluster) as proxy:
        others = [
            inplace.start("upgrade", "deploy/web", f"app={image}", *SETTLE, "--server", proxy.url)
            for image in (new, app(cluster, "3"))
        ]
        for other in others:
            result = other.wait(60)
            assert result.code == 5, result
            last = result.stderr.splitlines()[-1]
            assert last == f"error: deploy/web is being upgraded by {holder}: wait for it, or `inplace pause` it"
        assert proxy.writes == []
    assert inplace("resume", "deploy/web").code == 0
    done = first.wait()
    assert done.code == 0, done
    assert holders(recorder.log()) == [holder]
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3))


def test_a_dead_holder_is_replaced_after_15_seconds(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """And no sooner. Here it only sleeps: when it wakes up it has lost the lock, says so, and writes nothing more."""
    web(cluster, ns, replicas=2)
    recorder.mark()
    new = app(cluster, "2")
    command = ("upgrade", "deploy/web", f"app={new}", "--max-unavailable", "1", *SETTLE)
    with Proxy(cluster) as proxy:
        first = inplace.start(*command, "--server", proxy.url)
        until(recorder, any_patched(new), "the first is at work")
        first.send(signal.SIGSTOP)
        asleep = lock(cluster, ns)["spec"]["holderIdentity"]
        began = time.monotonic()
        second = inplace.start(*command)
        until(recorder, lambda log: len(holders(log)) == 2, "the lock is taken over")
        assert time.monotonic() - began > 15
        done = second.wait()
        assert done.code == 0, done
        assert f"deploy/web is locked by {asleep}" in done.stdout + done.stderr
        consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)
        ended = recorder.version()
        first.send(signal.SIGCONT)
        late = first.wait(60)
    assert late.code == 1, late
    assert "this run stopped at once and writes nothing more" in late.stderr, late
    assert our_writes(recorder, ended) == []
    assert lock(cluster, ns)["spec"]["leaseTransitions"] == 1
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3))


@pytest.mark.parametrize("annotation", ["{garbage", json.dumps({"v": 99}), json.dumps({"v": 1, "id": 7})])
def test_a_run_that_cannot_be_read(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, annotation: str) -> None:
    web(cluster, ns, replicas=1, serve=False)
    meta = {"name": LEASE, "annotations": {"inplace.dev/run": annotation}}
    support.apply(cluster, ns, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": meta, "spec": {}})
    recorder.mark()
    before = lock(cluster, ns)
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}")
    refused(inplace(*command), 5, "the stored run", f"if nothing upgrades this target, delete Lease {LEASE}")
    assert inplace("pause", "deploy/web").code == 5
    assert inplace("resume", "deploy/web").code == 5
    assert lock(cluster, ns) == before
    assert our_writes(recorder) == []


def test_the_lock_goes_with_its_target(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """It is owned by the Deployment, and a Deployment made anew under the name knows nothing of the old run."""
    web(cluster, ns, replicas=1, serve=False)
    recorder.mark()
    paused = inplace("upgrade", "deploy/web", f"app={app(cluster, '2')}", "--steps", "pause,100%", *SETTLE)
    assert paused.code == 4, paused
    (owner,) = lock(cluster, ns)["metadata"]["ownerReferences"]
    assert (owner["kind"], owner["uid"]) == ("Deployment", support.get(cluster, ns, "deploy/web")["metadata"]["uid"])
    stale = lock(cluster, ns)
    cluster.kubectl("-n", ns, "delete", "deploy", "web")
    support.eventually(lambda: not cluster.kubectl("-n", ns, "get", "lease", LEASE, "--ignore-not-found"), "it is collected")

    web(cluster, ns, replicas=1, serve=False)
    kept = {"name": LEASE, "annotations": stale["metadata"]["annotations"]}
    support.apply(cluster, ns, {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": kept, "spec": {}})
    done = inplace("upgrade", "deploy/web", f"app={app(cluster, '2')}", *SETTLE)
    assert done.code == 0, done
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=1)
    assert stored_run(cluster, ns)["id"] not in stale["metadata"]["annotations"]["inplace.dev/run"]


def test_a_lock_that_is_deleted_under_the_run(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """Without it nobody could tell whose the pods are: the run stops at once, and the same command takes it up again."""
    web(cluster, ns, replicas=2)
    recorder.mark()
    new = app(cluster, "2")
    command = ("upgrade", "deploy/web", f"app={new}", "--steps", "50%,pause:30m,100%", "--max-unavailable", "1", *SETTLE)
    run = inplace.start(*command)
    support.eventually(lambda: "pausing for 30m" in run.stdout, "half of the pods are done", 60)
    cluster.kubectl("-n", ns, "delete", "lease", LEASE)
    stopped = run.wait(60)
    assert stopped.code == 1, stopped
    assert f"the Lease {LEASE} was deleted" in stopped.stderr, stopped
    done = inplace("upgrade", "deploy/web", f"app={new}", "--max-unavailable", "1", *SETTLE)
    assert done.code == 0, done
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3))
