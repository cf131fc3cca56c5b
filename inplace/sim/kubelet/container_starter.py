"""What a sync does to a pod's containers: sandbox, init containers in order, then everything that should run and does not.

A container whose image is another one than the spec's is killed first and only then is the new image pulled, so pull time is
downtime; a pull or a back-off that fails leaves it waiting, and says so for the next status.
"""

from __future__ import annotations

from collections.abc import Generator
from itertools import pairwise
from typing import TYPE_CHECKING

from inplace.sim.kubelet.containers import NEVER, Container, Instance, boot_seconds
from inplace.sim.kubelet.images import Image, is_valid
from inplace.sim.objects.errors import Json
from inplace.sim.objects.kinds import CONFIG_MAPS

if TYPE_CHECKING:
    from inplace.sim.kubelet.worker import PodWorker


class ContainerStarter:
    """Of one worker."""

    def __init__(self, worker: PodWorker) -> None:
        self._worker = worker
        self.is_initialized = not any(c.role != "main" for c in worker.containers.values())

    def act(self, pod: Json) -> Generator[float, None, bool]:
        """One sync's acts; its waits are yielded. Returns whether anything was changed."""
        worker = self._worker
        acted = False
        if not worker.sandbox_ready:
            yield worker.scheduler.between(0.28, 0.42)
            worker.sandbox_ready = True
            worker.ip = worker.kubelet.new_ip()
            worker.publish(pod)
            acted = True
        specs = {c["name"]: c for c in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]}
        outdated = [c for c in worker.containers.values() if self._must_die(c, specs[c.name])]
        for container in outdated:
            if container.current and container.current.image != specs[container.name]["image"]:
                text = f"Container {container.name} definition changed, will be restarted"
                worker.event(pod, "Normal", "Killing", text, container.name)
        # As in the real kubelet, what has exited is judged as it was before this sync killed anything.
        exited = {c.name: c.last_exited for c in worker.containers.values()}
        if outdated:
            acted = True
            yield from worker.stop_containers(outdated, specs, float(pod["spec"].get("terminationGracePeriodSeconds", 30)))
        for container in self._startable(pod):
            acted = (yield from self._start(pod, container, specs[container.name], exited[container.name])) or acted
        return acted

    def is_done(self, container: Container) -> bool:
        """An init container that holds up nobody any more."""
        current = container.current
        if container.role == "sidecar":
            return container.is_running and container.reported_started
        return current is not None and current.exit_code == 0

    def _must_die(self, container: Container, spec: Json) -> bool:
        current = container.current
        if current is None or not current.is_running or container.role == "init":
            return False
        return current.image != spec["image"] or container.is_unhealthy

    def _startable(self, pod: Json) -> list[Container]:
        worker = self._worker
        policy = pod["spec"].get("restartPolicy", "Always")
        chosen: list[Container] = []
        for container in worker.containers.values():
            if container.role == "main" and not self.is_initialized:
                break
            if container.role == "init" and self.is_initialized:
                continue
            if container.is_running or (container.role == "init" and self.is_done(container)):
                if container.role == "init" and not self.is_done(container):
                    return chosen
                if not self.is_initialized and not self.is_done(container):
                    return chosen
                continue
            if self._may_start(container, policy):
                chosen.append(container)
            if not self.is_initialized:
                return chosen
        if not self.is_initialized and not chosen:
            self.is_initialized = True
            return self._startable(pod)
        return chosen

    def _may_start(self, container: Container, policy: str) -> bool:
        current = container.current
        if current is None or container.role == "sidecar" or policy == "Always":
            return True
        if current.stopping_at != NEVER:
            return True
        return policy == "OnFailure" and current.exit_code != 0

    def _start(self, pod: Json, container: Container, spec: Json, exited: Instance | None) -> Generator[float, None, bool]:
        worker, now, name = self._worker, self._worker.scheduler.now, spec["image"]
        if exited is not None:
            remaining = container.backoff.remaining(name, exited.exited_at, now)
            if remaining:
                whom = f"pod={worker.name}_{pod['metadata']['namespace']}({worker.uid})"
                text = f"back-off {_duration(remaining)} restarting failed container={container.name} {whom}"
                container.waiting = ("CrashLoopBackOff", text)
                shown = f"Back-off restarting failed container {container.name} in pod {whom.removeprefix('pod=')}"
                worker.event(pod, "Warning", "BackOff", shown, container.name)
                return False
            container.backoff.raise_for(name, exited.exited_at, now)
        image = yield from self._pull(pod, container, spec)
        if image is None:
            return False
        unmade = self._missing_config(pod, spec) or image.create_error
        if unmade:
            reason = "CreateContainerError" if unmade == image.create_error else "CreateContainerConfigError"
            container.waiting = (reason, unmade)
            worker.event(pod, "Warning", "Failed", f"Error: {unmade}", container.name)
            return False
        yield worker.scheduler.between(0.06, 0.11)
        self._run(pod, container, spec, image)
        if image.run_error:
            container.could_not_start(image.run_error, worker.scheduler.now, worker.scheduler.stamp())
            worker.event(pod, "Warning", "Failed", f"Error: {image.run_error}", container.name)
            return True
        worker.event(pod, "Normal", "Created", "Container created", container.name)
        worker.event(pod, "Normal", "Started", "Container started", container.name)
        return True

    def _pull(self, pod: Json, container: Container, spec: Json) -> Generator[float, None, Image | None]:
        """The image, or None with the reason in `waiting`."""
        worker, name = self._worker, spec["image"]
        kubelet, now = worker.kubelet, worker.scheduler.now
        if not is_valid(name):
            text = f'Failed to apply default image tag "{name}": couldn\'t parse image name "{name}": invalid reference format'
            container.waiting = ("InvalidImageName", text)
            worker.event(pod, "Warning", "InspectFailed", text, container.name)
            return None
        if name in kubelet.images and spec.get("imagePullPolicy") != "Always":
            text = f'Container image "{name}" already present on machine and can be accessed by the pod'
            worker.event(pod, "Normal", "Pulled", text, container.name)
            return kubelet.catalog.find(name)
        if container.pull_backoff.remaining(name, container.pull_backoff.last_used(name), now):
            text = f'Back-off pulling image "{name}": ErrImagePull: {container.pull_error}'
            container.waiting = ("ImagePullBackOff", text)
            worker.event(pod, "Normal", "BackOff", f'Back-off pulling image "{name}"', container.name)
            worker.event(pod, "Warning", "Failed", "Error: ImagePullBackOff", container.name)
            return None
        worker.event(pod, "Normal", "Pulling", f'Pulling image "{name}"', container.name)
        image = kubelet.catalog.find(name)
        began = worker.scheduler.now
        yield from kubelet.pulling(image)
        if image.unreachable or not image.exists:
            self._pull_failed(pod, container, name, image.unreachable)
            return None
        kubelet.has_pulled(name, image)
        took = int((worker.scheduler.now - began) * 1000)
        text = f'Successfully pulled image "{name}" in {took}ms ({took}ms including waiting). Image size: 1028888 bytes.'
        worker.event(pod, "Normal", "Pulled", text, container.name)
        return image

    def _missing_config(self, pod: Json, spec: Json) -> str:
        """A ConfigMap that the container's environment wants and that is not there, in the kubelet's words."""
        store, namespace = self._worker.kubelet.registry.store, str(pod["metadata"]["namespace"])
        for source in spec.get("envFrom") or ():
            name = (source.get("configMapRef") or {}).get("name")
            if name and store.get(CONFIG_MAPS, namespace, name) is None:
                return f'configmap "{name}" not found'
        return ""

    def _pull_failed(self, pod: Json, container: Container, name: str, unreachable: str) -> None:
        now = self._worker.scheduler.now
        resolving = f'failed to pull and unpack image "{name}": failed to resolve reference "{name}": '
        error = f"rpc error: code = NotFound desc = {resolving}{name}: not found"
        if unreachable:
            error = resolving + unreachable
        container.pull_error = error
        container.pull_backoff.raise_for(name, now, now)
        container.waiting = ("ErrImagePull", error)
        self._worker.event(pod, "Warning", "Failed", f'Failed to pull image "{name}": {error}', container.name)
        self._worker.event(pod, "Warning", "Failed", "Error: ErrImagePull", container.name)

    def _run(self, pod: Json, container: Container, spec: Json, image: Image) -> None:
        worker, scheduler = self._worker, self._worker.scheduler
        booting = image.boot_seconds
        if booting is None:
            booting = boot_seconds(spec, pod["metadata"].get("annotations"))
        instance = Instance(
            container_id=f"containerd://{worker.kubelet.new_container_id()}",
            image=spec["image"],
            shown_image=worker.kubelet.shown_name(spec["image"], image),
            image_id=image.image_id,
            restart_count=container.current.restart_count + 1 if container.current else 0,
            started_at=scheduler.now,
            started_stamp=scheduler.stamp(),
            answers_at=NEVER if image.is_mute else scheduler.now + booting + scheduler.between(0.01, 0.06),
            stops_after=image.stops_after,
        )
        container.begin(instance)
        if container.role == "init":
            worker.exits_later(container, instance, init_seconds(spec), image.exit_code)
        elif image.dies_after is not None:
            instance.answers_at = NEVER
            worker.exits_later(container, instance, image.dies_after, image.exit_code)


def init_seconds(spec: Json) -> float:
    """An init container runs as long as its command sleeps."""
    words = " ".join([*(spec.get("command") or ()), *(spec.get("args") or ())]).split()
    for word, following in pairwise(words):
        if word == "sleep" and following.replace(".", "", 1).isdecimal():
            return float(following)
    return 0.05


def _duration(seconds: float) -> str:
    minutes, rest = divmod(int(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"
