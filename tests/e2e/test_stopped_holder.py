"""A holder that only sleeps: it takes a real process to be stopped in the middle of what it does, and woken up."""

import signal

from tests.cluster import Cluster
from tests.e2e.command import Inplace
from tests.e2e.proxy import Proxy
from tests.scenarios.facts import any_patched, holders, told_holder
from tests.scenarios.scene import LEASE, Scene


def test_a_sleeping_holder_is_replaced_and_writes_nothing_more(cluster: Cluster, scene: Scene, inplace: Inplace) -> None:
    """When it wakes up it has lost the lock, says so, and leaves all as it is."""
    scene.web(2)
    command = scene.command("--max-unavailable", "1", app="app:2")
    with Proxy(cluster) as proxy:
        first = inplace.start(*command, "--server", proxy.url)
        scene.until_seen(any_patched(scene.image("app:2")), "the first is at work")
        first.send(signal.SIGSTOP)
        asleep = told_holder(scene.get(f"lease/{LEASE}"))
        second = inplace.start(*command)
        scene.until_seen(lambda log: len(holders(log)) == 2, "the lock is taken over")
        done = second.wait()
        assert done.code == 0, done
        assert f"deploy/web is locked by {asleep}" in done.stdout + done.stderr
        scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=2)
        ended = scene.witness.version()
        first.send(signal.SIGCONT)
        late = first.wait(60)
    assert late.code == 1, late
    assert "this process stopped at once and writes nothing more" in late.stderr, late
    assert scene.our_writes(ended) == []
    scene.check(upgraded=2)
