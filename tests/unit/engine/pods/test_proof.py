"""Each measured fact of the design's section 4 that a proof rests on."""

from typing import Any

import msgspec
import pytest

from inplace.engine.pods.evidence import update_evidence
from inplace.engine.pods.proof import (
    AMBIGUOUS_SECONDS,
    DEFAULT_GRACE_SECONDS,
    UNPROBED_SECONDS,
    NotYet,
    Proven,
    readiness_proof,
    restart_proof,
)
from inplace.engine.snapshot import Evidence, ObservedPod
from inplace.model.objects.pods import Pod, Probe
from inplace.model.record import PreviousContainer, UpgradeRecord
from tests.builders import NEW, container, facts, patched, pod, record, status

NOW = 100.0
DOUBT = AMBIGUOUS_SECONDS + 30
"""The builder's pods have a grace period of 30 s."""
STARTUP = Probe(initial_delay_seconds=3, period_seconds=5)
ONLY_STARTUP: dict[str, Any] = {"readiness_probe": None, "startup_probe": STARTUP}


def proof(what: Pod, written: UpgradeRecord | None = None, seen: Evidence | None = None, now: float = NOW) -> Proven | NotYet:
    evidence = seen or Evidence(running_since={"c2": now})
    return restart_proof(facts(what), written or patched("c1", "sha-1"), evidence, now)


def after(id_: str = "c2", image: str = NEW["app"], image_id: str = "sha-2", observed: int = 2, **fields: Any) -> Pod:
    written = fields.pop("record", None)
    shown = [status("app", id_, image, image_id, **fields)]
    return pod(images=NEW, generation=2, observed=observed, statuses=shown, record=written)


class TestRestart:
    def test_another_container_of_another_image_is_the_proof(self) -> None:
        assert proof(after()) == Proven()

    def test_seen_is_not_restarted(self) -> None:
        """observedGeneration moves before the old container stops."""
        assert proof(after("c1", "repo/app:1", "sha-1")) == NotYet("waiting for app to be restarted")

    def test_the_kubelet_must_have_seen_the_generation(self) -> None:
        """A container that is new before the kubelet saw the image crashed by itself."""
        assert proof(after(observed=1)) == NotYet("waiting for the kubelet to see the new image")

    def test_the_same_digest_under_another_tag_restarts_all_the_same(self) -> None:
        assert proof(after(image_id="sha-1")) == Proven()
        assert proof(after(image=f"docker.io/{NEW['app']}", image_id="sha-1")) == Proven()

    def test_the_same_name_in_another_registry_is_another_image(self) -> None:
        """From a mirror to the registry behind it, with one digest: a container of the old image that crashes while we patch is
        no proof, though its name ends in the new one."""
        old = f"mirror.example/{NEW['app']}"
        written = record(before={"app": PreviousContainer(container_id="c1", image_id="sha-1", image=old)})
        assert isinstance(proof(after(image=old, image_id="sha-1"), written), NotYet)

    def test_a_patch_that_admission_made_nothing_of_restarts_nothing(self) -> None:
        """Such as an image that was patched again because admission gives it another name: it runs already."""
        pinned = f"{NEW['app']}@sha256:{'a' * 64}"
        written = record(before={"app": PreviousContainer(container_id="c2", image_id="sha-2", image=pinned)})
        shown = [status("app", "c2", pinned, "sha-2")]
        assert proof(pod(images={"app": pinned}, generation=2, statuses=shown), written) == Proven()
        assert isinstance(proof(after("c2", image_id="sha-2"), written), NotYet), "of another image it proves nothing"

    def test_it_must_run(self) -> None:
        assert proof(after(waiting="CrashLoopBackOff")) == NotYet(
            "waiting for app to run (CrashLoopBackOff: CrashLoopBackOff of app)"
        )
        assert proof(after(terminated=True)) == NotYet("waiting for app to run")

    def test_no_container_yet(self) -> None:
        assert proof(after("", waiting="ImagePullBackOff")) == NotYet(
            "waiting for app to be restarted (ImagePullBackOff: ImagePullBackOff of app)"
        )
        assert proof(pod(images=NEW, statuses=[])) == NotYet("waiting for app to be restarted")

    def test_a_container_that_had_no_id_before_the_patch(self) -> None:
        assert proof(after(), patched("", "")) == Proven()

    def test_every_changed_container_counts_and_no_other(self) -> None:
        two = record(before={"app": PreviousContainer(container_id="a1"), "mesh": PreviousContainer(container_id="m1")})
        shown = [status("app", "a2", NEW["app"], "x"), status("mesh", "m1"), status("other", "o1", waiting="CrashLoopBackOff")]
        p = pod(images=NEW, statuses=shown)
        assert proof(p, two) == NotYet("waiting for mesh to be restarted")
        shown[1] = status("mesh", "m2")
        assert proof(pod(images=NEW, statuses=shown), two) == Proven()

    def test_a_sidecar_is_looked_up_among_the_init_containers(self) -> None:
        base = pod(images=NEW, statuses=[])
        shown = msgspec.structs.replace(base.status, init_container_statuses=(status("mesh", "m2", image_id="x"),))
        p = msgspec.structs.replace(base, status=shown)
        assert proof(p, patched("m1", "y", name="mesh")) == Proven()


class TestCrashDuringTheDrain:
    """The kubelet may have replaced a crashed container from the old image just as we patched."""

    CRASHED = after(image="repo/app:1", image_id="sha-1")
    CRASHED_RECORDED = after(image="repo/app:1", image_id="sha-1", record=patched())

    def test_a_new_container_of_the_old_image_is_unclear(self) -> None:
        seen = Evidence(running_since={"c2": NOW})
        waiting = NotYet("making sure that app runs the new image", NOW + DOUBT)
        assert proof(self.CRASHED, seen=seen) == waiting
        assert proof(self.CRASHED, seen=seen, now=NOW + DOUBT - 0.1) == waiting

    def test_a_new_container_of_the_replaced_image_is_unclear(self) -> None:
        """The kubelet, which could not start that one for a while, may have done so just as we patched."""
        between = after(image="repo/app:1b", image_id="sha-1b")
        replaced = record(before={"app": PreviousContainer(container_id="c1", image_id="sha-1", image="repo/app:1b")})
        assert proof(between) == Proven()
        assert proof(between, replaced) == NotYet("making sure that app runs the new image", NOW + DOUBT)
        assert proof(after(), replaced) == Proven()

    def test_time_decides_where_nothing_else_can(self) -> None:
        assert proof(self.CRASHED, seen=Evidence(running_since={"c2": NOW}), now=NOW + DOUBT) == Proven()

    def test_the_next_container_starts_the_time_anew(self) -> None:
        first = update_evidence(None, facts(self.CRASHED), frozenset(), NOW)
        third = after("c3", image="repo/app:1", image_id="sha-1")
        seen = update_evidence(first, facts(third), frozenset(), NOW + 4)
        found = proof(third, seen=seen, now=NOW + 6)
        assert isinstance(found, NotYet)
        assert found.until == NOW + 4 + DOUBT

    @pytest.mark.parametrize(("grace", "seconds"), [(0, 0), (90, 90), (None, DEFAULT_GRACE_SECONDS)])
    def test_an_old_container_may_take_its_grace_period_to_stop(self, grace: int | None, seconds: int) -> None:
        spec = msgspec.structs.replace(self.CRASHED.spec, termination_grace_period_seconds=grace)
        found = proof(msgspec.structs.replace(self.CRASHED, spec=spec))
        assert isinstance(found, NotYet)
        assert found.until == NOW + AMBIGUOUS_SECONDS + seconds

    def test_no_doubt_if_the_old_container_outlived_the_patch(self) -> None:
        """The usual way of the same digest under another tag."""
        before = after("c1", image="repo/app:1", image_id="sha-1", record=patched())
        seen = update_evidence(None, facts(before), frozenset(), NOW)
        seen = update_evidence(seen, facts(self.CRASHED_RECORDED), frozenset(), NOW + 1)
        assert proof(self.CRASHED, seen=seen, now=NOW + 1) == Proven()

    def test_doubt_if_the_old_one_was_last_seen_before_the_patch(self) -> None:
        before = after("c1", image="repo/app:1", image_id="sha-1", observed=1, record=patched())
        seen = update_evidence(None, facts(before), frozenset(), NOW)
        seen = update_evidence(seen, facts(self.CRASHED_RECORDED), frozenset(), NOW + 1)
        assert isinstance(proof(self.CRASHED, seen=seen, now=NOW + 1), NotYet)

    def test_a_second_patch_starts_the_doubt_anew(self) -> None:
        before = after("c1", image="repo/app:1", image_id="sha-1", record=patched())
        unseen = after("c1", image="repo/app:1", image_id="sha-1", observed=1, record=patched())
        seen = update_evidence(None, facts(before), frozenset(), NOW)
        assert seen.surviving_containers == {"c1"}
        assert update_evidence(seen, facts(unseen), frozenset(), NOW).surviving_containers == frozenset()

    def test_the_right_image_ends_the_doubt(self) -> None:
        assert proof(after("c3"), seen=Evidence(running_since={"c3": NOW})) == Proven()


class TestGate:
    """When the gate may open, once the restart is proven."""

    def opening(self, seen: Evidence, now: float = NOW, min_ready: float = 0.0, started: bool = True, **probes: Any) -> object:
        shown = [status("app", "c2", NEW["app"], "sha-2", started=started)]
        p = pod(containers=[container(image=NEW["app"], **probes)], statuses=shown)
        return readiness_proof(facts(p), patched(), seen, min_ready, now)

    def test_a_readiness_probe_guards_from_the_first_moment(self) -> None:
        assert self.opening(Evidence()) == Proven()
        assert self.opening(Evidence(), startup_probe=STARTUP, started=False) == Proven()

    def test_without_any_probe_it_must_keep_running_for_a_while(self) -> None:
        since = Evidence(running_since={"c2": NOW})
        waiting = NotYet("making sure that app, which has no probe, keeps running", NOW + UNPROBED_SECONDS)
        assert self.opening(since, readiness_probe=None) == waiting
        assert self.opening(since, NOW + UNPROBED_SECONDS, readiness_probe=None) == Proven()

    def test_a_startup_probe_alone_guards_only_after_it_has_turned(self) -> None:
        just = Evidence(running_since={"c2": NOW})
        carried_over = self.opening(just, **ONLY_STARTUP)
        assert carried_over == NotYet("waiting for app to pass its startupProbe", NOW + 3 + 5 + 2)
        assert self.opening(just, started=False, **ONLY_STARTUP) == NotYet("waiting for app to pass its startupProbe")
        turned = Evidence(running_since={"c2": NOW}, seen_not_started=frozenset({"c2"}), started_at={"c2": NOW + 1})
        assert self.opening(turned, **ONLY_STARTUP) == Proven()

    def test_started_is_believed_after_delay_period_and_two_seconds(self) -> None:
        since = Evidence(running_since={"c2": NOW})
        assert isinstance(self.opening(since, NOW + 9.9, **ONLY_STARTUP), NotYet)
        assert self.opening(since, NOW + 10, **ONLY_STARTUP) == Proven()

    def test_the_turn_of_another_container_counts_for_nothing(self) -> None:
        stale = Evidence(running_since={"c2": NOW}, seen_not_started=frozenset({"c1"}), started_at={"c1": NOW - 50})
        assert isinstance(self.opening(stale, readiness_probe=None, startup_probe=STARTUP), NotYet)

    def test_min_ready_seconds_count_from_containers_ready(self) -> None:
        assert self.opening(Evidence(running_since={"c2": 80.0}), min_ready=10) == NotYet(
            "waiting for the containers to be ready"
        )
        seen = Evidence(running_since={"c2": 80.0}, containers_ready_since=95.0)
        waiting = NotYet("containers are ready, waiting for minReadySeconds", 105.0)
        assert self.opening(seen, 104.9, min_ready=10) == waiting
        assert self.opening(seen, 105.0, min_ready=10) == Proven()

    def test_min_ready_seconds_never_count_the_old_container(self) -> None:
        """A restart so quick that ContainersReady False was never seen."""
        seen = Evidence(running_since={"c2": 98.0}, containers_ready_since=1.0)
        assert self.opening(seen, 100.0, min_ready=10) == NotYet("containers are ready, waiting for minReadySeconds", 108.0)

    def test_min_ready_seconds_count_from_a_startup_that_is_believed(self) -> None:
        seen = Evidence(
            running_since={"c2": 90.0}, containers_ready_since=90.0, started_at={"c2": 97.0}, seen_not_started=frozenset({"c2"})
        )
        found = self.opening(seen, 100.0, min_ready=5, readiness_probe=None, startup_probe=STARTUP)
        assert found == NotYet("containers are ready, waiting for minReadySeconds", 102.0)


def test_facts_of_another_container_set_are_no_proof_to_open() -> None:
    what: ObservedPod = facts(pod(images=NEW))
    assert readiness_proof(what, patched(name="gone"), Evidence(), 0.0, NOW) == NotYet("waiting for gone")
