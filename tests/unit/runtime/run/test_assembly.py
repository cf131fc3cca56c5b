"""The clients of a run: quick where a request is made again soon, and a flow of its own for the lock."""

from __future__ import annotations

from inplace.kube.limiter import RateLimiter
from inplace.kube.retry import QUICK
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.lease.lock import RENEW_DEADLINE_SECONDS
from inplace.runtime.run.assembly import LOCK_TIMEOUT_SECONDS, QUICK_TIMEOUT_SECONDS, new_lock, quick_client
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api

TARGET = TargetRef("Deployment", "shop", "web")


def test_a_quick_client_gives_up_soon() -> None:
    client = quick_client(api(Server(), FakeClock()))
    assert (client.policy, client.timeout_seconds) == (QUICK, QUICK_TIMEOUT_SECONDS)


def test_a_lock_does_not_wait_for_its_turn() -> None:
    server, clock = Server(), FakeClock()
    limiter = RateLimiter(clock, qps=0.001, burst=1)
    limiter.reserve()
    lock = new_lock(api(server, clock).replace(limiter=limiter), TARGET, None, "me")
    lock.acquire(None, Run(id="one", target=TARGET, images={"app": "app:2"}))
    assert (lock.is_safe, clock.slept) == (True, [])
    assert LOCK_TIMEOUT_SECONDS < RENEW_DEADLINE_SECONDS


def test_a_lock_behind_a_fence_is_safe_only_with_it() -> None:
    class Fence:
        is_safe = False

    server, clock, fence = Server(), FakeClock(), Fence()
    lock = new_lock(api(server, clock), TARGET, None, "me", fence)
    lock.acquire(None, Run(id="one", target=TARGET, images={"app": "app:2"}))
    assert not lock.is_safe
    fence.is_safe = True
    assert lock.is_safe
