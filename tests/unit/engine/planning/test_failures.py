"""When a pod has failed, what then becomes of the run, and what is left of its pods."""

import msgspec
import pytest

from inplace.engine.actions import OpenGate, PatchImages
from inplace.engine.planning.failures import roll_back, should_roll_back
from inplace.engine.planning.plan import Plan, PlanContext
from inplace.engine.snapshot import Evidence, ObservedPod
from inplace.model.refs import TargetRef
from inplace.model.run import CommitState, PodFailure, Run, RunOptions, StopRequest
from tests.builders import (
    NEW,
    NS,
    OLD,
    SPEC,
    closed_evidence,
    deployment,
    in_service,
    observed,
    of_deployment,
    of_revision,
    partition,
    pod,
    record,
    replica_set,
    revision,
    run,
    stateful_set,
    status,
)
from tests.unit.engine.flights import NOW, draining, options, others, planned, restarting

BEGUN = {"uid-web-0/restart": NOW - 9, "uid-web-0/patched": NOW - 9}
FAILED = PodFailure(pod="web-0", uid="uid-web-0", reason="DrainTimeout", message="m")


class TestEarlyFailures:
    def later(self, what: ObservedPod, *, restart: float = NOW - 10, **trouble: float) -> Plan:
        timers = {"uid-web-0/restart": restart, "uid-web-0/patched": restart}
        timers.update({f"uid-web-0/trouble/{name}": since for name, since in trouble.items()})
        return planned(observed(what, *others(), timers=timers))

    def test_trouble_that_begins_after_we_came_needs_no_deadline(self) -> None:
        (failure,) = self.later(restarting("ImagePullBackOff")).run.failures
        assert (failure.reason, failure.message) == ("ImagePullBackOff", "container app: ImagePullBackOff of app")

    def test_trouble_that_was_there_when_we_came_is_no_news(self) -> None:
        """A resume, or an old image's trouble that the kubelet still shows: the deadline decides."""
        first = planned(observed(restarting("ImagePullBackOff"), *others()))
        assert first.run.failures == ()
        timers = dict.fromkeys(first.timers, NOW)
        again = planned(observed(restarting("ImagePullBackOff"), *others(), timers=timers), now=NOW + 30)
        assert again.run.failures == ()
        assert again.requeue_after_seconds == 270.0
        assert len(planned(observed(restarting("ImagePullBackOff"), *others(), timers=timers), now=NOW + 300).run.failures) == 1

    def test_fixing_a_bad_image_is_not_failed_by_the_bad_image(self) -> None:
        """The kubelet shows the old trouble until it has seen the new image, and once more after."""
        unseen = planned(observed(restarting("ImagePullBackOff", observed_=1), *others()))
        seen = observed(restarting("ImagePullBackOff"), *others(), timers=dict.fromkeys(unseen.timers, NOW))
        assert planned(seen, now=NOW + 1).run.failures == ()

    def test_the_next_trouble_is_told_from_the_first(self) -> None:
        old = restarting("ImagePullBackOff")
        timers = dict.fromkeys(planned(observed(old, *others())).timers, NOW)
        shown = msgspec.structs.replace(status("app", "c1", waiting="ErrImageNeverPull"))
        new = in_service(
            msgspec.structs.replace(old.pod, status=msgspec.structs.replace(old.pod.status, container_statuses=(shown,)))
        )
        assert len(planned(observed(new, *others(), timers=timers), now=NOW + 5).run.failures) == 1

    def test_not_before_the_kubelet_has_seen_the_image(self) -> None:
        assert self.later(restarting("ImagePullBackOff", observed_=1)).run.failures == ()

    def test_the_kubelets_own_back_off_is_waited_for(self) -> None:
        assert self.later(restarting("CrashLoopBackOff", id_="c1")).run.failures == ()

    def test_a_crash_loop_of_the_new_container_is_not(self) -> None:
        (failure,) = self.later(restarting("CrashLoopBackOff", id_="c2")).run.failures
        assert failure.reason == "CrashLoopBackOff"

    def test_a_new_pod_of_the_new_template_may_fail_as_well(self) -> None:
        fresh = in_service(pod("web-0", images=NEW, ready=False, statuses=[status(waiting="ErrImageNeverPull")]))
        assert len(self.later(fresh).run.failures) == 1


class TestPause:
    def test_after_a_failure_pods_in_flight_are_finished_no_more(self) -> None:
        view = observed(restarting(), *others())
        made = planned(view, run(options(), failures=(FAILED, msgspec.structs.replace(FAILED, uid="x"))))
        assert made.finished is not None
        assert made.finished.outcome == "Failed"
        assert made.finished.message == "pod/web-0 failed with DrainTimeout: m, and 1 more"
        busy = msgspec.structs.replace(FAILED, uid="uid-web-9")
        going_on = planned(view, run(options(), failures=(busy,)))
        assert going_on.finished is None
        assert "finishing the pods in flight" in going_on.progress.waiting

    def test_a_pod_whose_image_was_not_patched_is_reopened_first(self) -> None:
        view = observed(draining(), *others(), timers={"uid-web-0/drain": NOW - 60})
        made = planned(view)
        (action,) = made.actions
        assert isinstance(action, OpenGate)
        assert made.finished is None
        after = observed(in_service(pod("web-0")), *others())
        ended = planned(after, made.run)
        assert ended.finished is not None
        assert ended.run.outcome == "Failed"

    def test_a_pod_that_never_restarted_stays_closed_and_owned(self) -> None:
        view = observed(restarting("ImagePullBackOff"), *others(), timers=BEGUN)
        made = planned(view)
        assert made.actions == ()
        assert made.finished is not None
        (shown, *_) = made.pods
        assert shown.stage == "Failed"

    def test_a_failed_pod_counts_as_failed_not_as_updated(self) -> None:
        r = run(options("continue"), failures=(FAILED,))
        made = planned(observed(in_service(pod("web-0", images=NEW)), *others()), r)
        assert (made.progress.updated, made.progress.failed) == (0, 1)


class TestContinue:
    def test_goes_on_with_the_others_within_the_budget(self) -> None:
        failed = restarting("ImagePullBackOff")
        roomy = run(RunOptions(on_failure="continue", max_unavailable=2), failures=(FAILED,))
        assert [a.key for a in planned(observed(failed, *others()), roomy).actions] == ["uid-web-1"]

    def test_ends_failed_when_the_others_are_done(self) -> None:
        done = [in_service(pod(f"web-{i}", images=NEW)) for i in (1, 2)]
        made = planned(observed(restarting("ImagePullBackOff"), *done), run(options("continue"), failures=(FAILED,)))
        assert made.finished is not None
        assert (made.finished.outcome, made.finished.message) == ("Failed", "some pods could not be upgraded")

    def test_failures_do_not_wait_for_pods_that_are_not_upgraded(self) -> None:
        """Behind the owner's partition there is nothing to do."""
        target = stateful_set(NEW, revision(1), revision(2, NEW), replicas=2, update="web-2", updated=1, strategy=partition(1))
        kept = of_revision("web-0", "web-1")
        down = of_revision("web-1", "web-2", NEW, ready=False, statuses=[status(waiting="ImagePullBackOff")])
        failed = msgspec.structs.replace(FAILED, pod="web-1", uid="uid-web-1")
        ref = TargetRef(kind="StatefulSet", namespace=NS, name="web")
        r = run(options("continue"), failures=(failed,), revision="web-2", saved_strategy=partition(1), target=ref)
        made = planned(observed(kept, down, target=target), r)
        assert made.finished is not None
        assert made.finished.outcome == "Failed"

    @pytest.mark.parametrize(
        "failed",
        [
            restarting("ImagePullBackOff"),
            in_service(pod("web-0", images=NEW, ready=False, statuses=[status(waiting="CrashLoopBackOff")]), ready=False),
        ],
        ids=["stays closed", "was reopened, and crashes"],
    )
    def test_gives_up_when_failed_pods_hold_the_budget(self, failed: ObservedPod) -> None:
        made = planned(observed(failed, *others()), run(options("continue"), failures=(FAILED,)))
        assert made.finished is not None
        assert made.finished.message == "failed pods use up all that may be unavailable (1)"

    def test_no_pod_is_started_while_another_is_on_its_way_back(self) -> None:
        """It could not be drained, was reopened, and is not Ready yet."""
        back = in_service(pod("web-0", ready=False), ready=False)
        made = planned(observed(back, *others()), run(options("continue"), failures=(FAILED,)))
        assert made.finished is None
        assert made.progress.waiting.startswith(
            "waiting, since at most 1 may be unavailable at once: pod/web-0 on node node-1 is not Ready"
        )

    def test_no_pod_is_started_while_a_healthy_one_takes_headroom(self) -> None:
        """That one may come back."""
        r = run(RunOptions(on_failure="continue", max_unavailable=2), failures=(FAILED,))
        down = in_service(pod("web-9", ready=False, images=NEW), ready=False)
        made = planned(observed(restarting("ImagePullBackOff"), down, *others()), r)
        assert (made.finished, made.actions) == (None, ())

    def test_a_failed_pod_that_recovers_late_is_still_a_failure(self) -> None:
        """A failed pod means exit 1, whatever `--on-failure` did; its workload is committed all the same."""
        pods = [in_service(pod(f"web-{i}", images=NEW)) for i in range(3)]
        target = of_deployment(deployment(NEW), replica_set(NEW))
        view = observed(*pods, target=target, timers={"commit/end": NOW}, pods_listed_at=NOW)
        made = planned(view, run(options("continue"), failures=(FAILED,)))
        assert made.finished is not None
        assert made.finished.outcome == "Failed"
        assert made.run.is_unfinished


class TestMaxFailed:
    """So many failed pods are borne; with one more the run does as `on_failure` says."""

    TOLERANT = RunOptions(max_unavailable=2, max_failed=1)

    def test_within_it_the_run_goes_on(self) -> None:
        made = planned(observed(restarting("ImagePullBackOff"), *others()), run(self.TOLERANT, failures=(FAILED,)))
        assert [a.key for a in made.actions] == ["uid-web-1"]
        assert made.finished is None

    def test_beyond_it_the_run_stops(self) -> None:
        two = (FAILED, msgspec.structs.replace(FAILED, uid="uid-web-9", pod="web-9"))
        made = planned(observed(restarting("ImagePullBackOff"), *others()), run(self.TOLERANT, failures=two))
        assert made.actions == ()
        assert made.finished is not None
        assert made.finished.message.endswith("and 1 more")

    def test_a_run_that_tolerated_failures_has_failed_uncommitted(self) -> None:
        done = [in_service(pod(f"web-{i}", images=NEW)) for i in (1, 2)]
        made = planned(observed(restarting("ImagePullBackOff"), *done), run(self.TOLERANT, failures=(FAILED,)))
        assert made.actions == ()
        assert made.finished is not None
        assert (made.finished.outcome, made.run.commit) == ("Failed", None)

    def test_a_second_failure_is_found_on_the_way(self) -> None:
        tolerant = run(self.TOLERANT, failures=(FAILED,))
        second = in_service(pod("web-1", gate="False", record=record()))
        view = observed(restarting("ImagePullBackOff"), second, timers={"uid-web-1/drain": NOW - 60})
        made = planned(view, tolerant)
        assert [f.pod for f in made.run.failures] == ["web-0", "web-1"]
        assert isinstance(made.actions[0], OpenGate)


class TestRollback:
    def fail(self, r: Run | None = None, spec: PlanContext = SPEC) -> Plan:
        view = observed(restarting("ImagePullBackOff"), *others(), timers=BEGUN)
        return planned(view, r or run(options("rollback")), spec)

    def test_the_same_run_goes_the_other_way(self) -> None:
        made = self.fail()
        assert made.finished is None
        assert made.run.rolling_back
        assert (made.run.images, made.run.original_images, made.run.failures) == (OLD, NEW, ())
        assert (
            made.run.message
            == "rolled back, because pod/web-0 failed with ImagePullBackOff: container app: ImagePullBackOff of app"
        )

    def test_the_failed_pod_is_patched_back_without_another_drain(self) -> None:
        back = roll_back(run(options("rollback"), failures=(FAILED,)))
        stuck = restarting("ImagePullBackOff")
        (action,) = planned(observed(stuck, *others(), evidence=closed_evidence(stuck)), back).actions
        assert isinstance(action, PatchImages)
        assert action.images == OLD

    def test_ends_rolled_back_and_says_why(self) -> None:
        back = roll_back(run(options("rollback"), failures=(FAILED,)))
        pods = [in_service(pod(f"web-{i}")) for i in range(3)]
        made = planned(observed(*pods, timers={"commit/end": NOW}, pods_listed_at=NOW), back)
        assert made.finished is not None
        assert made.finished.outcome == "RolledBack"
        assert made.finished.message.startswith("rolled back, because pod/web-0 failed with DrainTimeout")
        assert not made.run.is_unfinished

    def test_a_failure_on_the_way_back_ends_it(self) -> None:
        back = roll_back(run(options("rollback"), failures=(FAILED,)))
        view = observed(draining(), *others(), timers={"uid-web-0/drain": NOW - 60})
        stuck = msgspec.structs.replace(
            view, pods=(in_service(pod("web-0", images=NEW, gate="False", record=record())), *others())
        )
        made = planned(stuck, back)
        assert made.run.rolling_back
        assert len(made.run.failures) == 1

    @pytest.mark.parametrize(
        ("r", "spec"),
        [
            (run(options("pause"), failures=(FAILED,)), SPEC),
            (run(options("rollback"), failures=(FAILED,), commit=CommitState()), SPEC),
            (run(options("rollback"), failures=(FAILED,), rollback_reason="Failure"), SPEC),
            (run(options("rollback", max_failed=1), failures=(FAILED,)), SPEC),
            (
                run(options("rollback"), failures=(FAILED,)),
                msgspec.structs.replace(SPEC, stop=StopRequest("Interrupted", "by Ctrl-C")),
            ),
        ],
        ids=["not asked for", "commit begun", "already", "tolerated", "being stopped"],
    )
    def test_not_always(self, r: Run, spec: PlanContext) -> None:
        assert not should_roll_back(r, spec)

    def test_asked_for_it_happens(self) -> None:
        assert should_roll_back(run(options("rollback"), failures=(FAILED,)), SPEC)
        two = (FAILED, msgspec.structs.replace(FAILED, uid="uid-web-9"))
        assert should_roll_back(run(options("rollback", max_failed=1), failures=two), SPEC)

    def test_only_recorded_images_are_restored(self) -> None:
        two = run(options("rollback"), images={**NEW, "mesh": "mesh:2"}, failures=(FAILED,))
        assert roll_back(two).images == OLD


def test_evidence_is_not_needed_to_fail() -> None:
    view = observed(draining(), *others(), evidence={"uid-web-0": Evidence()}, timers={"uid-web-0/drain": NOW - 60})
    assert len(planned(view).run.failures) == 1


class TestOldKubelets:
    def test_a_pod_that_came_up_on_an_old_node_midrun_is_not_closed(self) -> None:
        made = planned(observed(in_service(pod("web-0", observed=0, node="old-1")), *others()))
        (failure,) = made.run.failures
        assert failure.reason == "KubeletTooOld"
        assert "its node old-1" in failure.message

    def test_one_of_the_new_template_is_updated_there(self) -> None:
        made = planned(observed(in_service(pod("web-0", images=NEW, observed=0)), *others()))
        assert (made.run.failures, made.progress.updated) == ((), 1)

    def test_a_pod_closed_on_an_old_node_is_freed_by_its_container(self) -> None:
        """A new containerID that shows the new image is a proof, too; without it the pod would stay closed for good."""
        back = restarting(id_="c2", observed_=0, statuses=[status("app", "c2", NEW["app"])])
        made = planned(observed(back, *others()))
        assert [type(action) for action in made.actions if action.key == "uid-web-0"] == [OpenGate]


class TestStopping:
    """The clock of a restart begins when the old container has ended."""

    def stopping(self) -> ObservedPod:
        return restarting(statuses=[status("app", "c1")], grace=600)

    def test_as_long_as_the_old_container_may_take(self) -> None:
        made = planned(observed(self.stopping(), *others(), timers={"uid-web-0/stop": NOW - 899}))
        assert (made.run.failures, made.requeue_after_seconds) == ((), 1.0)
        assert made.pods[0].description == "stopping app, at most 600 s"
        (failure,) = planned(observed(self.stopping(), *others(), timers={"uid-web-0/stop": NOW - 900})).run.failures
        assert (failure.reason, failure.message) == ("RestartTimeout", "stopping app (for 15m)")

    def test_the_restart_deadline_begins_when_the_old_one_stopped(self) -> None:
        made = planned(observed(restarting(grace=600), *others(), timers={"uid-web-0/stop": NOW - 599}))
        assert (made.run.failures, made.requeue_after_seconds) == ((), 300.0)

    def test_trouble_that_shows_as_the_old_container_ends_is_news(self) -> None:
        """An image name that is none is told in the very status in which the old container is gone."""
        stopped = planned(observed(self.stopping(), *others()))
        timers = dict.fromkeys(stopped.timers, NOW)
        (failure,) = planned(
            observed(restarting("InvalidImageName", grace=600), *others(), timers=timers), now=NOW + 9
        ).run.failures
        assert failure.reason == "InvalidImageName"
