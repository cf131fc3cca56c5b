"""Decides from the kubelet's report whether a container that does not start condemns its image.

Problems are classified by the reason of `state.waiting` and quote the kubelet. While a container cannot be started, the reason
alternates every few seconds between the cause and CrashLoopBackOff, under the previous containerID (measured, 1.36.3). So
CrashLoopBackOff alone counts only if a container of the new image has run.
"""

from __future__ import annotations

import msgspec

from inplace.engine.pods.pull_errors import classify_pull_error
from inplace.model.images import same_image
from inplace.model.objects.pods import Container, ContainerStatus, Pod, StateTerminated, StateWaiting
from inplace.model.record import PreviousContainer

IMAGE_REASONS = frozenset({"InvalidImageName", "ImagePullBackOff", "ErrImageNeverPull", "ImageInspectError"})
START_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""The image is present, but no container can be created from it: a ConfigMap or the command is missing, say."""
_BACK_OFFS = IMAGE_REASONS | START_REASONS | {"CrashLoopBackOff", "ErrImagePull"}
_PULL_ERROR = "ErrImagePull: "
_START_ERROR = "StartError"
"""The runtime created the container and could not run it. CrashLoopBackOff soon hides this reason."""


class ContainerProblem(msgspec.Struct, frozen=True):
    """A reason for which the container will not start, as the kubelet reports it."""

    reason: str
    message: str

    @property
    def identity(self) -> str:
        """Distinguishes problems: by the message where it names the image, else by the reason, as messages count crashes."""
        return self.message if self.reason in IMAGE_REASONS else self.reason


def container_problem(pod: Pod, names: frozenset[str], before: dict[str, PreviousContainer]) -> ContainerProblem | None:
    """Returns the first problem of these containers that condemns the image.

    CrashLoopBackOff counts only once a container of the new image ran. Before that it may be the back-off that the kubelet
    keeps per image string, which ends by itself, or a last try of the previous image during the patch."""
    for name in sorted(names):
        status, container = pod.container_status(name), pod.spec.container(name)
        if status is None or container is None or status.state.waiting is None:
            continue
        problem = _classify(container, status, status.state.waiting, before.get(name))
        if problem is not None:
            return msgspec.structs.replace(problem, message=f"container {name}: {_format_end(problem, pod, status)}")
    return None


def _format_end(problem: ContainerProblem, pod: Pod, status: ContainerStatus) -> str:
    """Adds how the container ended and where its logs are; a container that has not run has none."""
    ended, logs = status.last_state.terminated, f"kubectl logs -p {pod.name} -c {status.name} -n {pod.metadata.namespace}"
    match problem.reason:
        case "CrashLoopBackOff" if ended is not None:
            how = f" ({ended.reason})" if ended.reason not in ("", "Error", "Completed") else ""
            return f"exited with code {ended.exit_code}{how}: see {logs} ({problem.message})"
        case "StartupProbeFailed":
            return f"{problem.message}; see {logs}"
        case _:
            return problem.message


def _classify(
    container: Container, status: ContainerStatus, waiting: StateWaiting, old: PreviousContainer | None
) -> ContainerProblem | None:
    problem = ContainerProblem(waiting.reason, waiting.message or waiting.reason)
    if waiting.reason in IMAGE_REASONS | START_REASONS:
        may_pass = classify_pull_error(waiting.message) == "Transient" or _is_about_another(waiting.message, old)
        return None if may_pass else problem
    if waiting.reason != "CrashLoopBackOff" or (old is not None and not _has_run_new_image(status, old)):
        return None
    last = status.last_state.terminated or StateTerminated()
    if last.reason == _START_ERROR:
        return ContainerProblem("RunContainerError", last.message or problem.message)
    if _was_killed_by_startup_probe(container, status, last):
        return ContainerProblem(
            "StartupProbeFailed", f"its startupProbe fails, and the kubelet kills it each time: {problem.message}"
        )
    return None if _may_be_carried_over(container, status, old) else problem


def _was_killed_by_startup_probe(container: Container, status: ContainerStatus, last: StateTerminated) -> bool:
    """Whether it never started and ran as long as its probe allows. Only Events say so directly, and they may not be
    readable."""
    probe = container.startup_probe
    if probe is None or status.started is True:
        return False
    allowed = probe.initial_delay_seconds + probe.period_seconds * (probe.failure_threshold - 1)
    return last.ran_seconds >= max(1, allowed)


def _may_be_carried_over(container: Container, status: ContainerStatus, old: PreviousContainer | None) -> bool:
    """Whether the kubelet may have killed the container by mistake: with a startupProbe and a livenessProbe it may kill the new
    container once during start-up, as it believes it started already (kubernetes#141155). A second time is the image's
    fault."""
    if container.startup_probe is None or container.liveness_probe is None or old is None or old.restart_count is None:
        return False
    return status.restart_count - old.restart_count < 2


def _has_run_new_image(status: ContainerStatus, old: PreviousContainer) -> bool:
    """Whether a container of the new image has run. If another tag has the same digest, the runtime may show either image: then
    this is unknown, and the deadline decides."""
    is_another = status.container_id not in ("", old.container_id)
    return is_another and not (old.image and same_image(status.image, old.image))


def _is_about_another(message: str, old: PreviousContainer | None) -> bool:
    """Whether the message names the previous image: a kubelet that has just seen the new one may still report on that."""
    return old is not None and old.image != "" and f'"{old.image}"' in message


def is_backing_off(pod: Pod, names: frozenset[str]) -> bool:
    """Whether the kubelet has seen the image and waits before it tries again, so that nothing runs, perhaps for minutes."""
    if not pod.is_observed:
        return False
    shown = (pod.container_status(name) for name in names)
    return any(s.state.waiting is not None and s.state.waiting.reason in _BACK_OFFS for s in shown if s is not None)


def waiting_reason(status: ContainerStatus | None) -> str:
    """Formats why the container waits, as the kubelet reports it, to be appended to a line."""
    waiting = status.state.waiting if status is not None else None
    if waiting is None or not waiting.reason:
        return ""
    if waiting.reason == "ImagePullBackOff" and _PULL_ERROR in waiting.message:
        return f" ({_PULL_ERROR}{waiting.message.partition(_PULL_ERROR)[2]})"
    return f" ({waiting.reason}: {waiting.message})" if waiting.message else f" ({waiting.reason})"


def hides_cause(status: ContainerStatus, old: PreviousContainer) -> bool:
    """Whether the status hides the cause: between two tries the kubelet shows only CrashLoopBackOff, for the old container."""
    waiting = status.state.waiting
    return waiting is not None and waiting.reason == "CrashLoopBackOff" and status.container_id == old.container_id
