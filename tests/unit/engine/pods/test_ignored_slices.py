"""A slice of somebody else's that did not say ready before us, of a pod that was, need not say so after us."""

from __future__ import annotations

from inplace.engine.pods.evidence import update_evidence, without_ignored_slices
from inplace.engine.snapshot import Evidence, ObservedPod
from inplace.model.objects.network import EndpointSlice
from inplace.model.objects.pods import Pod
from tests.builders import endpoint, facts, pod, record, slice_of

READY, CLOSED = pod(), pod(ready=False, gate="False", record=record())
NONE: frozenset[str] = frozenset()


def listing(pod_: Pod, *, ready: bool, manager: str = "mesh.example") -> EndpointSlice:
    return slice_of(endpoint(pod_.uid, ready), service="mesh", manager=manager)


def saw(*seen: ObservedPod) -> Evidence:
    evidence = None
    for at, each in enumerate(seen):
        evidence = update_evidence(evidence, each, NONE, float(at))
    assert evidence is not None
    return evidence


def test_a_mute_slice_holds_nobody_up() -> None:
    seen = facts(READY, listing(READY, ready=False))
    evidence = saw(seen)
    assert evidence.ignored_slices == {"mesh-x"}
    assert evidence.consistent_since == 0.0
    assert without_ignored_slices(seen, evidence.ignored_slices).entries == ()


def test_once_it_says_ready_it_is_heard_again() -> None:
    evidence = saw(facts(READY, listing(READY, ready=False)), facts(READY, listing(READY, ready=True)))
    assert evidence.ignored_slices == NONE


def test_while_it_sends_the_pod_is_not_drained() -> None:
    before = facts(READY, listing(READY, ready=False))
    evidence = saw(before, facts(CLOSED, listing(CLOSED, ready=True)))
    assert evidence.ignored_slices == {"mesh-x"}
    assert evidence.quiet_since is None


def test_what_it_did_not_say_before_us_it_need_not_say_after_us() -> None:
    before, closed = facts(READY, listing(READY, ready=False)), facts(CLOSED, listing(CLOSED, ready=False))
    after = facts(READY, listing(READY, ready=False))
    evidence = saw(before, closed, after)
    assert without_ignored_slices(after, evidence.ignored_slices).entries == ()


def test_a_slice_that_said_ready_before_the_close_has_to_again() -> None:
    before, closed = facts(READY, listing(READY, ready=True)), facts(CLOSED, listing(CLOSED, ready=False))
    evidence = saw(before, closed, facts(READY, listing(READY, ready=False)))
    assert evidence.ignored_slices == NONE
    assert evidence.consistent_since is None


def test_what_kubernetes_manages_is_waited_for() -> None:
    own = "endpointslice-controller.k8s.io"
    evidence = saw(facts(READY, listing(READY, ready=False, manager=own)))
    assert (evidence.ignored_slices, evidence.consistent_since) == (NONE, None)
