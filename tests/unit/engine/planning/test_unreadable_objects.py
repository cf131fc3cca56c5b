"""What is there and cannot be read is not touched, and counts as neither gone nor drained nor done."""

from __future__ import annotations

import msgspec

from inplace.engine.planning.plan import Plan
from inplace.engine.planning.planner import plan
from inplace.engine.preflight.checks import Rejected, preflight
from inplace.engine.snapshot import ObservedPod, Snapshot
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.model.run import CommitState, Run, RunOptions, StopRequest
from tests.builders import (
    LIVE_UID,
    NEW,
    SPEC,
    closed_evidence,
    deployment,
    in_service,
    observed,
    of_deployment,
    pod,
    record,
    replica_set,
    run,
)

NOW = 1000.0
LOST = "EndpointSlice x in namespace shop cannot be read: odd"


def planned(view: Snapshot, r: Run | None = None, stop: StopRequest | None = None) -> Plan:
    unread = msgspec.structs.replace(view, unreadable=(LOST,))
    return plan(unread, msgspec.structs.replace(SPEC, stop=stop), r or run(RunOptions(max_unavailable=1)), NOW)


def closed(name: str = "web-9") -> ObservedPod:
    return in_service(pod(name, ready=False, gate="False", record=record()))


def test_nothing_is_started_and_it_is_named() -> None:
    made = planned(observed(in_service(pod("web-0")), in_service(pod("web-1"))))
    assert made.actions == ()
    assert made.finished is None
    assert made.progress.waiting == f"waiting: {LOST}"


def test_no_pod_is_drained_and_its_clock_goes_on() -> None:
    """The slice that nobody can read may send to it."""
    p = closed()
    made = planned(observed(p, evidence=closed_evidence(p, since=NOW - 60)))
    assert made.actions == ()
    assert [(shown.stage, shown.reason) for shown in made.pods] == [("Closing", LOST)]
    assert "uid-web-9/drain" in made.timers


def test_a_pod_that_waits_for_ever_is_reopened() -> None:
    view = msgspec.structs.replace(observed(closed()), timers={"uid-web-9/drain": NOW - 60})
    made = planned(view)
    assert [type(action).__name__ for action in made.actions] == ["OpenGate"]
    assert [failure.reason for failure in made.run.failures] == ["DrainTimeout"]


def test_the_run_is_not_done_though_all_that_is_seen_is() -> None:
    made = planned(observed(*[in_service(pod(f"web-{i}", images=NEW)) for i in range(2)]))
    assert made.run.commit is None
    assert made.finished is None


def test_unreadable_objects_end_a_run_and_take_its_commit_back() -> None:
    timers = {"run/unreadable": NOW - DEFAULT_WAIT_SECONDS}
    why = f"gave up after 5 minutes: {LOST}"
    made = planned(observed(in_service(pod("web-0", images=NEW)), timers=timers))
    assert made.finished is not None
    assert (made.finished.outcome, made.finished.message) == ("Failed", why)

    target = of_deployment(deployment(paused=True), replica_set())
    begun = run(RunOptions(max_unavailable=1), commit=CommitState(live_uid=LIVE_UID, revision=1))
    back = planned(observed(in_service(pod("web-0", images=NEW)), target=target, timers=timers), begun)
    assert back.run.commit is not None
    assert back.run.commit.undo_reason == why
    assert [type(action).__name__ for action in back.actions] == ["SetPaused"]


def test_told_to_stop_it_frees_what_it_has_closed() -> None:
    made = planned(observed(closed()), stop=StopRequest("Interrupted", "Ctrl-C"))
    assert [type(action).__name__ for action in made.actions] == ["OpenGate"]


def test_nothing_is_begun() -> None:
    view = msgspec.structs.replace(observed(in_service(pod("web-0"))), unreadable=(LOST,))
    assert preflight(view, run(RunOptions(max_unavailable=1)), SPEC.lease_name, resuming=False) == Rejected(LOST)
