"""Folds what is seen of a pod into evidence: called once for each version of a pod, and of its slice entries, in order.

Watches are ordered, and a quorum read is newer than everything seen before it was sent; so "seen turning" and "confirmed by a
read" are the two proofs that no slice sends to a pod, and neither rests on a clock of the cluster.
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
    """The evidence after seeing `facts` at `now`. `ignored`: Services that are not waited for."""
    old = before or NO_EVIDENCE
    mute = _mute(old, facts)
    facts = without_ignored_slices(facts, mute)
    ready = facts.pod.is_ready
    sends = bool(services_still_sending(facts, ignored))
    quiet = not ready and not sends
    ours = isinstance(facts.record, UpgradeRecord)
    saw_ready = ours and (sends or old.saw_ready)
    ready_false_version = (
        0 if ready else old.ready_false_version or resource_version_number(facts.pod.metadata.resource_version)
    )
    turned = quiet and saw_ready and _turned_after(ready_false_version, facts, ignored)
    # A turn that we did not believe does not start the settle time: the one that we do believe does.
    quiet_since = now if turned and not old.saw_transition else _since(old.quiet_since, quiet, now)
    running, unstarted, started = _starts(old, facts, now)
    return Evidence(
        had_record=ours or old.had_record,
        ignored_slices=mute,
        consistent_since=_since(old.consistent_since, _agrees(facts, ready, ignored), now),
        ready_false_since=_since(old.ready_false_since, not ready, now),
        ready_false_version=ready_false_version,
        quiet_since=quiet_since,
        saw_ready=saw_ready,
        saw_transition=turned,
        quiet_confirmed_at=old.quiet_confirmed_at if quiet and ours else None,
        containers_ready_since=_since(old.containers_ready_since, facts.pod.condition_is_true("ContainersReady"), now),
        running_since=running,
        seen_not_started=unstarted,
        started_at=started,
        admitted_images=old.admitted_images if facts.spec_has_images(old.admitted_images) else {},
        waiting_reasons=_said(old, facts),
        surviving_containers=_outlived(old, facts),
        steady_since=old.steady_since if old.steady_since is not None and steady_before(facts, facts.record) else None,
    )


def confirm_drained(before: Evidence | None, sent_at: float, still_sending: bool) -> Evidence:
    """The evidence after a quorum read of the slices that was sent at `sent_at`. Only proves what was quiet before it."""
    old = before or NO_EVIDENCE
    if still_sending or old.quiet_since is None or old.quiet_since > sent_at:
        return old
    return msgspec.structs.replace(old, quiet_confirmed_at=sent_at)


def without_ignored_slices(facts: ObservedPod, mute: frozenset[str]) -> ObservedPod:
    """Without what the mute slices do not say: a pod is none the less in service, and back, for them."""
    if not mute:
        return facts
    return msgspec.structs.replace(facts, entries=tuple(e for e in facts.entries if e.ready or e.slice_name not in mute))


def _mute(old: Evidence, facts: ObservedPod) -> frozenset[str]:
    """Learned before we close the pod, and only then: what Kubernetes itself manages comes round in the end, and so does a
    slice of others that said ready before."""
    if old.had_record or isinstance(facts.record, UpgradeRecord) or not facts.is_ready:
        return old.ignored_slices
    return frozenset(e.slice_name for e in facts.entries if e.is_foreign and not e.ready)


def _since(since: float | None, holds: bool, now: float) -> float | None:
    if not holds:
        return None
    return now if since is None else since


def _agrees(facts: ObservedPod, ready: bool, ignored: frozenset[str]) -> bool:
    return all(entry.ready == ready for entry in facts.entries if entry.service not in ignored)


def _turned_after(version: int, facts: ObservedPod, ignored: frozenset[str]) -> bool:
    """Slices and pods share one sequence of resourceVersions: a slice that answers Ready False is newer than it. A lagging
    watch may still bring an older turn of the same entries; comparing arrival times would believe it.

    Where an API server keeps slices in an etcd of their own (--etcd-servers-overrides) there are two sequences, and only the
    watches' order is left (KEP-5504 promises an order within one resource). To rest on that alone would cost a list a pod."""
    versions = [entry.version for entry in facts.entries if entry.service not in ignored]
    return bool(versions) and min(versions) > version


def _said(old: Evidence, facts: ObservedPod) -> dict[str, str]:
    pod, record = facts.pod, facts.record
    if not isinstance(record, UpgradeRecord) or record.before is None or not pod.is_observed:
        return {}
    said = {}
    for name, before in record.before.items():
        status = pod.container_status(name)
        words = waiting_reason(status)
        if status is not None and words:
            said[name] = old.waiting_reasons.get(name, words) if hides_cause(status, before) else words
    return said


def _outlived(old: Evidence, facts: ObservedPod) -> frozenset[str]:
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
    unstarted: set[str] = set()
    started: dict[str, float] = {}
    for status in (facts.pod.status.container_statuses or ()) + (facts.pod.status.init_container_statuses or ()):
        key = status.container_id
        if not key or status.state.running is None:
            continue
        running[key] = old.running_since.get(key, now)
        if status.started is not True or key in old.seen_not_started:
            unstarted.add(key)
        if status.started is True and key in old.seen_not_started:
            started[key] = old.started_at.get(key, now)
    return running, frozenset(unstarted), started
