"""Decides when a restart is proven, and when the gate may open.

A restart is proven if the kubelet has seen the pod's generation, and every changed container runs with another containerID than
the image patch recorded. `observedGeneration` alone proves nothing, since it moves before the old container stops. Nor does
`imageID`, since a restart with another tag of the same digest does not change it (both measured: design, section 4).
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from inplace.engine.pods.container_problems import waiting_reason
from inplace.engine.snapshot import Evidence, ObservedPod
from inplace.model.images import same_image
from inplace.model.objects.pods import Container, ContainerStatus, Pod
from inplace.model.record import PreviousContainer, Steady, UnreadableRecord, UpgradeRecord

AMBIGUOUS_SECONDS = 5.0
DEFAULT_GRACE_SECONDS = 30
"""A container of unclear origin must have been seen running for its grace period and 5 s before it counts as the new one: an
old one that was told to stop is gone by then."""
MIN_READY = "containers are ready, waiting for minReadySeconds"
STARTUP_SLACK_SECONDS = 2.0
UNPROBED_SECONDS = 3.0
"""How long a container without probes must have been seen running. One that exits at once is shown as running and Ready for up
to 1.3 s (measured: the kubelet's relist), so without this every pod would get a bad image, one after the other."""


class NotYet(msgspec.Struct, frozen=True):
    """The proof is missing, and why. `until`: when it will be complete by time alone."""

    reason: str
    until: float | None = None


class Proven(msgspec.Struct, frozen=True):
    """The restart or readiness is proven."""


def restart_proof(facts: ObservedPod, record: UpgradeRecord, evidence: Evidence, now: float) -> Proven | NotYet:
    pod = facts.pod
    if not pod.is_observed:
        return NotYet("waiting for the kubelet to see the new image")
    for name, before in sorted((record.before or {}).items()):
        status = pod.container_status(name)
        if _is_unchanged(facts, name, before) and status is not None and status.state.running is not None:
            continue
        if status is None or not status.container_id or status.container_id == before.container_id:
            return NotYet(f"waiting for {name} to be restarted{evidence.waiting_reasons.get(name) or waiting_reason(status)}")
        if status.state.running is None:
            return NotYet(f"waiting for {name} to run{evidence.waiting_reasons.get(name) or waiting_reason(status)}")
        unclear_until = _unclear_until(pod, status, before, record.to_images.get(name, ""), evidence, now)
        if unclear_until > now:
            return NotYet(f"making sure that {name} runs the new image", unclear_until)
    return Proven()


def _is_unchanged(facts: ObservedPod, name: str, before: PreviousContainer) -> bool:
    """Whether the patch did not change the spec, since admission restored the previous image: then nothing restarts."""
    return before.image != "" and facts.images.get(name) == before.image


def _unclear_until(
    pod: Pod, status: ContainerStatus, before: PreviousContainer, image: str, evidence: Evidence, now: float
) -> float:
    """Returns until when it is unclear whether a container with a new containerID runs the new image.

    If the container crashed during the patch, the kubelet may first have replaced it from the old image; the same holds if it
    had no containerID because the old image could not be started for a while. Only time decides if neither the image name nor
    the digest tells, nor the old container was seen to survive the patch."""
    is_other = status.image_id != before.image_id and not (before.image and same_image(status.image, before.image))
    if same_image(status.image, image) or is_other or before.container_id in evidence.surviving_containers:
        return now
    grace = pod.spec.termination_grace_period_seconds
    seconds = AMBIGUOUS_SECONDS + (DEFAULT_GRACE_SECONDS if grace is None else grace)
    return evidence.running_since.get(status.container_id, now) + seconds


def readiness_proof(
    facts: ObservedPod, record: UpgradeRecord, evidence: Evidence, min_ready_seconds: float, now: float
) -> Proven | NotYet:
    """Whether the kubelet's readiness can be trusted for the new containers, after `restart_proof`.

    A readinessProbe starts from no result, so the gate may open at once. A startupProbe alone does not: the kubelet carries
    `started: true` over by container name, for 3.3 s measured (kubernetes#141155).
    """
    pod = facts.pod
    believed_at = 0.0
    for name in sorted(record.before or {}):
        container, status = pod.spec.container(name), pod.container_status(name)
        if container is None or status is None:
            return NotYet(f"waiting for {name}")
        started = _started_believed_at(container, status, evidence, now)
        if isinstance(started, NotYet):
            return started
        # If a quick restart was never seen as not ready, the old container's readiness must not count.
        believed_at = max(believed_at, started, evidence.running_since.get(status.container_id, now))
    if min_ready_seconds <= 0:
        return Proven()
    if evidence.containers_ready_since is None:
        return NotYet("waiting for the containers to be ready")
    since = max(evidence.containers_ready_since, believed_at)
    until = (since if evidence.steady_since is None else min(since, evidence.steady_since)) + min_ready_seconds
    return Proven() if now >= until else NotYet(MIN_READY, until)


def steady_before(facts: ObservedPod, record: UpgradeRecord | UnreadableRecord | None) -> bool:
    """Whether the readiness noted in the record is that of the present containers, and has not changed since."""
    if not isinstance(record, UpgradeRecord) or record.steady is None:
        return False
    pod, steady, ready = facts.pod, record.steady, facts.pod.condition("ContainersReady")
    is_as_then = ready is not None and ready.status == "True" and (ready.last_transition_time or "") == steady.turned_at
    return is_as_then and bool(steady.container_ids) and pod.container_ids(record.before or {}) == steady.container_ids


def steady_now(facts: ObservedPod, record: UpgradeRecord, since: str) -> UpgradeRecord:
    """Returns the record with a note that its containers are ready from now on."""
    ready = facts.pod.condition("ContainersReady")
    turned_at = (ready.last_transition_time or "") if ready is not None else ""
    ids = facts.pod.container_ids(record.before or {})
    return msgspec.structs.replace(record, steady=Steady(since=since, turned_at=turned_at, container_ids=ids))


def _started_believed_at(container: Container, status: ContainerStatus, evidence: Evidence, now: float) -> float | NotYet:
    probe = container.startup_probe
    if container.readiness_probe is not None:
        return 0.0
    if probe is None:
        since = evidence.running_since.get(status.container_id, now)
        steady = NotYet(f"making sure that {container.name}, which has no probe, keeps running", since + UNPROBED_SECONDS)
        return since if now >= since + UNPROBED_SECONDS else steady
    waiting = NotYet(f"waiting for {container.name} to pass its startupProbe")
    if status.started is not True:
        return waiting
    seen = evidence.started_at.get(status.container_id)
    if seen is not None:
        return seen
    ran_since = evidence.running_since.get(status.container_id, now)
    until = ran_since + probe.initial_delay_seconds + probe.period_seconds + STARTUP_SLACK_SECONDS
    return until if now >= until else msgspec.structs.replace(waiting, until=until)


def has_readiness_probes(pod: Pod, names: frozenset[str]) -> bool:
    """Whether each of these containers has a readinessProbe, so that none counts as ready before it answers."""
    containers = [pod.spec.container(name) for name in names]
    return all(container is not None and container.readiness_probe is not None for container in containers)


def stopping_containers(pod: Pod, record: UpgradeRecord) -> tuple[str, ...]:
    """Returns the changed containers whose old container still runs."""
    shown = ((name, old, pod.container_status(name)) for name, old in sorted((record.before or {}).items()))
    return tuple(
        n for n, old, s in shown if s is not None and s.state.running is not None and s.container_id == old.container_id
    )


def stop_seconds(pod: Pod, names: Iterable[str]) -> float:
    """Returns how long these containers may take to stop, including preStop."""
    grace = pod.spec.termination_grace_period_seconds
    return float(sum(DEFAULT_GRACE_SECONDS if grace is None else grace for _ in names))


def previous_container(status: ContainerStatus | None, image: str) -> PreviousContainer:
    """Returns what the record stores of a container before its image is patched."""
    if status is None:
        return PreviousContainer(image=image)
    ids = {"container_id": status.container_id, "image_id": status.image_id}
    return PreviousContainer(**ids, image=image, restart_count=status.restart_count)
