"""What is shown of a run's pods, and that an estimate comes to the stages that their driver sees."""

from datetime import UTC, datetime
from functools import partial
from typing import Any

import msgspec

from inplace.engine.planning.plan import PlanContext, PodProgress
from inplace.engine.planning.planner import plan
from inplace.engine.pods.stages import SETTLING
from inplace.engine.snapshot import EndpointEntry, Evidence, ObservedPod
from inplace.engine.status.estimate import CurrentTime, assess_idle_run, estimate_pods
from inplace.kube.clock import seconds_since
from inplace.model.objects.pods import Pod
from inplace.model.run import PodFailure, Run, RunOptions
from tests.builders import NEW, OLD, facts, in_service, observed, patched, pod, record, run, status

LEASE = "inplace-deployment-web"
NOW = 1000.0
AT = CurrentTime(NOW, partial(seconds_since, now=datetime(2026, 11, 28, 2, 0, 30, tzinfo=UTC)))


def since(made: Pod, turned: str, *conditions: str) -> Pod:
    """These conditions have turned at this instant."""
    told = tuple(
        msgspec.structs.replace(c, last_transition_time=f"2026-11-28T02:00:{turned}Z") if c.type in conditions else c
        for c in made.status.conditions or ()
    )
    return msgspec.structs.replace(made, status=msgspec.structs.replace(made.status, conditions=told))


def closed(turned: str = "20") -> ObservedPod:
    made = pod("web-a", ready=False, gate="False", record=msgspec.structs.replace(record(), since="2026-11-28T02:00:18Z"))
    return facts(since(made, turned, "Ready"))


def shown(what: ObservedPod, r: Run | None = None, held_since: str = "", **fields: Any) -> PodProgress:
    (view,) = estimate_pods(observed(what), r or run(), LEASE, AT, held_since=held_since, **fields).pods
    return view


class TestSettling:
    def test_it_is_told_with_how_long_still(self) -> None:
        view = shown(closed(), run(RunOptions(settle_seconds=30.0)))
        assert (view.stage, view.reason, view.until) == ("Settling", SETTLING, NOW + 20.0)
        assert estimate_pods(observed(closed()), run(RunOptions(settle_seconds=30.0)), LEASE, AT).since == {
            "uid-web-a": NOW - 10.0
        }

    def test_it_begins_anew_with_whoever_has_taken_over(self) -> None:
        view = shown(closed(), run(RunOptions(settle_seconds=30.0)), "2026-11-28T02:00:25.000000Z")
        assert view.until == NOW + 25.0

    def test_one_whose_image_is_not_changed_yet_is_not_over(self) -> None:
        view = shown(closed("01"), run(RunOptions(settle_seconds=5.0)))
        assert (view.stage, view.reason, view.until) == ("Settling", SETTLING, NOW)

    def test_as_long_as_a_slice_sends_to_it_it_closes(self) -> None:
        view = shown(msgspec.structs.replace(closed(), entries=(EndpointEntry("web", True),)))
        assert view.stage == "Closing"

    def test_a_condition_from_the_future_began_now(self) -> None:
        assert shown(closed("59"), run(RunOptions(settle_seconds=30.0))).until == NOW + 30.0


def test_a_restarted_container_is_taken_for_the_new_one() -> None:
    made = pod(
        images=NEW,
        ready=False,
        gate="False",
        record=patched(),
        generation=2,
        statuses=[status("app", "c2", NEW["app"], "sha-2")],
    )
    assert shown(facts(made)).stage == "Returning"


class TestCounts:
    THREE = (in_service(pod("web-a", images=NEW)), in_service(pod("web-b", images=OLD)), in_service(pod("web-c", images=OLD)))

    def test_forward(self) -> None:
        progress = estimate_pods(observed(*self.THREE), run(), LEASE, AT).progress
        assert (progress.updated, progress.restored, progress.arrived, progress.ready) == (1, 0, 1, 3)

    def going_back(self, **fields: Any) -> Run:
        return run(**{"images": OLD, "from_images": OLD, "original_images": NEW, "rollback_reason": "Abort", **fields})

    def test_on_the_way_back_who_has_the_new_image_is_still_updated(self) -> None:
        seen = estimate_pods(observed(*self.THREE), self.going_back(), LEASE, AT)
        assert [pod.stage for pod in seen.pods] == ["Updated", "Restored", "Restored"]
        assert (seen.progress.updated, seen.progress.restored, seen.progress.arrived) == (1, 2, 2)

    def test_after_the_way_back_nothing_is_updated(self) -> None:
        back = [in_service(pod(name, images=OLD)) for name in ("web-a", "web-b")]
        seen = estimate_pods(observed(*back), self.going_back(outcome="Aborted"), LEASE, AT)
        assert (seen.progress.updated, seen.progress.restored) == (0, 2)

    def test_of_a_run_that_is_over_nothing_is_pending(self) -> None:
        over = run(outcome="Succeeded")
        assert [p.stage for p in estimate_pods(observed(*self.THREE), over, LEASE, AT).pods] == ["Updated", "", ""]
        assert [p.stage for p in estimate_pods(observed(*self.THREE), over, LEASE, AT, superseded=True).pods] == ["", "", ""]

    def test_failures_that_were_cut_off_count_too(self) -> None:
        failed = run(failures=(PodFailure(pod="web-a", uid="uid-web-a", reason="X", message="m"),), more_failed=4)
        seen = estimate_pods(observed(*self.THREE), failed, LEASE, AT)
        assert (seen.progress.failed, seen.progress.updated, seen.pods[0].stage) == (5, 0, "Failed")


def test_what_stands_shows_nothing_that_would_only_be_begun() -> None:
    """A run that was paused in flight counted the pod that it would have closed next as closing, for ever."""
    long_ago = {f"uid-{name}": Evidence(consistent_since=0.0) for name in ("web-a", "web-b", "web-c")}
    view = msgspec.structs.replace(observed(*TestCounts.THREE), evidence=long_ago)
    would = plan(view, PlanContext(LEASE), run(), NOW)
    assert any(pod.stage == "Closing" for pod in would.pods), "it would begin one"
    stands = assess_idle_run(view, run(outcome="Paused"), LEASE, NOW)
    assert [pod.stage for pod in stands.pods] == ["Updated", "Pending", "Pending"]
    assert (stands.progress.ready, stands.progress.in_flight, stands.progress.unavailable) == (3, 0, 0)
