"""What a process has witnessed of a pod, folded event by event: it is gathered anew, and never from timestamps."""

from typing import Any

import msgspec
import pytest

from inplace.engine.pods.drain import drained_at
from inplace.engine.pods.evidence import confirm_drained, update_evidence
from inplace.engine.snapshot import Evidence, ObservedPod
from inplace.model.objects.network import EndpointSlice
from inplace.model.objects.pods import ContainerState, StateWaiting
from tests.builders import NEW, endpoint, facts, in_service, patched, pod, record, slice_of, status

NOTHING: frozenset[str] = frozenset()
UID = "uid-web-a"


def see(*steps: tuple[float, ObservedPod], ignored: frozenset[str] = NOTHING) -> Evidence:
    seen: Evidence | None = None
    for now, what in steps:
        seen = update_evidence(seen, what, ignored, now)
    assert seen is not None
    return seen


def shown(ready: bool, version: int, *slices: tuple[bool, int], ours: bool = True) -> ObservedPod:
    p = pod(ready=ready, gate="False" if ours else "True", version=version, record=record() if ours else None)
    listed = [slice_of(endpoint(UID, says), service=f"s{i}", version=v) for i, (says, v) in enumerate(slices)]
    return facts(p, *listed)


class TestSettledView:
    def test_both_ready(self) -> None:
        assert see((1.0, in_service(pod()))).consistent_since == 1.0

    def test_both_not_ready(self) -> None:
        assert see((1.0, in_service(pod(ready=False)))).consistent_since == 1.0

    def test_without_a_service_there_is_nothing_to_contradict(self) -> None:
        assert see((1.0, facts(pod()))).consistent_since == 1.0

    @pytest.mark.parametrize("ready", [True, False])
    def test_a_contradiction_starts_it_anew(self, ready: bool) -> None:
        good, bad = in_service(pod(ready=ready)), in_service(pod(ready=ready), ready=not ready)
        assert see((1.0, good), (2.0, bad)).consistent_since is None
        assert see((1.0, good), (2.0, bad), (3.0, good), (4.0, good)).consistent_since == 3.0

    def test_an_ignored_service_cannot_contradict(self) -> None:
        assert see((1.0, in_service(pod(), ready=False)), ignored=frozenset({"web"})).consistent_since == 1.0


class TestTurn:
    def test_seen_turning_after_our_close(self) -> None:
        seen = see((1.0, shown(True, 20, (True, 5))), (2.0, shown(False, 21, (True, 5))), (3.0, shown(False, 21, (False, 22))))
        assert seen.saw_transition
        assert drained_at(seen) == 3.0

    def test_the_slice_may_arrive_before_the_pod(self) -> None:
        seen = see((1.0, shown(True, 20, (True, 5))), (2.0, shown(True, 20, (False, 22))), (3.0, shown(False, 21, (False, 22))))
        assert drained_at(seen) == 3.0

    def test_an_older_turn_from_a_lagging_watch_is_not_believed(self) -> None:
        seen = see((1.0, shown(True, 20, (True, 5))), (2.0, shown(False, 21, (True, 5))), (3.0, shown(False, 21, (False, 19))))
        assert seen.quiet_since == 3.0
        assert not seen.saw_transition
        assert drained_at(seen) is None

    def test_the_settle_time_does_not_start_with_a_disbelieved_turn(self) -> None:
        steps = [(1.0, shown(True, 20, (True, 5))), (3.0, shown(False, 21, (False, 19))), (8.0, shown(False, 21, (False, 22)))]
        assert drained_at(see(*steps)) == 8.0

    def test_every_slice_must_answer_the_pod(self) -> None:
        before = shown(True, 20, (True, 5), (True, 6))
        one = shown(False, 21, (False, 22), (True, 6))
        old = shown(False, 21, (False, 22), (False, 18))
        both = shown(False, 21, (False, 22), (False, 23))
        assert not see((1.0, before), (2.0, one)).saw_transition
        assert not see((1.0, before), (2.0, one), (3.0, old)).saw_transition
        assert see((1.0, before), (2.0, one), (3.0, both)).saw_transition

    def test_a_pod_that_no_slice_sent_to_after_close_has_not_turned(self) -> None:
        seen = see((1.0, shown(False, 19, (False, 18), ours=False)), (2.0, shown(False, 20, (False, 18))))
        assert seen.quiet_since == 1.0
        assert drained_at(seen) is None

    def test_entries_that_vanish_prove_nothing(self) -> None:
        assert not see((1.0, shown(True, 20, (True, 5))), (2.0, shown(False, 21))).saw_transition

    def test_without_our_record_nothing_is_remembered(self) -> None:
        assert not see((1.0, shown(True, 20, (True, 5), ours=False))).saw_ready

    def test_ready_again_takes_the_turn_back(self) -> None:
        steps = [(1.0, shown(True, 20, (True, 5))), (2.0, shown(False, 21, (False, 22))), (3.0, shown(True, 23, (False, 22)))]
        assert not see(*steps).saw_transition
        again = see(*steps, (4.0, shown(False, 25, (False, 22))))
        assert again.ready_false_version == 25
        assert drained_at(again) is None


class TestQuorumRead:
    QUIET = Evidence(quiet_since=5.0)

    def test_confirms_what_was_quiet_before_it_was_sent(self) -> None:
        assert drained_at(confirm_drained(self.QUIET, sent_at=5.0, still_sending=False)) == 5.0
        assert drained_at(confirm_drained(self.QUIET, sent_at=9.0, still_sending=False)) == 9.0

    def test_says_nothing_of_what_became_quiet_after_it_was_sent(self) -> None:
        assert confirm_drained(self.QUIET, sent_at=4.9, still_sending=False) == self.QUIET

    def test_that_shows_a_sender_confirms_nothing(self) -> None:
        assert confirm_drained(self.QUIET, sent_at=9.0, still_sending=True) == self.QUIET

    def test_of_a_pod_never_seen_confirms_nothing(self) -> None:
        assert drained_at(confirm_drained(None, sent_at=9.0, still_sending=False)) is None

    def test_lasts_as_long_as_it_is_quiet(self) -> None:
        quiet, loud = shown(False, 21, (False, 5)), shown(False, 21, (True, 30))
        confirmed = confirm_drained(see((1.0, quiet)), sent_at=2.0, still_sending=False)
        assert drained_at(update_evidence(confirmed, quiet, NOTHING, 3.0)) == 2.0
        assert drained_at(update_evidence(update_evidence(confirmed, loud, NOTHING, 3.0), quiet, NOTHING, 4.0)) is None


class TestContainers:
    def of(self, id_: str = "c2", **fields: Any) -> ObservedPod:
        return facts(pod(statuses=[status(id_=id_, **fields)]))

    def test_started_counts_once_not_started_was_seen(self) -> None:
        carried_over = see((1.0, self.of(started=True)))
        assert carried_over.started_at == {}
        seen = see((1.0, self.of(started=True)), (2.0, self.of(started=False)), (3.0, self.of(started=True)), (9.0, self.of()))
        assert seen.seen_not_started == {"c2"}
        assert seen.started_at == {"c2": 3.0}

    def test_of_the_same_container_only(self) -> None:
        seen = see((1.0, self.of("c1", started=False)), (2.0, self.of("c2", started=True)))
        assert seen.started_at == {}
        assert seen.running_since == {"c2": 2.0}

    def test_a_container_started_again_keeps_no_earlier_evidence(self) -> None:
        seen = see((1.0, self.of(started=False)), (2.0, self.of(started=True)), (3.0, self.of(started=False)))
        assert seen.started_at == {}

    def test_running_since_is_when_it_was_first_seen(self) -> None:
        assert see((1.0, self.of()), (5.0, self.of())).running_since == {"c2": 1.0}
        assert see((1.0, facts(pod(statuses=[status(terminated=True)])))).running_since == {}

    def test_ready_containers(self) -> None:
        up, down = facts(pod(containers_ready=True)), facts(pod(containers_ready=False))
        assert see((1.0, up), (2.0, up)).containers_ready_since == 1.0
        assert see((1.0, up), (2.0, down)).containers_ready_since is None
        assert see((1.0, up), (2.0, down), (3.0, up)).containers_ready_since == 3.0


def test_a_service_that_is_ignored_neither_sends_nor_turns() -> None:
    def listing(ready: bool, says: bool) -> tuple[EndpointSlice, ObservedPod]:
        one = slice_of(endpoint(UID, says), version=3)
        return one, facts(pod(ready=ready, gate="False", record=record()), one)

    seen = see((1.0, listing(True, True)[1]), (2.0, listing(False, True)[1]), ignored=frozenset({"web"}))
    assert seen.quiet_since == 2.0
    assert not seen.saw_transition


def test_why_a_container_does_not_start_outlasts_the_back_off() -> None:
    """The kubelet tells it in one status, and only that it waits in the next (measured)."""

    def waits(reason: str, message: str, id_: str = "c1") -> ObservedPod:
        state = ContainerState(waiting=StateWaiting(reason, message))
        found = msgspec.structs.replace(status("app", id_), state=state)
        return facts(pod(images=NEW, record=patched(), generation=2, statuses=[found]))

    seen = update_evidence(None, waits("ErrImagePull", "connection refused"), frozenset(), 1.0)
    assert seen.waiting_reasons == {"app": " (ErrImagePull: connection refused)"}
    backing_off = 'Back-off pulling image "x": ErrImagePull: connection refused'
    assert (
        update_evidence(seen, waits("ImagePullBackOff", backing_off), frozenset(), 2.0).waiting_reasons == seen.waiting_reasons
    )
    assert (
        update_evidence(seen, waits("CrashLoopBackOff", "back-off 10s"), frozenset(), 3.0).waiting_reasons
        == seen.waiting_reasons
    )
    assert (
        update_evidence(seen, waits("CrashLoopBackOff", "back-off 10s", "c2"), frozenset(), 3.0).waiting_reasons
        != seen.waiting_reasons
    )
    assert update_evidence(seen, facts(pod(images=NEW, record=patched())), frozenset(), 4.0).waiting_reasons == {}
