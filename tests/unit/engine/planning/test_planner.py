"""Whole plans: what is done now, what is waited for, and how a run ends."""

from typing import Any

import msgspec
import pytest

from inplace.engine.actions import (
    CloseGate,
    CreateHistoryReplicaSet,
    ListPods,
    ListSlices,
    OpenGate,
    PatchImages,
    PatchTemplate,
    SetPaused,
)
from inplace.engine.planning.plan import Plan
from inplace.engine.planning.planner import plan
from inplace.engine.snapshot import Evidence, ObservedPod, Snapshot, Target
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.model.refs import TargetRef
from inplace.model.run import CommitState, PodFailure, Run, RunOptions, StopRequest, parse_steps
from tests.builders import (
    LIVE_UID,
    NEW,
    NS,
    OLD,
    SPEC,
    closed_evidence,
    deployment,
    in_service,
    next_set,
    observed,
    of_deployment,
    of_pods,
    partition,
    patched,
    pod,
    record,
    replica_set,
    revision,
    run,
    stateful_set,
    status,
)

NOW = 1000.0
STOPPED = msgspec.structs.replace(SPEC, stop=StopRequest("Interrupted", "interrupted by Ctrl-C"))
ONE = RunOptions(max_unavailable=1)


def planned(view: Snapshot, r: Run | None = None, now: float = NOW, stop: bool = False) -> Plan:
    return plan(view, STOPPED if stop else SPEC, r or run(ONE), now)


def kinds(made: Plan) -> list[str]:
    return [type(a).__name__ for a in made.actions]


def old(n: int = 2) -> list[ObservedPod]:
    return [in_service(pod(f"web-{i}")) for i in range(n)]


def new(n: int = 3, **fields: Any) -> list[ObservedPod]:
    return [in_service(pod(f"web-{i}", images=NEW, **fields)) for i in range(n)]


def closed(name: str = "web-9", **fields: Any) -> ObservedPod:
    return in_service(pod(name, **{"ready": False, "gate": "False", "record": record(), **fields}))


def proven(name: str = "web-9") -> ObservedPod:
    return closed(name, images=NEW, record=patched(), statuses=[status("app", "c2", NEW["app"], "sha-2")])


def committed(images: dict[str, str] = NEW, revision: int = 2, **d: Any) -> Target:
    return of_deployment(deployment(images, **d), replica_set(images, revision=revision))


class TestActions:
    def test_what_is_under_way_is_not_planned_again(self) -> None:
        view = observed(proven(), *old())
        assert kinds(planned(view)) == ["OpenGate"]
        assert kinds(planned(msgspec.structs.replace(view, keys_in_progress=frozenset({"uid-web-9"})))) == []

    def test_pods_in_flight_come_before_new_ones(self) -> None:
        made = planned(observed(proven(), *old()), run(RunOptions(max_unavailable=2)))
        assert kinds(made) == ["OpenGate", "CloseGate"]

    def test_one_list_of_slices_serves_all_pods(self) -> None:
        pods = [closed(f"web-{i}") for i in range(3)]
        quiet = {f.uid: Evidence(quiet_since=NOW - 1) for f in pods}
        made = planned(observed(*pods, evidence=quiet), run(RunOptions(max_unavailable=3)))
        assert made.actions == (ListSlices(),)

    def test_lists_of_slices_are_a_second_apart(self) -> None:
        view = observed(closed(), evidence={"uid-web-9": Evidence(quiet_since=NOW - 1)}, slices_listed_at=NOW - 0.25)
        made = planned(view)
        assert made.actions == ()
        assert made.requeue_after_seconds == 0.75
        assert planned(view, now=NOW + 0.75).actions == (ListSlices(),)

    def test_the_slot_is_refilled_the_moment_it_frees(self) -> None:
        back = in_service(pod("web-9", images=NEW))
        assert kinds(planned(observed(back, *old()))) == ["CloseGate"]

    def test_the_same_view_gives_the_same_plan(self) -> None:
        view = observed(proven(), closed("web-8"), *old())
        assert planned(view) == planned(view)

    def test_settle_is_looked_at_again_when_it_is_over(self) -> None:
        p = closed()
        made = planned(observed(p, *old(), evidence=closed_evidence(p, since=NOW - 2)))
        assert made.actions == ()
        assert made.requeue_after_seconds == 3.0
        later = planned(observed(p, *old(), evidence=closed_evidence(p, since=NOW - 5)))
        assert [type(a) for a in later.actions] == [PatchImages]


class TestProgress:
    def test_counts(self) -> None:
        view = observed(*new(2), closed(), *[in_service(pod(f"old-{i}")) for i in range(3)])
        progress = planned(view, run(RunOptions(max_unavailable=2))).progress
        assert (progress.desired, progress.updated, progress.in_flight, progress.unavailable) == (6, 2, 2, 2)

    def test_a_close_not_yet_visible_shows_as_closing_with_its_clock(self) -> None:
        made = planned(observed(*old(), closing=frozenset({"uid-web-1"})))
        assert [p.stage for p in made.pods] == ["Pending", "Closing"]
        assert "uid-web-1/stage/Closing" in made.timers
        assert made.progress.in_flight == 1

    def test_steps_are_told(self) -> None:
        made = planned(observed(*old(4)), run(RunOptions(max_unavailable=1, steps=parse_steps("25%,pause,100%"))))
        assert made.progress.step == "step 1 of 3: up to 25%"


class TestSteps:
    STEPS = RunOptions(max_unavailable=2, steps=parse_steps("50%,pause,75%,pause:1m,100%"))

    def test_a_manual_pause_ends_the_process_when_none_is_in_flight(self) -> None:
        made = planned(observed(*new(2), *[in_service(pod(f"old-{i}")) for i in range(2)]), run(self.STEPS))
        assert made.finished is not None
        assert (made.finished.outcome, made.run.steps_passed) == ("Paused", 1)
        assert made.actions == ()

    def test_not_while_a_close_is_not_yet_visible(self) -> None:
        view = observed(*new(2), *[in_service(pod(f"old-{i}")) for i in range(2)], closing=frozenset({"uid-old-0"}))
        assert planned(view, run(self.STEPS)).finished is None

    def test_pods_in_flight_are_finished_before_it(self) -> None:
        view = observed(*new(2), proven(), in_service(pod("old-0")))
        made = planned(view, run(self.STEPS))
        assert made.finished is None
        assert kinds(made) == ["OpenGate"]

    def test_a_timed_pause_starts_nothing_and_then_goes_on(self) -> None:
        view = observed(*new(3), in_service(pod("old-0")))
        r = run(self.STEPS, steps_passed=3)
        made = planned(view, r)
        assert (made.actions, made.requeue_after_seconds) == ((), 60.0)
        assert made.progress.waiting == "pausing for 1m"
        assert made.progress.describe(1010.0) == "step 4 of 5: pause 1m: pausing for 1m, 50s left"
        over = planned(msgspec.structs.replace(view, timers={"pause/3": NOW - 60}), r)
        assert kinds(over) == ["CloseGate"]
        assert over.run.steps_passed == 4

    def test_several_steps_that_are_passed_are_passed_at_once(self) -> None:
        made = planned(observed(*new(4), target=committed()), run(self.STEPS, steps_passed=2))
        assert made.run.steps_passed == 3

    def test_what_is_done_once_the_last_one_is_over_belongs_to_none(self) -> None:
        made = planned(observed(*new(3), target=committed()), run(self.STEPS, steps_passed=4))
        assert (kinds(made), made.progress.describe()) == (["ListPods"], "listing the pods again")


class TestStop:
    def test_nothing_in_flight_ends_at_once(self) -> None:
        made = planned(observed(*old()), stop=True)
        assert made.finished is not None
        assert (made.finished.outcome, made.finished.message) == ("Interrupted", "interrupted by Ctrl-C")
        assert made.run.outcome == "Interrupted"

    def test_a_stop_reopens_unpatched_pods_and_finishes_the_rest(self) -> None:
        made = planned(observed(closed("web-8"), proven(), *old()), stop=True)
        assert [(type(a), a.key) for a in made.actions] == [(OpenGate, "uid-web-8"), (OpenGate, "uid-web-9")]
        assert made.finished is None

    @pytest.mark.parametrize("fields", [{"keys_in_progress": frozenset({"uid-web-0"})}, {"closing": frozenset({"uid-web-0"})}])
    def test_a_close_under_way_or_not_yet_visible_is_waited_for(self, fields: dict[str, Any]) -> None:
        """Else its pod would stay closed, and nobody would come for it."""
        made = planned(observed(*old(), **fields), stop=True)
        assert made.finished is None
        assert made.actions == ()

    def test_a_commit_that_has_begun_is_finished_first(self) -> None:
        r = run(commit=CommitState(live_uid=LIVE_UID, revision=1))
        target = of_deployment(deployment(paused=True), replica_set())
        made = planned(observed(*new(), target=target), r, stop=True)
        assert [type(a) for a in made.actions] == [PatchTemplate]

    def test_somebody_elses_rollout_stops_even_that(self) -> None:
        r = run(commit=CommitState(live_uid=LIVE_UID, revision=1))
        target = of_deployment(deployment(), replica_set(), next_set())
        made = planned(observed(*new(), target=target), r)
        assert made.finished is not None
        assert made.finished.outcome == "Failed"
        assert "somebody started a rollout" in made.finished.message

    @pytest.mark.parametrize("paused", [True, False])
    def test_the_users_pause_is_restored_if_changed_in_the_commit(self, paused: bool) -> None:
        r = run(commit=CommitState(live_uid=LIVE_UID, revision=1, paused=paused))
        foreign = {"app": "repo/app:9"}
        made = planned(observed(*new(), target=of_deployment(deployment(foreign, paused=True), replica_set())), r)
        assert [type(a) for a in made.actions] == ([] if paused else [SetPaused])
        made = planned(observed(*new(), target=of_deployment(deployment(foreign, paused=paused), replica_set())), r)
        assert made.finished is not None
        assert made.finished.external_change
        assert made.run.commit is None
        assert made.actions == ()


class TestWithoutTheGate:
    OPEN = run(RunOptions(max_unavailable=1, without_gate=True))

    def test_a_pod_without_gate_is_patched_at_once_never_closing(self) -> None:
        pods = [in_service(pod(f"web-{i}", gates=())) for i in range(2)]
        made = planned(observed(*pods), self.OPEN)
        assert kinds(made) == ["PatchImages"]
        assert [p.stage for p in made.pods] == ["Restarting", "Pending"]
        assert made.pods[0].reason == "patching the image; it has no gate and is not drained"

    def test_one_that_is_taken_back_is_not_shown_as_settling(self) -> None:
        back = record(gate_before="Absent", before={}, to_images=NEW)
        made = planned(observed(in_service(pod("web-0", images={"app": "repo/app:9"}, gates=(), record=back))), self.OPEN)
        assert [p.stage for p in made.pods] == ["Restarting"]
        assert kinds(made) == ["PatchImages"]


class TestBlocked:
    def test_pods_that_do_not_exist_are_waited_for_by_number(self) -> None:
        made = planned(observed(*new(2), target=of_deployment(deployment(replicas=3), replica_set())))
        assert made.progress.waiting == "waiting for 3 pods to exist (2 do)"
        assert made.requeue_after_seconds == DEFAULT_WAIT_SECONDS

    def test_missing_pods_are_waited_for_even_if_none_is_to_upgrade(self) -> None:
        """All are behind the owner's partition."""
        target = stateful_set(NEW, revision(1), revision(2, NEW), replicas=1, update="web-2", strategy=partition(1))
        ref = TargetRef(kind="StatefulSet", namespace=NS, name="web")
        made = planned(observed(target=target), run(target=ref, revision="web-2", saved_strategy=partition(1)))
        assert made.progress.waiting == "waiting for 1 pods to exist (0 do)"
        assert made.requeue_after_seconds == DEFAULT_WAIT_SECONDS

    def test_a_pod_being_deleted_is_not_awaited_once_it_is_replaced(self) -> None:
        leaving = in_service(pod("web-9", images=OLD, deleting=True))
        assert kinds(planned(observed(*new(3), leaving, target=committed()))) == ["ListPods"]

    def test_until_then_it_has_its_grace_period(self) -> None:
        leaving = in_service(pod("web-9", images=OLD, deleting=True, grace=600))
        made = planned(observed(*new(2), leaving, target=committed()))
        assert made.progress.waiting == "waiting for 3 pods to exist (2 do; pod/web-9 is being deleted)"
        assert made.requeue_after_seconds == DEFAULT_WAIT_SECONDS + 600
        view = observed(*new(2), leaving, target=committed(), timers={"run/blocked": NOW - DEFAULT_WAIT_SECONDS - 600})
        late = planned(view)
        assert late.finished is not None
        assert late.finished.message.startswith("gave up after 15 minutes: waiting for 3 pods to exist")

    def test_a_bare_pod_that_is_being_deleted_is_never_replaced(self) -> None:
        leaving = in_service(pod("web-9", images=OLD, deleting=True))
        assert kinds(planned(observed(*new(2), leaving, target=of_pods()))) == ["ListPods"]
        alone = planned(observed(leaving, target=of_pods()))
        assert alone.finished is None
        assert alone.progress.waiting == "waiting for 1 pods to exist (0 do; pod/web-9 is being deleted)"

    def test_nothing_is_waited_for_for_ever(self) -> None:
        view = observed(*old(), evidence={}, timers={"run/blocked": NOW - DEFAULT_WAIT_SECONDS})
        made = planned(view)
        assert made.finished is not None
        assert made.finished.message.startswith("gave up after 5 minutes: waiting for pod/web-0")

    def test_the_patience_starts_anew_when_something_moves(self) -> None:
        made = planned(observed(*old(), closed(), timers={"run/blocked": NOW - 299}))
        assert "run/blocked" not in made.timers


class TestTarget:
    def test_deleted(self) -> None:
        made = planned(observed(*old(), target=of_deployment(None)))
        assert made.finished is not None
        assert (made.finished.outcome, made.finished.message) == ("Failed", "deploy/web was deleted")

    def test_a_dying_target_with_orphaned_replica_sets(self) -> None:
        """As a real garbage collector does it for `--cascade=orphan`."""
        d = deployment()
        meta = msgspec.structs.replace(d.metadata, deletion_timestamp="2026-01-01T00:00:00Z")
        made = planned(observed(target=of_deployment(msgspec.structs.replace(d, metadata=meta))))
        assert made.finished is not None
        assert (made.finished.outcome, made.finished.message) == ("Failed", "deploy/web was deleted")

    def test_bare_pods_that_have_all_gone_are_no_success(self) -> None:
        r = run(target=TargetRef(kind="Pods", namespace=NS, selector="app=web"))
        made = planned(observed(target=of_pods()), r)
        assert made.finished is not None
        assert made.finished.outcome == "Failed"

    def test_bare_pods_end_with_a_fresh_list(self) -> None:
        r = run(target=TargetRef(kind="Pods", namespace=NS, selector="app=web"))
        view = observed(*new(2), target=of_pods())
        assert planned(view, r).actions == (ListPods(),)
        done = planned(msgspec.structs.replace(view, timers={"commit/end": NOW}, pods_listed_at=NOW), r)
        assert done.finished is not None
        assert done.finished.outcome == "Succeeded"

    def test_at_no_replicas_the_template_is_all_there_is(self) -> None:
        target = of_deployment(deployment(replicas=0), replica_set(replicas=0))
        made = planned(observed(target=target))
        assert kinds(made) == ["SetPaused"]
        assert made.run.commit == CommitState(live_uid=LIVE_UID, revision=1, template=OLD)


class TestCommit:
    BEGUN = run(commit=CommitState(live_uid=LIVE_UID, revision=1))

    def test_begins_when_every_pod_is_updated_and_is_saved_first(self) -> None:
        target = of_deployment(deployment(), replica_set())
        made = planned(observed(*new(), target=target))
        assert made.run.commit == CommitState(live_uid=LIVE_UID, revision=1, template=OLD)
        assert [type(a) for a in made.actions] == [SetPaused]

    def test_not_before_the_last_one(self) -> None:
        for rest in (closed("web-2"), in_service(pod("web-2", images=NEW), ready=False), in_service(pod("web-2"))):
            assert planned(observed(*new(2), rest)).run.commit is None

    def test_one_act_at_a_time(self) -> None:
        target = of_deployment(deployment(), replica_set())
        made = planned(observed(*new(), target=target, keys_in_progress=frozenset({"uid-deploy-web"})), self.BEGUN)
        assert made.actions == ()

    def test_a_pod_that_comes_up_old_is_caught_up_before_it_goes_on(self) -> None:
        target = of_deployment(deployment(paused=True), replica_set(NEW))
        view = observed(
            *new(2), in_service(pod("web-9")), target=target, timers={"commit/replicaset": NOW - 5}, pods_listed_at=NOW
        )
        made = planned(view, self.BEGUN)
        assert kinds(made) == ["CloseGate"]
        assert "commit/replicaset" not in made.timers

    def test_a_list_must_be_made_after_it_was_asked_for(self) -> None:
        target = of_deployment(deployment(paused=True), replica_set(NEW))
        view = observed(*new(), target=target, pods_listed_at=NOW - 1)
        first = planned(view, self.BEGUN)
        assert first.actions == (ListPods(),)
        assert "commit/replicaset" in first.timers
        asked = msgspec.structs.replace(view, timers={"commit/replicaset": NOW - 0.5})
        assert planned(asked, self.BEGUN).actions == (ListPods(),)
        listed = msgspec.structs.replace(asked, pods_listed_at=NOW)
        assert kinds(planned(listed, self.BEGUN)) == ["PatchTemplate"]

    def test_the_tombstone_comes_from_the_runs_own_images(self) -> None:
        target = of_deployment(deployment(NEW, paused=True), replica_set(NEW))
        (action,) = planned(observed(*new(), target=target), self.BEGUN).actions
        assert isinstance(action, CreateHistoryReplicaSet)
        assert action.manifest["spec"]["template"]["spec"]["containers"][0]["image"] == OLD["app"]

    def test_success_needs_a_list_made_at_the_end(self) -> None:
        view = observed(*new(), target=committed())
        assert planned(view, self.BEGUN).actions == (ListPods(),)
        done = planned(msgspec.structs.replace(view, timers={"commit/end": NOW - 1}, pods_listed_at=NOW), self.BEGUN)
        assert done.finished is not None
        assert done.run.outcome == "Succeeded"
        assert (done.actions, done.requeue_after_seconds) == ((), None)

    def test_no_change_writes_nothing(self) -> None:
        made = planned(observed(*new(), target=committed()))
        assert made.actions == (ListPods(),)
        assert made.run.commit is None


def test_a_failure_that_is_known_is_not_told_twice() -> None:
    known = PodFailure(pod="web-9", uid="uid-web-9", reason="BadRecord", message="m")
    made = planned(
        observed(in_service(pod("web-9", record="garbage")), *old()), run(RunOptions(on_failure="continue"), failures=(known,))
    )
    assert made.run.failures == (known,)
    assert kinds(made) == ["CloseGate"]
    assert made.progress.failed == 1


def test_a_close_carries_everything_a_crash_right_after_it_needs() -> None:
    (action,) = planned(observed(*old())).actions
    assert isinstance(action, CloseGate)
    assert (action.record.run, action.record.lease, action.record.from_images) == ("run-1", SPEC.lease_name, OLD)
