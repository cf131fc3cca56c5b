"""A claim of a shared PodDisruptionBudget: one holder, what is counted is read afterwards, nothing is sent when it is over."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.actions import CloseGate
from inplace.kube.errors import Conflict, ConnectionFailed
from inplace.model.record import UpgradeRecord
from inplace.model.refs import PodRef, TargetRef
from inplace.model.run import Run
from inplace.runtime.informers.inbox import ActionCompleted, ThreadInbox
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lease.disruption_claims import DisruptionClaims
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.run.executor import Executor
from inplace.runtime.run.workers import perform
from tests.builders import budget
from tests.unit.kube.fakes import FakeClock, page, pod
from tests.unit.runtime.fakes import Server, api

TARGET = TargetRef("Deployment", "shop", "web")
BUDGET = budget("tier", desired_healthy=1)
LEASE = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/inplace-pdb-tier"
PODS = "/api/v1/namespaces/shop/pods"


class World:
    def __init__(self, ready: int = 3) -> None:
        self.server, self.clock = Listing(ready), FakeClock()
        self.api = api(self.server, self.clock)

    def claims(self, who: str) -> DisruptionClaims:
        return DisruptionClaims(self.api, TargetLock(self.api, TARGET, None, who))

    @property
    def holder(self) -> Any:
        return self.server.objects[LEASE]["spec"].get("holderIdentity")


class Listing(Server):
    """Also lists pods that are Ready."""

    def __init__(self, ready: int) -> None:
        super().__init__()
        self.ready = ready
        self.is_broken = False

    def _answer(self, request: Any) -> Any:
        if request.path != PODS:
            return super()._answer(request)
        if self.is_broken:
            raise ConnectionFailed("no answer")
        pods = [pod(f"p{n}", 1) for n in range(self.ready)]
        for each in pods:
            each["status"]["conditions"] = [{"type": "Ready", "status": "True"}]
        return page(10, *pods)


def test_a_claim_is_owned_by_the_budget_which_is_read_afterwards() -> None:
    world = World()
    claimed = world.claims("me").claim(BUDGET, world.api)
    assert (claimed.room, claimed.until) == (2, 1010.0)
    lease = world.server.objects[LEASE]
    assert lease["spec"]["holderIdentity"] == "me/inplace-deployment-web"
    assert lease["metadata"]["ownerReferences"][0]["name"] == "tier"
    assert "app.kubernetes.io/managed-by" not in lease["metadata"]["labels"]
    order = [request.path for request in world.server.requests]
    assert order == [LEASE, LEASE.rpartition("/")[0], PODS]


def test_a_budget_is_claimed_by_one_at_a_time() -> None:
    world = World()
    mine, yours = world.claims("me"), world.claims("you")
    mine.claim(BUDGET, world.api)
    with pytest.raises(Conflict, match="is claimed by me/inplace-deployment-web"):
        yours.claim(BUDGET, world.api)
    mine.release("tier")
    assert world.holder is None
    assert yours.claim(BUDGET, world.api).room == 2


@pytest.mark.parametrize("trouble", ["no room", "no list"])
def test_a_claim_that_is_of_no_use_is_released_at_once(trouble: str) -> None:
    world = World(ready=1 if trouble == "no room" else 3)
    world.server.is_broken = trouble == "no list"
    with pytest.raises(Conflict if trouble == "no room" else ConnectionFailed):
        world.claims("me").claim(BUDGET, world.api)
    assert world.holder is None


def test_a_dead_holder_is_replaced_after_the_lease_time_as_seen() -> None:
    world = World()
    world.claims("dead").claim(BUDGET, world.api)
    mine = world.claims("me")
    for _ in range(15):
        with pytest.raises(Conflict):
            mine.claim(BUDGET, world.api)
        world.clock.now += 1.0
    assert mine.claim(BUDGET, world.api).room == 2
    assert world.server.objects[LEASE]["spec"]["leaseTransitions"] == 1


def test_a_holder_that_changes_is_alive() -> None:
    world = World()
    other, mine = world.claims("other"), world.claims("me")
    for _ in range(10):
        other.claim(BUDGET, world.api)
        with pytest.raises(Conflict):
            mine.claim(BUDGET, world.api)
        world.clock.now += 5.0
        other.release("tier")
        other.claim(BUDGET, world.api)


def test_a_claim_whose_answer_was_lost_is_ones_own() -> None:
    world = World()
    mine = world.claims("me")
    world.server.deaf = True
    with pytest.raises(ConnectionFailed):
        mine.claim(BUDGET, world.api)
    world.server.deaf = False
    assert world.holder == "me/inplace-deployment-web"
    assert mine.claim(BUDGET, world.api).room == 2


def test_a_claim_that_was_taken_over_is_not_released() -> None:
    world = World()
    slow, mine = world.claims("slow"), world.claims("me")
    slow.claim(BUDGET, world.api)
    with pytest.raises(Conflict):
        mine.claim(BUDGET, world.api)
    world.clock.now += 15.0
    mine.claim(BUDGET, world.api)
    slow.release("tier")
    assert world.holder == "me/inplace-deployment-web"


@pytest.mark.parametrize(("after", "is_sent"), [(9.9, True), (10.0, False), (3600.0, False)])
def test_a_close_is_sent_only_while_its_claim_holds(after: float, is_sent: bool) -> None:
    world = World()
    lock = TargetLock(world.api, TARGET, None, "me")
    lock.acquire(None, Run(id="one", target=TARGET, images={"app": "app:2"}))
    claims = DisruptionClaims(world.api, lock)
    claims.claim(BUDGET, world.api)
    world.clock.now += after
    lock.renew()
    world.server.put(f"{PODS}/web-1", {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1"}})
    watches = TargetInformers(world.api, ThreadInbox(world.clock), TARGET, "app=web", "lease")
    record = UpgradeRecord(run="one", lease="l", from_images={}, to_images={})
    close = CloseGate(PodRef("shop", "web-1", "u-1", "1"), "inplace.dev/ready", record, budgets=("tier",))
    event = perform(Executor(world.api, "shop", watches, claims), lock, world.clock, close)
    assert isinstance(event, ActionCompleted)
    assert (event.error is None) is is_sent
