"""Pods that nobody manages: by name and by label. Nothing is committed, and their lock goes when they are done."""

import json

import pytest

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Inplace
from tests.e2e.mishaps import SETTLE, any_closed, any_patched, app, no_orphans, recorded, until, with_image
from tests.e2e.support import Object
from tests.recorder import Recorder, Rules
from tests.recorder.history import end
from tests.recorder.log import annotation, images


def leases(cluster: Cluster, ns: str) -> list[str]:
    return [i["metadata"]["name"] for i in json.loads(cluster.kubectl("-n", ns, "get", "leases", "-o", "json"))["items"]]


def cache(name: str, image: str) -> Object:
    """A pod behind Service cache."""
    made = support.pod(name, image)
    made["metadata"]["labels"] = {"app": "cache", "name": name}
    return made


def caches(cluster: Cluster, ns: str, *names: str) -> None:
    image = app(cluster, "1")
    support.deploy(cluster, ns, *[cache(n, image) for n in names], support.service("cache"), count=len(names))


@pytest.mark.parametrize("by", ["name", "names", "selector"])
def test_picked(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, by: str) -> None:
    """One, two, or those with a label; the others are left alone."""
    caches(cluster, ns, "a", "b", "c")
    before = support.uids(cluster, ns), support.ips(cluster, ns)
    recorder.mark()
    new = app(cluster, "2")
    words = {"name": ["pod/b"], "names": ["pod/b", "pod/c"], "selector": ["pods", "-l", "app=cache,name in (b,c)"]}[by]
    picked = {"b"} if by == "name" else {"b", "c"}
    done = inplace("upgrade", *words, f"app={new}", "--max-unavailable", "1", *SETTLE)
    assert done.code == 0, done
    assert (support.uids(cluster, ns), support.ips(cluster, ns)) == before
    assert with_image(cluster, ns, new) == picked
    assert support.restarts(cluster, ns) == {n: {"app": int(n in picked)} for n in "abc"}
    no_orphans(cluster, ns)
    assert leases(cluster, ns) == []
    recorder.check(Rules(max_unavailable=1, upgraded=len(picked), writes_per_pod=3))
    assert any(e.kind == "Lease" and e.type == "DELETED" for e in recorder.log()), "there was a lock"
    again = inplace("upgrade", *words, f"app={new}", *SETTLE)
    assert again.code == 0, again
    assert "already" in again.stdout
    assert leases(cluster, ns) == []


def test_deleted_in_the_middle(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """By label: those that are there are upgraded."""
    caches(cluster, ns, "a", "b", "c")
    recorder.mark()
    new = app(cluster, "2")
    run = inplace.start("upgrade", "pods", "-l", "app=cache", f"app={new}", "--max-unavailable", "1", *SETTLE)
    until(recorder, any_patched(new), "the first is restarting")
    (first,) = with_image(cluster, ns, new)
    waiting = max({"a", "b", "c"} - {first})
    cluster.kubectl("-n", ns, "delete", "pod", waiting, "--grace-period=1")
    done = run.wait()
    assert done.code == 0, done
    assert with_image(cluster, ns, new) == {"a", "b", "c"} - {waiting}
    no_orphans(cluster, ns)
    assert leases(cluster, ns) == []
    recorder.check(Rules(max_unavailable=1, upgraded=2, writes_per_pod=3))


@pytest.mark.parametrize("stage", ["waiting", "in flight"])
def test_recreated_under_its_name_in_the_middle(
    cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, stage: str
) -> None:
    """Another uid is another pod. Plans made for the old one never touch it; it is judged afresh, as it stands there now."""
    caches(cluster, ns, "a", "b")
    old = support.uids(cluster, ns)
    recorder.mark()
    new = app(cluster, "2")
    run = inplace.start("upgrade", "pod/a", "pod/b", f"app={new}", "--max-unavailable", "1", "--settle", "5s")
    until(recorder, any_closed, "the first is closed")
    (first,) = [p["metadata"]["name"] for p in recorded(support.pods(cluster, ns))]
    victim = first if stage == "in flight" else ({"a", "b"} - {first}).pop()
    cluster.kubectl("-n", ns, "delete", "pod", victim, "--grace-period=0", "--force")
    support.apply(cluster, ns, cache(victim, app(cluster, "1")))
    done = run.wait()
    assert done.code == 0, done
    uids = support.uids(cluster, ns)
    assert uids[victim] != old[victim]
    (other,) = {"a", "b"} - {victim}
    assert uids[other] == old[other]
    assert with_image(cluster, ns, new) == {"a", "b"}
    assert not [e for e in recorder.log() if e.uid == old[victim] and new in images(e.object).values()]
    no_orphans(cluster, ns)
    assert leases(cluster, ns) == []
    recorder.check(Rules(max_unavailable=1, upgraded=2))


def test_the_pod_in_flight_is_deleted(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """The only one of the run: there is nothing left to upgrade, and that is no success."""
    caches(cluster, ns, "a", "b")
    recorder.mark()
    run = inplace.start("upgrade", "pod/a", f"app={app(cluster, '2')}", *SETTLE)
    until(recorder, lambda log: recorded(end(log).all("Pod").values()), "it is closed")
    cluster.kubectl("-n", ns, "delete", "pod", "a", "--grace-period=1")
    gone = run.wait()
    assert gone.code == 1, gone
    assert "pod/a" in gone.stdout, gone
    assert with_image(cluster, ns, app(cluster, "2")) == set()
    recorder.check(Rules(max_unavailable=1, upgraded=0))


def test_a_pod_of_another_run_is_refused(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """Two selections may overlap, and have two locks."""
    caches(cluster, ns, "a", "b")
    recorder.mark()
    new = app(cluster, "2")
    slow = inplace.start("upgrade", "pod/a", f"app={new}", "--settle", "8s")
    until(recorder, lambda log: recorded(end(log).all("Pod").values()), "pod/a is closed")
    (pod,) = recorded(support.pods(cluster, ns))
    lease = json.loads(annotation(pod, "inplace.dev/upgrade") or "")["lease"]
    other = inplace("upgrade", "pods", "-l", "app=cache", f"app={new}", *SETTLE)
    assert other.code == 5, other
    assert other.stderr.splitlines()[-1].startswith(f"error: pod/a is being upgraded by another run (Lease {lease})")
    assert slow.wait().code == 0
    assert with_image(cluster, ns, new) == {"a"}
    assert leases(cluster, ns) == []
    recorder.check(Rules(max_unavailable=1, upgraded=1, writes_per_pod=3))


def test_a_step_holds_bare_pods_too(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    caches(cluster, ns, "a", "b")
    recorder.mark()
    new = app(cluster, "2")
    selection = ("pods", "-l", "app=cache")
    paused = inplace("upgrade", *selection, f"app={new}", "--steps", "50%,pause,100%", "--max-unavailable", "1", *SETTLE)
    assert paused.code == 4, paused
    assert "inplace resume pods -l app=cache" in paused.stderr, paused
    assert len(with_image(cluster, ns, new)) == 1
    assert len(leases(cluster, ns)) == 1
    resumed = inplace("resume", *selection)
    assert resumed.code == 0, resumed
    assert with_image(cluster, ns, new) == {"a", "b"}
    assert leases(cluster, ns) == []
    no_orphans(cluster, ns)
    recorder.check(Rules(max_unavailable=1, upgraded=2, writes_per_pod=3))
