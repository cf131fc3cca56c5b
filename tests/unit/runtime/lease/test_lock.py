"""The lock: one holder, no clock of anybody else, nothing written once a renewal is too old."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from inplace.kube.api import ApiClient
from inplace.kube.errors import ConnectionFailed
from inplace.model.constants import HELD_BY_ANNOTATION, REQUEST_ANNOTATION, RUN_ANNOTATION
from inplace.model.objects.coordination import Lease
from inplace.model.objects.meta import ObjectMeta
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.lease.lock import (
    RENEW_DEADLINE_SECONDS,
    LockHeldError,
    LockLostError,
    TargetLock,
    describe_holder,
    run_from_lease,
)
from inplace.runtime.requests import read_request
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api, merged

TARGET = TargetRef("Deployment", "shop", "web")
PATH = "/apis/coordination.k8s.io/v1/namespaces/shop/leases/inplace-deployment-web"
OWNER = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "d-1"}
RUN_ONE = Run(id="one", target=TARGET, images={"app": "app:2"})


def lock(server: Server, clock: FakeClock, who: str = "me") -> TargetLock:
    return TargetLock(api(server, clock), TARGET, OWNER, who)


def acquired(server: Server, clock: FakeClock, who: str = "me") -> TargetLock:
    mine = lock(server, clock, who)
    mine.acquire(mine.wait_until_free(silent), RUN_ONE)
    return mine


def is_safe(mine: TargetLock) -> bool:
    return mine.is_safe


def silent(_line: str) -> None:
    pass


def meanwhile(clock: FakeClock, act: Callable[[], None]) -> None:
    """Does `act` whenever somebody sleeps."""
    sleep = clock.sleep

    def slept(seconds: float) -> None:
        sleep(seconds)
        act()

    clock.sleep = slept  # type: ignore[method-assign]


def test_a_new_lock_holds_the_run_and_belongs_to_the_target() -> None:
    server, clock = Server(), FakeClock()
    acquired(server, clock)
    lease = server.objects[PATH]
    assert lease["spec"]["holderIdentity"] == "me"
    assert lease["metadata"]["ownerReferences"] == [OWNER]
    assert len(server.writes) == 1
    assert '"id":"one"' in lease["metadata"]["annotations"][RUN_ANNOTATION]


def test_a_released_lock_is_taken_at_once_and_its_run_is_read() -> None:
    server, clock = Server(), FakeClock()
    acquired(server, clock).release(RUN_ONE)
    again = lock(server, clock, "you")
    lease = again.wait_until_free(silent)
    assert clock.slept == []
    stored = run_from_lease(lease)
    assert stored is not None
    assert stored.id == "one"
    again.acquire(lease, RUN_ONE)
    assert server.objects[PATH]["spec"]["holderIdentity"] == "you"
    assert server.objects[PATH]["spec"]["leaseTransitions"] == 1


def test_a_living_holder_refuses_a_newcomer_without_a_write() -> None:
    server, clock = Server(), FakeClock()
    first = acquired(server, clock, "host-7")
    meanwhile(clock, first.renew)
    before = len(server.writes)
    with pytest.raises(LockHeldError, match="host-7"):
        lock(server, clock, "you").wait_until_free(silent)
    assert all(body["spec"].keys() == {"renewTime"} for _, _, body in server.writes[before:])


@pytest.mark.parametrize(
    ("target", "who", "says"),
    [
        (TARGET, "host-7", ", as host-7: wait for it, or `inplace pause deploy/web -n shop`"),
        (
            TargetRef("Pods", "shop", selector="app in (a,b)"),
            "host-7",
            "wait for it, or `inplace pause pods -l 'app in (a,b)' -n shop`",
        ),
        (TARGET, "controller/sys/inplace/x", "wait for its end, or go back first: `inplace abort deploy/web -n shop`"),
    ],
    ids=["a command", "of bare pods", "a controller, which holds on to what it has paused"],
)
def test_a_refused_newcomer_learns_what_helps(target: TargetRef, who: str, says: str) -> None:
    server, clock = Server(), FakeClock()
    leader = "/apis/coordination.k8s.io/v1/namespaces/sys/leases/inplace"
    server.put(leader, {"metadata": {"name": "inplace", "namespace": "sys"}, "spec": {"holderIdentity": "x"}})
    first = TargetLock(api(server, clock), target, None, who)
    first.held_by = "jane (root@laptop)"
    first.acquire(None, RUN_ONE)
    meanwhile(clock, first.renew)
    with pytest.raises(LockHeldError) as caught:
        TargetLock(api(server, clock), target, None, "you").wait_until_free(silent)
    assert str(caught.value).startswith(f"{target} is being upgraded by jane (root@laptop) since ")
    assert str(caught.value).endswith(says)


def test_a_lease_says_no_longer_than_it_is_held_who_holds_it() -> None:
    server, clock = Server(), FakeClock()
    first = TargetLock(api(server, clock), TARGET, None, "host-7")
    first.held_by = "jane (root@laptop)"
    first.acquire(None, RUN_ONE)
    first.release(RUN_ONE)
    free = lock(server, clock, "you").read()
    assert free is not None
    assert free.metadata.annotation(HELD_BY_ANNOTATION) is None
    first.acquire(free, RUN_ONE)
    held = lock(server, clock, "you").read()
    other = lock(server, clock, "you")
    other.acquire(held, RUN_ONE)
    assert describe_holder(other.read() or Lease(ObjectMeta())).startswith("you since ")


def test_a_dead_holder_is_replaced_after_the_lease_time_as_seen() -> None:
    server, clock = Server(), FakeClock()
    acquired(server, clock, "dead")
    server.put(PATH, merged(server.objects[PATH], {"spec": {"renewTime": "2099-01-01T00:00:00Z"}}))
    mine = lock(server, clock)
    lease = mine.wait_until_free(silent)
    assert sum(clock.slept) == 15
    mine.acquire(lease, RUN_ONE)
    assert is_safe(mine)


def test_two_newcomers_cannot_both_take_it() -> None:
    server, clock = Server(), FakeClock()
    acquired(server, clock).release(RUN_ONE)
    one, two = lock(server, clock, "one"), lock(server, clock, "two")
    seen_by_one, seen_by_two = one.wait_until_free(silent), two.wait_until_free(silent)
    one.acquire(seen_by_one, RUN_ONE)
    with pytest.raises(LockHeldError):
        two.acquire(seen_by_two, RUN_ONE)
    assert server.objects[PATH]["spec"]["holderIdentity"] == "one"


def test_an_acquisition_whose_response_was_lost_is_ours() -> None:
    server, clock = Server(), FakeClock()
    server.deaf = True
    mine = lock(server, clock)
    with pytest.raises(ConnectionFailed):
        mine.acquire(None, RUN_ONE)
    server.deaf = False
    mine.acquire(None, RUN_ONE)
    assert is_safe(mine)


def test_writing_is_unsafe_once_the_last_renewal_is_too_old() -> None:
    server, clock = Server(), FakeClock()
    mine = acquired(server, clock)
    clock.now += RENEW_DEADLINE_SECONDS - 0.1
    assert is_safe(mine)
    clock.now += 0.2
    assert not is_safe(mine)
    mine.renew()
    assert is_safe(mine)


def test_the_age_of_a_renewal_counts_from_before_it_was_sent() -> None:
    server, clock = Server(), FakeClock()
    mine = acquired(server, clock)
    slow = server.call

    def call(request: object, timeout_seconds: float) -> object:
        clock.now += 9.0
        return slow(request, timeout_seconds)  # type: ignore[arg-type]

    server.call = call  # type: ignore[method-assign, assignment]
    mine.renew()
    clock.now += 1.5
    assert not is_safe(mine)


def test_a_request_beside_the_run_is_no_loss_and_is_removed() -> None:
    server, clock = Server(), FakeClock()
    mine = acquired(server, clock)
    server.put(PATH, merged(server.objects[PATH], {"metadata": {"annotations": {REQUEST_ANNOTATION: "pause"}}}))
    mine.renew()
    assert read_request(mine.lease) == "pause"
    mine.save(RUN_ONE, clear_request=True)
    assert read_request(mine.lease) is None


@pytest.mark.timeout(20)
def test_a_renewal_while_a_save_on_that_thread_is_retried() -> None:
    """As on virtual time, where sleeping is what lets the renewer have its turn."""
    server, clock = Server(), FakeClock()
    mine = TargetLock(ApiClient(transport=server, clock=clock), TARGET, OWNER, "me")
    mine.acquire(None, RUN_ONE)
    server.down = True

    def renew() -> None:
        server.down = False
        mine.renew()

    meanwhile(clock, renew)
    mine.save(msgspec.structs.replace(RUN_ONE, message="saved"))
    stored = run_from_lease(mine.read())
    assert stored is not None
    assert stored.message == "saved"


def test_a_lease_taken_over_is_lost_and_named() -> None:
    server, clock = Server(), FakeClock()
    mine = acquired(server, clock)
    server.put(PATH, merged(server.objects[PATH], {"spec": {"holderIdentity": "you"}}))
    with pytest.raises(LockLostError, match="you"):
        mine.renew()


def test_a_deleted_lease_is_lost() -> None:
    server, clock = Server(), FakeClock()
    mine = acquired(server, clock)
    del server.objects[PATH]
    with pytest.raises(LockLostError, match="deleted"):
        mine.save(RUN_ONE)


def test_a_clean_end_leaves_the_run_without_holder_or_nothing() -> None:
    server, clock = Server(), FakeClock()
    acquired(server, clock).release(RUN_ONE)
    assert "holderIdentity" not in server.objects[PATH]["spec"]
    acquired(server, clock).release(RUN_ONE, delete=True)
    assert PATH not in server.objects


def test_a_stored_run_of_another_version_is_refused_in_words() -> None:
    server, clock = Server(), FakeClock()
    acquired(server, clock)
    annotations = server.objects[PATH]["metadata"]["annotations"]
    annotations[RUN_ANNOTATION] = annotations[RUN_ANNOTATION].replace('"id"', '"v":9,"id"')
    with pytest.raises(ValueError, match="version 9"):
        run_from_lease(lock(server, clock).read())


def test_a_shared_holder_name_does_not_make_another_run_ones_own() -> None:
    server, clock = Server(), FakeClock()
    acquired(server, clock, "controller/sys/inplace/x")
    second = TargetLock(api(server, clock), TARGET, OWNER, "controller/sys/inplace/x")
    with pytest.raises(LockHeldError):
        second.acquire(None, Run(id="two", target=TARGET, images={"app": "app:3"}))
    assert '"id":"one"' in server.objects[PATH]["metadata"]["annotations"][RUN_ANNOTATION]


def test_a_lock_whose_run_was_replaced_by_its_namesake_is_lost() -> None:
    server, clock = Server(), FakeClock()
    first = acquired(server, clock, "controller/sys/inplace/x")
    second = TargetLock(api(server, clock), TARGET, OWNER, "controller/sys/inplace/x")
    second.acquire(second.read(), Run(id="two", target=TARGET, images={"app": "app:3"}))
    with pytest.raises(LockLostError):
        first.save(RUN_ONE)
