"""What takes faults, delays, seeds or a size that only the embedded cluster has; every other story is in tests/scenarios."""

from __future__ import annotations

import time
from itertools import pairwise

import pytest

from inplace.kube.protocols import Request, Response
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.run.driver import MIN_INTERVAL_PER_POD_SECONDS
from inplace.runtime.run.resolver import AlreadyDone
from inplace.sim.objects import kinds
from inplace.sim.traffic import Traffic
from tests.simulation.simulated_cluster import STRATEGIC, SimulatedCluster
from tests.simulation.transport import Lost


def _uids(world: SimulatedCluster) -> set[str]:
    return {pod.uid for pod in world.pods(app="web")}


def _images(world: SimulatedCluster) -> set[str]:
    return {pod.obj["spec"]["containers"][0]["image"] for pod in world.pods(app="web")}


def _succeeded(result: object) -> Summary:
    assert isinstance(result, Summary)
    assert result.outcome == "Succeeded", result
    return result


def test_the_same_seed_is_the_same_upgrade() -> None:
    def seconds() -> float:
        world = SimulatedCluster(seed=7)
        world.app("web", "reg/app:1", replicas=5)
        return _succeeded(world.upgrade("web", {"app": "reg/app:2"})).seconds

    assert seconds() == seconds()


@pytest.mark.parametrize("seed", range(5))
def test_no_new_connection_is_refused_with_a_settle_time(seed: int) -> None:
    world = SimulatedCluster(seed)
    world.app("web", "reg/app:1", replicas=10, boot=2)
    traffic = Traffic(world.cluster, world.namespace, "web", rate=100)
    _succeeded(world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=2.0, max_unavailable=3))
    assert traffic.short.sent > 500
    assert traffic.failed == 0


def test_lost_answers_conflicts_and_cut_watches_do_not_stop_it() -> None:
    world = SimulatedCluster(seed=5)
    world.app("web", "reg/app:1", replicas=6)
    before = _uids(world)
    conflict = b'{"kind":"Status","code":409,"reason":"Conflict","message":"the object has been modified"}'

    def interfere(request: Request) -> Lost | Response | None:
        draw = world.scheduler.random.random()
        if request.method != "PATCH" or "leases" in request.path:
            return None
        if draw < 0.1:
            return Lost(is_performed=True)
        if draw < 0.2:
            return Lost()
        return Response(status=409, body=conflict) if draw < 0.3 else None

    world.transport.interfere = interfere
    for seconds in range(5, 60, 5):
        world.scheduler.after(seconds, world.host.cut_watches)
        world.scheduler.after(seconds + 1, world.cluster.store.forget)
    _succeeded(world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=0.5))
    assert _uids(world) == before
    assert _images(world) == {"reg/app:2"}
    assert {pod.obj["status"]["containerStatuses"][0]["restartCount"] for pod in world.pods(app="web")} == {1}


def test_late_watches_only_make_it_slower() -> None:
    world = SimulatedCluster(seed=6)
    world.app("web", "reg/app:1", replicas=4)
    world.host.watch_seconds = lambda plural: 2.0 if plural == "endpointslices" else 0.5
    traffic = Traffic(world.cluster, world.namespace, "web", rate=100)
    _succeeded(world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=1.0))
    assert traffic.failed == 0


CONFLICT = Response(status=409, body=b'{"kind":"Status","code":409,"reason":"Conflict","message":"try again"}')
BUSY = Response(status=503, body=b'{"kind":"Status","code":503,"reason":"ServiceUnavailable","message":"try again"}')


@pytest.mark.parametrize("then", [Lost(is_performed=True), CONFLICT, BUSY])
def test_a_close_whose_answer_was_lost_counts_against_the_budget(then: Lost | Response) -> None:
    """Until a late watch shows it, nothing but our own memory says that this pod is on its way out; whatever the second try
    is answered."""
    world = SimulatedCluster(seed=12)
    world.app("web", "reg/app:1", replicas=4)
    world.host.watch_seconds = lambda _plural: 3.0
    lost, most = 0, 0

    def interfere(request: Request) -> Lost | Response | None:
        nonlocal lost
        is_close = (
            request.method == "PATCH" and request.path.endswith("/status") and b'"status":"False"' in (request.body or b"")
        )
        if not is_close or lost == 2:
            return None
        lost += 1
        return Lost(is_performed=True) if lost == 1 else then

    def count() -> None:
        nonlocal most
        most = max(most, sum("inplace.dev/upgrade" in (pod.meta.get("annotations") or {}) for pod in world.pods(app="web")))
        world.scheduler.after(0.05, count)

    world.transport.interfere = interfere
    count()
    _succeeded(world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=0, max_unavailable=1))
    assert (lost, most) == (2, 1)


class Killed(BaseException):
    """The process is gone, in the middle of whatever it did."""


@pytest.mark.parametrize("is_performed", [False, True])
def test_killed_at_any_write_the_same_command_finishes_the_run(*, is_performed: bool) -> None:
    """Before the request reaches the API server, and after, with the answer lost."""
    number = 0
    while True:
        number += 1
        world = SimulatedCluster(seed=11)
        world.app("web", "reg/app:1", replicas=3)
        before = _uids(world)
        if not _killed_at(world, number, is_performed=is_performed):
            break
        again = world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=0, run_id="run-2")
        if not isinstance(again, AlreadyDone):
            _succeeded(again)
        assert (_uids(world), _images(world)) == (before, {"reg/app:2"}), number
        assert _is_committed(world), number
        restarts = {pod.obj["status"]["containerStatuses"][0]["restartCount"] for pod in world.pods(app="web")}
        assert restarts == {1}, number
    assert number > 15


def _is_committed(world: SimulatedCluster) -> bool:
    """As a classic rollout would have left it: not paused, both revisions, every pod ready and without a record."""
    deployment = world.request("GET", world.path("apps", "deployments", "web"))
    sets = [rs.meta["annotations"]["deployment.kubernetes.io/revision"] for rs in world.cluster.store.all(kinds.REPLICA_SETS)]
    records = [pod.name for pod in world.pods(app="web") if "inplace.dev/upgrade" in (pod.meta.get("annotations") or {})]
    is_quiet = not deployment["spec"].get("paused") and deployment["status"].get("updatedReplicas") == 3
    return is_quiet and sorted(sets) == ["1", "2"] and not records and world.ready("web") == 3


def _killed_at(world: SimulatedCluster, number: int, *, is_performed: bool) -> bool:
    """False: it ended before it came to that write."""
    writes = 0

    def interfere(request: Request) -> None:
        nonlocal writes
        if request.method == "GET" or request.is_review:
            return
        writes += 1
        if writes == number:
            world.transport.interfere = lambda _request: None
            if is_performed:
                world.transport.ask(request)
            raise Killed

    world.transport.interfere = interfere
    try:
        world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=0)
    except Killed:
        return True
    return False


def test_a_cache_that_is_behind_is_given_time() -> None:
    """What is done already is not done again and again until a late watch shows it."""
    world = SimulatedCluster(seed=13)
    world.app("web", "reg/app:2", replicas=2)
    template = {"spec": {"containers": [{"name": "app", "image": "reg/app:1"}]}}
    world.request("PATCH", world.path("apps", "deployments", "web"), {"spec": {"template": template}}, STRATEGIC)
    world.scheduler.run_for(30)
    world.host.watch_seconds = lambda plural: 5.0 if plural == "replicasets" else 0.003
    world.transport.requests.clear()
    _succeeded(world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=0))
    assert 1 <= world.transport.requests["DELETE replicasets"] < 8


def test_passes_keep_a_distance_that_grows_with_the_fleet() -> None:
    """And what comes after quiet is acted on at once: a pod's first slot is refilled as promptly as its last."""
    world = SimulatedCluster(seed=12)
    world.app("web", "reg/app:1", replicas=200)
    passes: list[float] = []
    _succeeded(world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=0, on_frame=lambda frame: passes.append(frame.now)))
    apart = [later - earlier for earlier, later in pairwise(passes)]
    distance = 200 * MIN_INTERVAL_PER_POD_SECONDS
    assert min(apart) >= distance - 1e-9
    assert sum(gap < distance + 1e-6 for gap in apart) > 100
    assert any(gap > 2 * distance for gap in apart)


@pytest.mark.timeout(400)
def test_a_thousand_pods_take_less_than_a_minute_of_cpu() -> None:
    begun = time.process_time()
    world = SimulatedCluster(seed=10)
    world.app("web", "reg/app:1", replicas=1000)
    before = _uids(world)
    summary = _succeeded(world.upgrade("web", {"app": "reg/app:2"}, settle_seconds=1.0))
    assert time.process_time() - begun < 60
    assert (summary.updated, summary.same_uids) == (1000, 1000)
    assert _uids(world) == before
