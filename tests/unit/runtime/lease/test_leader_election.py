"""One leader: who stands by watches, who is cut off stops, who ends lets go."""

from __future__ import annotations

import threading

import pytest
from structlog.testing import capture_logs

from inplace.kube.clock import SystemClock
from inplace.runtime.lease.leader_election import LeaderElector, LeadershipLost
from inplace.runtime.lease.lock import LEASE_DURATION_SECONDS, RENEW_DEADLINE_SECONDS, RENEW_SECONDS
from tests.unit.kube.fakes import FakeClock, refusal
from tests.unit.runtime.fakes import Server, api, merged

PATH = "/apis/coordination.k8s.io/v1/namespaces/system/leases/inplace-controller"


def leader(server: Server, clock: FakeClock, who: str) -> LeaderElector:
    return LeaderElector(api(server, clock), "system", "inplace-controller", who)


def holder(server: Server) -> str | None:
    found: str | None = server.objects[PATH]["spec"].get("holderIdentity")
    return found


def is_leading(candidate: LeaderElector) -> bool:
    return candidate.election.is_leading


def is_safe(candidate: LeaderElector) -> bool:
    return candidate.is_safe


def go(clock: FakeClock, *candidates: LeaderElector, seconds: float) -> None:
    """Each does what it has to, at its own instants."""
    due = dict.fromkeys(candidates, clock.now)
    ends_at = clock.now + seconds
    while (at := min(due.values())) <= ends_at:
        clock.now = max(clock.now, at)
        candidate = min(due, key=lambda one: due[one])
        due[candidate] = clock.now + candidate.step()
    clock.now = ends_at


def test_the_first_leads_at_once_and_renews_every_5_s() -> None:
    server, clock = Server(), FakeClock()
    one = leader(server, clock, "one")
    assert not is_safe(one)
    go(clock, one, seconds=0)
    assert is_safe(one)
    assert server.objects[PATH]["spec"]["leaseDurationSeconds"] == LEASE_DURATION_SECONDS
    before = len(server.requests)
    go(clock, one, seconds=59)
    assert len(server.requests) - before == 60 / RENEW_SECONDS
    assert all(method == "PATCH" and body["spec"].keys() == {"renewTime"} for method, _, body in server.writes[1:])


def test_a_standby_only_reads_as_long_as_the_leader_lives() -> None:
    server, clock = Server(), FakeClock()
    one, two = leader(server, clock, "one"), leader(server, clock, "two")
    go(clock, one, seconds=0)
    go(clock, one, two, seconds=300)
    assert is_safe(one)
    assert not is_safe(two)
    assert two.election.holder == "one"
    assert server.objects[PATH]["spec"]["leaseTransitions"] == 0


def test_a_dead_leader_is_replaced_after_15_s_whatever_it_wrote() -> None:
    server, clock = Server(), FakeClock()
    one, two = leader(server, clock, "one"), leader(server, clock, "two")
    go(clock, one, seconds=0)
    server.put(PATH, merged(server.objects[PATH], {"spec": {"renewTime": "2099-01-01T00:00:00.000000Z"}}))
    go(clock, two, seconds=LEASE_DURATION_SECONDS - 0.01)
    assert holder(server) == "one"
    go(clock, two, seconds=0.02)
    assert holder(server) == "two"
    assert is_safe(two)
    assert not is_safe(one)
    assert server.objects[PATH]["spec"]["leaseTransitions"] == 1


def test_a_leader_that_slept_too_long_is_unsafe_and_has_lost() -> None:
    server, clock = Server(), FakeClock()
    one, two = leader(server, clock, "one"), leader(server, clock, "two")
    go(clock, one, seconds=0)
    go(clock, two, seconds=LEASE_DURATION_SECONDS + 1)
    assert is_safe(two)
    assert not is_safe(one)
    with pytest.raises(LeadershipLost, match="was taken over by two"):
        go(clock, one, seconds=10)
    one.stop()
    assert holder(server) == "two"


def test_a_leader_that_slept_while_it_was_alone_leads_on() -> None:
    server, clock = Server(), FakeClock()
    one = leader(server, clock, "one")
    go(clock, one, seconds=0)
    clock.now += 3600
    assert not is_safe(one)
    go(clock, one, seconds=0)
    assert is_safe(one)


def test_without_the_api_server_a_leader_is_unsafe_after_10_s() -> None:
    server, clock = Server(), FakeClock()
    one = leader(server, clock, "one")
    go(clock, one, seconds=0)
    server.down = True
    with capture_logs():
        go(clock, one, seconds=RENEW_DEADLINE_SECONDS - 0.1)
        assert is_safe(one)
        go(clock, one, seconds=0.2)
        assert not is_safe(one)
        go(clock, one, seconds=20)
    server.down = False
    go(clock, one, seconds=2)
    assert is_safe(one)


def test_a_standby_cut_off_too_gives_the_leader_its_time_again() -> None:
    server, clock = Server(), FakeClock()
    one, two = leader(server, clock, "one"), leader(server, clock, "two")
    go(clock, one, seconds=0)
    go(clock, one, two, seconds=1)
    server.down = True
    with capture_logs():
        go(clock, one, two, seconds=60)
    server.down = False
    go(clock, two, seconds=LEASE_DURATION_SECONDS - 1)
    assert holder(server) == "one"
    go(clock, one, two, seconds=1)
    assert is_safe(one)


def test_a_clean_end_is_unsafe_first_then_lets_the_next_in() -> None:
    server, clock = Server(), FakeClock()
    one, two = leader(server, clock, "one"), leader(server, clock, "two")
    go(clock, one, seconds=0)
    go(clock, two, seconds=3)
    one.stop()
    assert not is_safe(one)
    assert holder(server) is None
    go(clock, two, seconds=2)
    assert is_safe(two)


def test_a_clean_end_of_one_that_does_not_lead_writes_nothing() -> None:
    server, clock = Server(), FakeClock()
    one, two = leader(server, clock, "one"), leader(server, clock, "two")
    go(clock, one, seconds=0)
    go(clock, two, seconds=3)
    before = len(server.writes)
    two.stop()
    assert len(server.writes) == before


def test_a_write_whose_answer_was_lost_is_found_to_be_ours() -> None:
    server, clock = Server(), FakeClock()
    one = leader(server, clock, "one")
    server.deaf = True
    with capture_logs():
        go(clock, one, seconds=0)
    assert not is_leading(one)
    server.deaf = False
    go(clock, one, seconds=2)
    assert is_safe(one)
    server.deaf = True
    with capture_logs():
        go(clock, one, seconds=RENEW_SECONDS)
    server.deaf = False
    go(clock, one, seconds=2)
    assert is_safe(one)


def test_a_note_that_somebody_puts_on_the_lease_is_no_loss() -> None:
    server, clock = Server(), FakeClock()
    one = leader(server, clock, "one")
    go(clock, one, seconds=0)
    server.put(PATH, merged(server.objects[PATH], {"metadata": {"annotations": {"note": "mine"}}}))
    go(clock, one, seconds=RENEW_SECONDS)
    assert is_safe(one)


def test_a_vanished_lease_is_lost_and_not_taken_too_early() -> None:
    server, clock = Server(), FakeClock()
    one, two = leader(server, clock, "one"), leader(server, clock, "two")
    go(clock, one, seconds=0)
    go(clock, one, two, seconds=3)
    del server.objects[PATH]
    go(clock, two, seconds=RENEW_DEADLINE_SECONDS)
    assert not is_safe(two)
    with pytest.raises(LeadershipLost, match="was deleted"):
        go(clock, one, seconds=0)
    assert not is_leading(one)
    go(clock, two, seconds=LEASE_DURATION_SECONDS)
    assert is_safe(two)


def test_a_missing_right_is_told_and_waited_for() -> None:
    server, clock = Server(), FakeClock()
    one = leader(server, clock, "one")
    server.refuse = refusal(403, "leases is forbidden", "Forbidden")
    with capture_logs() as lines:
        go(clock, one, seconds=2)
    assert {line["why"] for line in lines} == {"leases is forbidden"}
    server.refuse = None
    go(clock, one, seconds=2)
    assert is_safe(one)


def test_on_threads_it_is_elected_once_and_stops() -> None:
    server, elected = Server(), threading.Semaphore(0)
    one = LeaderElector(api(server, SystemClock()), "system", "inplace-controller", "one")  # type: ignore[arg-type]
    lost: list[BaseException] = []
    one.start(elected.release, lost.append)
    assert elected.acquire(timeout=30)
    one.stop()
    assert holder(server) is None
    assert not elected.acquire(blocking=False)
    assert lost == []


def ended_by(one: LeaderElector) -> list[type[BaseException]]:
    why, is_over = [], threading.Event()

    def lost(error: BaseException) -> None:
        why.append(type(error))
        is_over.set()

    one.start(lambda: None, lost)
    assert is_over.wait(30)
    return why


def test_the_thread_ends_when_it_is_lost() -> None:
    server, clock = Server(), FakeClock()
    one = leader(server, clock, "one")
    go(clock, one, seconds=0)
    server.put(PATH, merged(server.objects[PATH], {"spec": {"holderIdentity": "two"}}))
    assert ended_by(one) == [LeadershipLost]


def test_a_bug_is_handed_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(LeaderElector, "_read", broken)
    assert ended_by(leader(Server(), FakeClock(), "one")) == [ZeroDivisionError]


def test_the_lease_names_the_opened_gates_once_for_each_term() -> None:
    server, clock = Server(), FakeClock()
    one = LeaderElector(api(server, clock), "system", "inplace-controller", "one", gates="{rules}", component="gate")
    go(clock, one, seconds=20)
    told = [body["metadata"].get("annotations") for _, _, body in server.writes]
    assert told == [{"inplace.dev/gates": "{rules}"}, *[None] * (len(told) - 1)]
    assert server.objects[PATH]["metadata"]["labels"]["app.kubernetes.io/component"] == "gate"
    one.stop()
    again = LeaderElector(api(server, clock), "system", "inplace-controller", "two", gates="{others}")
    go(clock, again, seconds=0)
    assert server.objects[PATH]["metadata"]["annotations"] == {"inplace.dev/gates": "{others}"}


def test_a_candidate_that_stands_again_never_ends_by_having_lost() -> None:
    server, clock = Server(), FakeClock()
    one = LeaderElector(api(server, clock), "system", "inplace-controller", "one", rejoins=True)
    go(clock, one, seconds=0)
    server.objects[PATH]["spec"]["holderIdentity"] = "two"
    server.objects[PATH]["metadata"]["resourceVersion"] = "99"
    with capture_logs() as lines:
        go(clock, one, seconds=RENEW_SECONDS + 2)
    assert not is_safe(one)
    assert [line["why"] for line in lines if line["event"] == "standing by again"] == ["the leader Lease was taken over by two"]
    go(clock, one, seconds=LEASE_DURATION_SECONDS + 5)
    assert is_safe(one)
    assert holder(server) == "one"
