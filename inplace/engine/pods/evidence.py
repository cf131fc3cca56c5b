"""Folds observations of a pod into evidence: called in order for each version of the pod and of its slice entries.

Watches are ordered, and a quorum read is newer than everything seen before it was sent. So "seen turning" and "confirmed by a
read" are the two proofs that no slice sends to a pod, and neither depends on a clock of the cluster.
"""

from __future__ import annotations

import msgspec

from inplace.engine.pods.container_problems import hides_cause, waiting_reason
from inplace.engine.pods.drain import services_still_sending
from inplace.engine.pods.proof import steady_before
from inplace.engine.snapshot import NO_EVIDENCE, Evidence, ObservedPod
from inplace.model.objects.meta import resource_version_number
from inplace.model.record import UpgradeRecord


def update_evidence(before: Evidence | None, facts: ObservedPod, ignored: frozenset[str], now: float) -> Evidence:
    """Returns the evidence after observing `facts` at `now`. `ignored`: Services that are not waited for."""
    old = before or NO_EVIDENCE
    ignored_slices = _slices_to_ignore(old, facts)
    facts = without_ignored_slices(facts, ignored_slices)
    ready = facts.pod.is_ready
    sends = bool(services_still_sending(facts, ignored))
    quiet = not ready and not sends
    has_record = isinstance(facts.record, UpgradeRecord)
    saw_ready = has_record and (sends or old.saw_ready)
    ready_false_version = (
        0 if ready else old.ready_false_version or resource_version_number(facts.pod.metadata.resource_version)
    )
    saw_transition = quiet and saw_ready and _turned_after(ready_false_version, facts, ignored)
    # The settle time starts with the proven turn, not with an earlier one that was not proven.
    quiet_since = now if saw_transition and not old.saw_transition else _since(old.quiet_since, quiet, now)
    running, not_started, started = _starts(old, facts, now)
    return Evidence(
        had_record=has_record or old.had_record,
        ignored_slices=ignored_slices,
        consistent_since=_since(old.consistent_since, _is_consistent(facts, ready, ignored), now),
        ready_false_since=_since(old.ready_false_since, not ready, now),
        ready_false_version=ready_false_version,
        quiet_since=quiet_since,
        saw_ready=saw_ready,
        saw_transition=saw_transition,
        quiet_confirmed_at=old.quiet_confirmed_at if quiet and has_record else None,
        containers_ready_since=_since(old.containers_ready_since, facts.pod.condition_is_true("ContainersReady"), now),
        running_since=running,
        seen_not_started=not_started,
        started_at=started,
        admitted_images=old.admitted_images if facts.spec_has_images(old.admitted_images) else {},
        waiting_reasons=_waiting_reasons(old, facts),
        surviving_containers=_surviving_containers(old, facts),
        steady_since=old.steady_since if old.steady_since is not None and steady_before(facts, facts.record) else None,
    )


def confirm_drained(before: Evidence | None, sent_at: float, still_sending: bool) -> Evidence:
    """Returns the evidence after a quorum read of the slices sent at `sent_at`, which confirms only what was quiet before."""
    old = before or NO_EVIDENCE
    if still_sending or old.quiet_since is None or old.quiet_since > sent_at:
        return old
    return msgspec.structs.replace(old, quiet_confirmed_at=sent_at)


def without_ignored_slices(facts: ObservedPod, ignored_slices: frozenset[str]) -> ObservedPod:
    """Drops the not-ready entries of ignored slices, which say nothing about whether the pod is in service."""
    if not ignored_slices:
        return facts
    return msgspec.structs.replace(
        facts, entries=tuple(e for e in facts.entries if e.ready or e.slice_name not in ignored_slices)
    )


def _slices_to_ignore(old: Evidence, facts: ObservedPod) -> frozenset[str]:
    """Returns the foreign slices that list a Ready pod as not ready. This is learned only before the pod is closed. Slices of
    Kubernetes' own controllers become ready in the end, as does a foreign slice that was ready before."""
    if old.had_record or isinstance(facts.record, UpgradeRecord) or not facts.is_ready:
        return old.ignored_slices
    return frozenset(e.slice_name for e in facts.entries if e.is_foreign and not e.ready)


def _since(since: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if since is None else since


def _is_consistent(facts: ObservedPod, ready: bool, ignored: frozenset[str]) -> bool:
    return all(entry.ready == ready for entry in facts.entries if entry.service not in ignored)


def _turned_after(version: int, facts: ObservedPod, ignored: frozenset[str]) -> bool:
    """Whether all slices are newer than the pod's Ready False, so that they react to it. Slices and pods share one sequence of
    resourceVersions. Comparing arrival times instead would accept an older turn that a lagging watch delivers late.

    If an API server keeps slices in an etcd of their own (--etcd-servers-overrides), there are two sequences, and only the
    order of the watches remains (KEP-5504 promises an order within one resource). Relying on that alone would cost a list per
    pod."""
    versions = [entry.version for entry in facts.entries if entry.service not in ignored]
    return bool(versions) and min(versions) > version


def _waiting_reasons(old: Evidence, facts: ObservedPod) -> dict[str, str]:
    pod, record = facts.pod, facts.record
    if not isinstance(record, UpgradeRecord) or record.before is None or not pod.is_observed:
        return {}
    reasons = {}
    for name, before in record.before.items():
        status = pod.container_status(name)
        words = waiting_reason(status)
        if status is not None and words:
            reasons[name] = old.waiting_reasons.get(name, words) if hides_cause(status, before) else words
    return reasons


def _surviving_containers(old: Evidence, facts: ObservedPod) -> frozenset[str]:
    pod, record = facts.pod, facts.record
    if (
        not isinstance(record, UpgradeRecord)
        or record.before is None
        or pod.status.observed_generation < pod.metadata.generation
    ):
        return frozenset()
    shown = pod.container_ids(record.before)
    return old.surviving_containers | {
        b.container_id for name, b in record.before.items() if b.container_id and shown[name] == b.container_id
    }


def _starts(old: Evidence, facts: ObservedPod, now: float) -> tuple[dict[str, float], frozenset[str], dict[str, float]]:
    running: dict[str, float] = {}
    not_started: set[str] = set()
    started: dict[str, float] = {}
    for status in (facts.pod.status.container_statuses or ()) + (facts.pod.status.init_container_statuses or ()):
        key = status.container_id
        if not key or status.state.running is None:
            continue
        running[key] = old.running_since.get(key, now)
        if status.started is not True or key in old.seen_not_started:
            not_started.add(key)
        if status.started is True and key in old.seen_not_started:
            started[key] = old.started_at.get(key, now)
    return running, frozenset(not_started), started
