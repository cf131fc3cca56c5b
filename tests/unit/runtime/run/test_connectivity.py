"""Whether a run can still read and write, and for how long it may not before it is left as it is."""

from __future__ import annotations

import pytest

from inplace.kube.errors import ApiError, ConnectionFailed, Forbidden, Unauthorized
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.errors import RunAbandoned
from inplace.runtime.informers.inbox import ThreadInbox
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.lease.lock import TargetLock
from inplace.runtime.run.connectivity import PATIENCE_SECONDS, STALE_CACHE_SECONDS, Connectivity
from tests.unit.kube.fakes import FakeClock, refusal
from tests.unit.runtime.fakes import Server, api

TARGET = TargetRef("Deployment", "shop", "web")


class Watched:
    """A run whose caches can fail, and whose lock is held."""

    def __init__(self, *, retry_forever: bool = False) -> None:
        self.server, self.clock = Server(), FakeClock()
        client = api(self.server, self.clock)
        self.lock = TargetLock(client, TARGET, None, "me")
        self.lock.acquire(None, Run(id="one", target=TARGET, images={"app": "app:2"}))
        self.caches = TargetInformers(client, ThreadInbox(self.clock), TARGET, "app=web", "lease")
        self.connectivity = Connectivity(self.caches, self.lock, retry_forever=retry_forever)

    def fail(self, error: ApiError) -> None:
        self.caches.reflectors[0].on_error(error)


def test_a_run_without_errors_has_a_way_on() -> None:
    watched = Watched()
    watched.connectivity.require_progress(0.0, is_safe=True)
    watched.connectivity.require_progress(10 * PATIENCE_SECONDS, is_safe=True)
    assert (watched.connectivity.has_error, watched.connectivity.stale_reason(0.0)) == (False, "")


def test_an_unsafe_lock_abandons_the_run_after_a_while() -> None:
    watched = Watched()
    watched.connectivity.require_progress(0.0, is_safe=False)
    watched.connectivity.require_progress(PATIENCE_SECONDS, is_safe=False)
    watched.connectivity.require_progress(PATIENCE_SECONDS + 1, is_safe=True)
    watched.connectivity.require_progress(PATIENCE_SECONDS + 2, is_safe=False)
    with pytest.raises(RunAbandoned, match="stopped after 5m without a way on: the API server cannot be reached"):
        watched.connectivity.require_progress(2 * PATIENCE_SECONDS + 3, is_safe=False)


@pytest.mark.parametrize(("retry_forever", "is_abandoned"), [(False, True), (True, False)])
def test_refused_watches_abandon_the_run_of_a_command(retry_forever: bool, is_abandoned: bool) -> None:
    watched = Watched(retry_forever=retry_forever)
    watched.fail(Forbidden("you may not list pods", status=403))
    watched.connectivity.require_progress(0.0, is_safe=True)
    if not is_abandoned:
        watched.connectivity.require_progress(PATIENCE_SECONDS + 1, is_safe=True)
        return
    with pytest.raises(RunAbandoned, match="you may not list pods"):
        watched.connectivity.require_progress(PATIENCE_SECONDS + 1, is_safe=True)


def test_caches_are_stale_once_their_watch_fails_for_a_while() -> None:
    watched = Watched()
    watched.fail(ConnectionFailed("connection refused"))
    assert watched.connectivity.stale_reason(0.0) == ""
    assert watched.connectivity.stale_reason(STALE_CACHE_SECONDS) == ""
    assert watched.connectivity.stale_reason(STALE_CACHE_SECONDS + 1) == "connection refused"


def test_a_refused_renewal_is_reported_at_once() -> None:
    watched = Watched()
    assert watched.connectivity.lock_problem(is_safe=True) == ""
    watched.server.refuse = refusal(401, "token expired", "Unauthorized")
    with pytest.raises(Unauthorized):
        watched.lock.renew()
    assert "nothing is written until that is mended" in watched.connectivity.lock_problem(is_safe=True)
