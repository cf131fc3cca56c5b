"""A ReplicaSet without a Deployment: pods in place, its template last."""

import signal

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Inplace
from tests.e2e.mishaps import SETTLE, any_closed, any_patched, app, back, no_orphans, until, with_image
from tests.e2e.support import eventually
from tests.recorder import Recorder, Rules
from tests.recorder.history import replay
from tests.recorder.log import annotation, condition

SET = "ReplicaSet/game"


def game(cluster: Cluster, ns: str, replicas: int = 3) -> None:
    objects = support.replicaset("game", app(cluster, "1"), replicas=replicas), support.service("game")
    support.deploy(cluster, ns, *objects, count=replicas)


def template_image(cluster: Cluster, ns: str) -> str:
    return str(support.get(cluster, ns, "rs/game")["spec"]["template"]["spec"]["containers"][0]["image"])


def done_for_good(cluster: Cluster, ns: str, image: str, replicas: int) -> None:
    found = support.get(cluster, ns, "rs/game")
    assert found["status"]["observedGeneration"] == found["metadata"]["generation"]
    assert [found["status"][k] for k in ("replicas", "readyReplicas")] == [replicas, replicas]
    assert template_image(cluster, ns) == image
    assert len(with_image(cluster, ns, image)) == len(support.pods(cluster, ns)) == replicas
    no_orphans(cluster, ns)


def test_the_template_last(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """The next pod that it creates has the new image."""
    game(cluster, ns)
    before = support.uids(cluster, ns), support.ips(cluster, ns)
    recorder.mark()
    new = app(cluster, "2")
    done = inplace("upgrade", "rs/game", f"app={new}", "--max-unavailable", "1", *SETTLE)
    assert done.code == 0, done
    assert (support.uids(cluster, ns), support.ips(cluster, ns)) == before
    assert support.restarts(cluster, ns) == {name: {"app": 1} for name in before[0]}
    done_for_good(cluster, ns, new, 3)
    recorder.check(Rules(max_unavailable=1, workload=SET, upgraded=3, writes_per_pod=3))
    log = [s for s in replay(recorder.log()) if s.event.rv > recorder.since]
    patched = [s.event.rv for s in log if s.event.name == "game" and new in str(s.event.object["spec"].get("template"))]
    opened = [
        s.event.rv
        for s in log
        if s.before and annotation(s.before, "inplace.dev/upgrade") and not annotation(s.event.object, "inplace.dev/upgrade")
    ]
    assert len(opened) == 3
    assert min(patched) > max(opened)

    recorder.mark()
    cluster.kubectl("-n", ns, "scale", "rs", "game", "--replicas=4")
    eventually(lambda: len(with_image(cluster, ns, new)) == 4, "a pod from the new template")
    support.open_gates(cluster, ns)
    eventually(lambda: all(condition(p, "Ready") == "True" for p in support.pods(cluster, ns)), "all are Ready")
    same = inplace("upgrade", "rs/game", f"app={new}")
    assert (same.code, same.stdout) == (0, f"rs/game runs app={new} already\n")


def test_scaled_up_in_the_middle(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """The newcomers are old, and are caught up: their gates, which nobody else opens here, too."""
    game(cluster, ns, replicas=2)
    before = set(support.uids(cluster, ns).values())
    recorder.mark()
    new = app(cluster, "2")
    run = inplace.start("upgrade", "rs/game", f"app={new}", "--max-unavailable", "1", *SETTLE)
    until(recorder, any_closed, "the first is closed")
    cluster.kubectl("-n", ns, "scale", "rs", "game", "--replicas=4")
    done = run.wait()
    assert done.code == 0, done
    assert before < set(support.uids(cluster, ns).values())
    done_for_good(cluster, ns, new, 4)
    recorder.check(Rules(workload=SET, upgraded=4))


def test_scaled_down_in_the_middle(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """The controller may take exactly the pods that are upgraded already, or in flight."""
    game(cluster, ns, replicas=4)
    before = set(support.uids(cluster, ns).values())
    recorder.mark()
    new = app(cluster, "2")
    run = inplace.start("upgrade", "rs/game", f"app={new}", "--max-unavailable", "1", *SETTLE)
    until(recorder, back(new, 1), "the first is back")
    until(recorder, any_closed, "the second is closed")
    cluster.kubectl("-n", ns, "scale", "rs", "game", "--replicas=2")
    done = run.wait()
    assert done.code == 0, done
    eventually(lambda: len(support.pods(cluster, ns)) == 2, "the others are gone")
    assert set(support.uids(cluster, ns).values()) < before
    done_for_good(cluster, ns, new, 2)
    recorder.check(Rules(max_unavailable=1, workload=SET))


def test_scaled_to_nothing(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """No pods: only the template is left to change."""
    game(cluster, ns, replicas=1)
    cluster.kubectl("-n", ns, "scale", "rs", "game", "--replicas=0")
    eventually(lambda: not support.pods(cluster, ns), "no pods")
    recorder.mark()
    done = inplace("upgrade", "rs/game", f"app={app(cluster, '2')}", *SETTLE)
    assert done.code == 0, done
    assert template_image(cluster, ns) == app(cluster, "2")
    recorder.check(Rules(upgraded=0))


def test_killed_and_resumed(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    game(cluster, ns)
    before = support.uids(cluster, ns)
    recorder.mark()
    new = app(cluster, "2")
    command = ("upgrade", "rs/game", f"app={new}", "--max-unavailable", "1", *SETTLE)
    run = inplace.start(*command)
    until(recorder, any_patched(new), "the first is restarting")
    run.send(signal.SIGKILL)
    run.wait()
    done = inplace(*command)
    assert done.code == 0, done
    assert support.uids(cluster, ns) == before
    done_for_good(cluster, ns, new, 3)
    recorder.check(Rules(max_unavailable=1, workload=SET, upgraded=3, writes_per_pod=3))
