"""What the kubelet says of a container that does not start, and whether that condemns its image.

Classes by the reason of `state.waiting`, with the kubelet's own words. While a container cannot be started, the reason changes
every few seconds between the cause and CrashLoopBackOff, under the containerID of the one before (measured, 1.36.3): so
CrashLoopBackOff alone counts only where a container of the new image has run.
"""

from __future__ import annotations

import msgspec

from inplace.engine.pods.pull_errors import classify_pull_error
from inplace.model.images import same_image
from inplace.model.objects.pods import Container, ContainerStatus, Pod, StateTerminated, StateWaiting
from inplace.model.record import PreviousContainer

IMAGE_REASONS = frozenset({"InvalidImageName", "ImagePullBackOff", "ErrImageNeverPull", "ImageInspectError"})
START_REASONS = frozenset({"CreateContainerConfigError", "CreateContainerError", "RunContainerError"})
"""The image is there, and no container can be made of it: a ConfigMap is missing, or the command."""
_BACK_OFFS = IMAGE_REASONS | START_REASONS | {"CrashLoopBackOff", "ErrImagePull"}
_PULL_ERROR = "ErrImagePull: "
_START_ERROR = "StartError"
"""What the runtime says of a container that it has created and could not run; soon CrashLoopBackOff hides it."""


class ContainerProblem(msgspec.Struct, frozen=True):
    """The kubelet says that this will not work."""

    reason: str
    message: str

    @property
    def identity(self) -> str:
        """Tells one trouble from the next: the kubelet names the image in the message, and counts crashes up in it."""
        return self.message if self.reason in IMAGE_REASONS else self.reason


def container_problem(pod: Pod, names: frozenset[str], before: dict[str, PreviousContainer]) -> ContainerProblem | None:
    """A bad image as the kubelet tells it. CrashLoopBackOff counts only once a container of the new image ran: before that it
    is the back-off that the kubelet keeps per image string, and ends by itself; and while we patched, the kubelet may just have
    tried the image before once more."""
    for name in sorted(names):
        status, container = pod.container_status(name), pod.spec.container(name)
        if status is None or container is None or status.state.waiting is None:
            continue
        found = _trouble(container, status, status.state.waiting, before.get(name))
        if found is not None:
            return msgspec.structs.replace(found, message=f"container {name}: {_told_of_end(found, pod, status)}")
    return None


def _told_of_end(found: ContainerProblem, pod: Pod, status: ContainerStatus) -> str:
    """With how a container of it ended, and where its own words are; of one that has not run there are none."""
    ended, logs = status.last_state.terminated, f"kubectl logs -p {pod.name} -c {status.name} -n {pod.metadata.namespace}"
    match found.reason:
        case "CrashLoopBackOff" if ended is not None:
            how = f" ({ended.reason})" if ended.reason not in ("", "Error", "Completed") else ""
            return f"exited with code {ended.exit_code}{how}: see {logs} ({found.message})"
        case "StartupProbeFailed":
            return f"{found.message}; see {logs}"
        case _:
            return found.message


def _trouble(
    container: Container, status: ContainerStatus, waiting: StateWaiting, old: PreviousContainer | None
) -> ContainerProblem | None:
    told = ContainerProblem(waiting.reason, waiting.message or waiting.reason)
    if waiting.reason in IMAGE_REASONS | START_REASONS:
        may_pass = classify_pull_error(waiting.message) == "Transient" or _is_about_another(waiting.message, old)
        return None if may_pass else told
    if waiting.reason != "CrashLoopBackOff" or (old is not None and not _has_begun_anew(status, old)):
        return None
    last = status.last_state.terminated or StateTerminated()
    if last.reason == _START_ERROR:
        return ContainerProblem("RunContainerError", last.message or told.message)
    if _was_killed_by_startup_probe(container, status, last):
        return ContainerProblem(
            "StartupProbeFailed", f"its startupProbe fails, and the kubelet kills it each time: {told.message}"
        )
    return None if _may_be_carried_over(container, status, old) else told


def _was_killed_by_startup_probe(container: Container, status: ContainerStatus, last: StateTerminated) -> bool:
    """It never started, and ran for as long as its probe lets it. Only Events say it in words, which we may not read."""
    probe = container.startup_probe
    if probe is None or status.started is True:
        return False
    allowed = probe.initial_delay_seconds + probe.period_seconds * (probe.failure_threshold - 1)
    return last.ran_seconds >= max(1, allowed)


def _may_be_carried_over(container: Container, status: ContainerStatus, old: PreviousContainer | None) -> bool:
    """With a startupProbe and a livenessProbe the kubelet may kill the new container once while it boots, since it takes it
    for started already (kubernetes#141155): that is no fault of the image. The second time it is."""
    if container.startup_probe is None or container.liveness_probe is None or old is None or old.restart_count is None:
        return False
    return status.restart_count - old.restart_count < 2


def _has_begun_anew(status: ContainerStatus, old: PreviousContainer) -> bool:
    """Where another tag has the same digest, the runtime may show either: then the deadline decides."""
    is_another = status.container_id not in ("", old.container_id)
    return is_another and not (old.image and same_image(status.image, old.image))


def _is_about_another(message: str, old: PreviousContainer | None) -> bool:
    """A kubelet that has just seen our image may still tell the reason of the one before; the message names it."""
    return old is not None and old.image != "" and f'"{old.image}"' in message


def is_backing_off(pod: Pod, names: frozenset[str]) -> bool:
    """The kubelet has seen the image, and waits before it tries again: nothing runs there, for minutes perhaps."""
    if not pod.is_observed:
        return False
    shown = (pod.container_status(name) for name in names)
    return any(s.state.waiting is not None and s.state.waiting.reason in _BACK_OFFS for s in shown if s is not None)


def waiting_reason(status: ContainerStatus | None) -> str:
    """Why it waits, as the kubelet tells it, for the end of a line."""
    waiting = status.state.waiting if status is not None else None
    if waiting is None or not waiting.reason:
        return ""
    if waiting.reason == "ImagePullBackOff" and _PULL_ERROR in waiting.message:
        return f" ({_PULL_ERROR}{waiting.message.partition(_PULL_ERROR)[2]})"
    return f" ({waiting.reason}: {waiting.message})" if waiting.message else f" ({waiting.reason})"


def hides_cause(status: ContainerStatus, old: PreviousContainer) -> bool:
    """Between two tries the kubelet only says that it waits, and of the container before."""
    waiting = status.state.waiting
    return waiting is not None and waiting.reason == "CrashLoopBackOff" and status.container_id == old.container_id
