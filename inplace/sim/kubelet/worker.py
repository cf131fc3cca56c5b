"""One pod on its node: the worker that brings it to what its object says, one sync at a time.

Always holds: a sync works with the pod object it took when the sync before had ended; it begins only once the runtime was
listed after that end; it writes the status of what it found before it changes anything, so `observedGeneration` reaches a
new generation before the old container stops.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from inplace.sim.clock import Timer
from inplace.sim.kubelet.container_starter import ContainerStarter
from inplace.sim.kubelet.containers import NEVER, Container, Instance, Steps, pre_stop_seconds
from inplace.sim.kubelet.probes import Probes
from inplace.sim.kubelet.status import Verdict, ready_verdicts, written
from inplace.sim.objects.errors import Json

if TYPE_CHECKING:
    from inplace.sim.kubelet.kubelet import Kubelet

RELIST_AFTER_ACT = 0.012
RETRY_SECONDS = 10.0
REMOVAL_SECONDS = 0.4


class PodWorker:
    """Runs one pod. `pod` is the newest object that the kubelet has seen.

    It is long because it is one state machine: what may happen to a container, and what the kubelet does next."""

    def __init__(self, kubelet: Kubelet, pod: Json) -> None:
        self.kubelet = kubelet
        self.scheduler = kubelet.scheduler
        self.pod = pod
        self.uid = str(pod["metadata"]["uid"])
        self.name = str(pod["metadata"]["name"])
        self.containers: dict[str, Container] = {}
        self.ip = ""
        self.sandbox_ready = False
        self.is_removed = False
        self._probes: dict[str, Probes] = {}
        self._next: Json | None = None
        self._is_working = False
        self._begins: tuple[Timer, Callable[[], None]] | None = None
        """The sync that waits for its relist."""
        self._last_sync_end = -NEVER
        self._relisted_at = -NEVER
        self._published = pod
        """As of the last sync."""
        self._status: tuple[Json, dict[str, Verdict], int] | None = None
        self._is_write_due = False
        self._retry_at = NEVER
        self._terminating = False
        self._admit(pod)
        self._starter = ContainerStarter(self)

    def _admit(self, pod: Json) -> None:
        spec = pod["spec"]
        for field in ("initContainers", "containers"):
            for each in spec.get(field) or ():
                is_sidecar = field == "initContainers" and each.get("restartPolicy") == "Always"
                role = "main" if field == "containers" else "sidecar" if is_sidecar else "init"
                container = Container(each["name"], role)  # type: ignore[arg-type]
                self.containers[each["name"]] = container
                if role != "init":
                    self._probes[each["name"]] = self._made_probes(container, each)

    def _made_probes(self, container: Container, spec: Json) -> Probes:
        name = container.name
        return Probes(
            self.scheduler,
            container,
            spec,
            on_ready=self._probed,
            on_unhealthy=lambda probe: self._unhealthy(name, probe),
            on_failed=lambda probe: self._probe_failed(name, probe),
        )

    def saw(self, pod: Json) -> None:
        """A newer object, which the kubelet has to act on."""
        self.pod = pod
        self.trigger()

    def trigger(self) -> None:
        """Asks for a sync with the object as it is now."""
        self._next = self.pod
        if not self._is_working and not self.is_removed:
            self._take()

    def relisted(self) -> None:
        """The runtime was listed for this pod out of turn, as after every sync that changed something."""
        self._relisted_at = self.scheduler.now
        if self._begins is not None:
            timer, step = self._begins
            timer.cancel()
            self._begins = (self.scheduler.after(0.002, step), step)
        # One container died and another started: two events, two syncs, and the second takes its object now.
        self.trigger()
        self.trigger()

    def stop(self) -> None:
        """The pod is gone, or its node is down."""
        self.is_removed = True
        for probes in self._probes.values():
            probes.stop()

    def health_changed(self, name: str) -> None:
        self._probes[name].health_changed()

    def _take(self) -> None:
        assert self._next is not None
        pod, self._next, self._is_working = self._next, None, True
        now = self.scheduler.now
        listed = max(self.kubelet.last_relist(now), self._relisted_at)
        begin = now if listed > self._last_sync_end else self.kubelet.next_relist(now)
        self._run(self._sync(pod), begin + self.scheduler.between(0.002, 0.006))

    def _run(self, steps: Steps, when: float) -> None:
        """Carries a sync through its waits."""

        def step() -> None:
            self._begins = None
            if self.is_removed:
                return
            try:
                seconds = next(steps)
            except StopIteration:
                self._end_sync()
                return
            self.scheduler.after(seconds, step)

        self._begins = (self.scheduler.at(when, step), step)

    def _end_sync(self) -> None:
        self._is_working = False
        self._last_sync_end = self.scheduler.now
        if self._next is not None and not self.is_removed:
            self._take()

    def _sync(self, pod: Json) -> Steps:
        self.publish(pod)
        yield 0.002
        if pod["metadata"].get("deletionTimestamp"):
            if not self._terminating:
                self._terminating = True
                yield from self._terminate(pod)
            return
        if self.phase(pod) in ("Succeeded", "Failed"):
            return
        acted = yield from self._starter.act(pod)
        if acted:
            self.scheduler.after(RELIST_AFTER_ACT, self.relisted)
        if any(c.waiting for c in self.containers.values()):
            self._retry_later(acted=acted)

    def _retry_later(self, *, acted: bool) -> None:
        """A failed start is shown by the next sync and tried again after 10 to 15 s."""
        now = self.scheduler.now
        if not acted and self._shown_is_old():
            self.scheduler.at(self.kubelet.next_relist(now), self.trigger)
        if self._retry_at <= now or self._retry_at == NEVER:
            self._retry_at = now + RETRY_SECONDS * self.scheduler.between(1.0, 1.5)
            self.scheduler.at(self._retry_at, self.trigger)

    def _shown_is_old(self) -> bool:
        shown = {s["name"]: s for s in (self._status[0] if self._status else {}).get("containerStatuses", ())}
        reasons = {name: s["state"].get("waiting", {}).get("reason") for name, s in shown.items()}
        return any(c.waiting and reasons.get(c.name) != c.waiting[0] for c in self.containers.values())

    def _terminate(self, pod: Json) -> Steps:
        """All containers stop; the status says so; then the object goes."""
        grace = float(pod["metadata"].get("deletionGracePeriodSeconds") or 0)
        running = [c for c in self.containers.values() if c.is_running]
        specs = {each["name"]: each for each in _specs(pod)}
        for container in running:
            self.event(pod, "Normal", "Killing", f"Stopping container {container.name}", container.name)
        yield from self.stop_containers(running, specs, grace)
        yield self.scheduler.between(0.05, 0.15)
        for probes in self._probes.values():
            probes.stop()
        self.sandbox_ready = False
        self.publish(pod, final=True)
        yield REMOVAL_SECONDS
        self.stop()
        self.kubelet.remove(self)

    def stop_containers(self, running: list[Container], specs: dict[str, Json], grace: float) -> Steps:
        """preStop, then SIGTERM, then at the end of the grace period SIGKILL; all at once."""
        now = self.scheduler.now
        ends = []
        for container in running:
            current = container.current
            assert current is not None
            hook = min(pre_stop_seconds(specs[container.name]), max(grace, 2.0))
            left = max(2.0, grace - hook)
            stops = min(current.stops_after, left)
            current.stopping_at = now + hook
            ends.append((now + hook + stops, container, 137 if current.stops_after > left else 0))
            self.kubelet.on_stopping(self, container, hook, stops)
        for at, container, code in sorted(ends, key=lambda end: end[0]):
            yield max(0.0, at - self.scheduler.now)
            if container.is_running:
                container.ended(code, self.scheduler.now, self.scheduler.stamp())

    def exits_later(self, container: Container, instance: Instance, seconds: float, code: int) -> None:
        """Its process ends by itself; the next relist notices."""

        def exit_now() -> None:
            if container.current is instance and instance.is_running and not self.is_removed:
                container.ended(code, self.scheduler.now, self.scheduler.stamp())
                self.scheduler.at(self.kubelet.next_relist(self.scheduler.now), self.trigger)

        self.scheduler.after(seconds, exit_now)

    def phase(self, pod: Json) -> str:
        mains = [c for c in self.containers.values() if c.role == "main"]
        if not all(c.current for c in mains):
            return "Pending"
        policy = pod["spec"].get("restartPolicy", "Always")
        codes = [c.current.exit_code for c in mains if c.current]
        if policy != "Always" and not any(c.is_running for c in mains) and all(code is not None for code in codes):
            if all(code == 0 for code in codes):
                return "Succeeded"
            return "Failed" if policy == "Never" else "Running"
        return "Running"

    def publish(self, pod: Json, *, final: bool = False) -> None:
        """Takes the status of what is there now, to be written at once."""
        self._published = pod
        shown: dict[str, list[Json]] = {"initContainerStatuses": [], "containerStatuses": []}
        is_pod_up = self._starter.is_initialized
        for each in _specs(pod):
            container = self.containers[each["name"]]
            probes = self._probes.get(container.name)
            ready = probes.ready() if probes else container.current is not None and container.current.exit_code == 0
            started = probes.started() if probes else container.is_running
            status = container.status(each, ready=ready, started=started, is_pod_up=is_pod_up)
            container.reported_started = started
            shown["containerStatuses" if container.role == "main" else "initContainerStatuses"].append(status)
        phase = self.phase(pod)
        if final:
            codes = [c.current.exit_code for c in self.containers.values() if c.current and c.role == "main"]
            phase = "Failed" if any(codes) else "Succeeded"
        status = {"phase": phase, **{key: value for key, value in shown.items() if value}, **self._addresses(pod)}
        relevant = shown["containerStatuses"] + [
            s for s in shown["initContainerStatuses"] if self.containers[s["name"]].role == "sidecar"
        ]
        verdicts = self._verdicts(phase) | ready_verdicts(pod, relevant, phase)
        generation = int(pod["metadata"].get("generation", 1)) if self.kubelet.reports_generation else 0
        self._write(status, verdicts, generation)
        for probes in self._probes.values():
            probes.published()

    def _addresses(self, pod: Json) -> Json:
        node = self.kubelet.address
        made: Json = {"hostIP": node, "hostIPs": [{"ip": node}]}
        if "startTime" not in pod["status"]:
            made["startTime"] = self.scheduler.stamp()
        if self.ip and any(c.current for c in self.containers.values()):
            ip = node if pod["spec"].get("hostNetwork") else self.ip
            made |= {"podIP": ip, "podIPs": [{"ip": ip}]}
        return made

    def _verdicts(self, phase: str) -> dict[str, Verdict]:
        waiting = [c.name for c in self.containers.values() if c.role != "main" and not self._starter.is_done(c)]
        initialized: Verdict = ("True", "PodCompleted" if phase == "Succeeded" else "", "")
        if waiting and not self._starter.is_initialized:
            initialized = ("False", "ContainersNotInitialized", f"containers with incomplete status: [{' '.join(waiting)}]")
        up = "True" if self.sandbox_ready else "False"
        return {"PodReadyToStartContainers": (up, "", ""), "Initialized": initialized, "PodScheduled": ("True", "", "")}

    def _write(self, status: Json, verdicts: dict[str, Verdict], generation: int) -> None:
        self._status = (status, verdicts, generation)
        if not self._is_write_due:
            self._is_write_due = True
            self.scheduler.after(self.scheduler.between(0.003, 0.009), self._write_now)

    def _write_now(self) -> None:
        self._is_write_due = False
        if self.kubelet.is_up and self._status is not None:
            status, verdicts, generation = self._status
            stamp = self.scheduler.stamp()
            self.kubelet.patch_status(self, lambda pod: written(pod, status, verdicts, generation, stamp))

    def _probed(self) -> None:
        """A probe's result turned: that goes into the status at once, all else, gates too, waits for the next sync."""
        if self.is_removed or self._status is None:
            return
        status, verdicts, generation = self._status
        made = dict(status)
        for field in ("containerStatuses", "initContainerStatuses"):
            if field in made:
                made[field] = [self._with_results(s) for s in made[field]]
        sidecars = [s for s in made.get("initContainerStatuses", ()) if self.containers[s["name"]].role == "sidecar"]
        relevant = [*made.get("containerStatuses", ()), *sidecars]
        verdicts = verdicts | ready_verdicts(self._published, relevant, str(status["phase"]))
        self._write(made, verdicts, generation)
        self.trigger()

    def _with_results(self, status: Json) -> Json:
        probes = self._probes.get(status["name"])
        container = self.containers[status["name"]]
        if probes is None or container.current is None or status.get("containerID") != container.current.container_id:
            return status
        container.reported_started = probes.started()
        return {**status, "ready": probes.ready(), "started": container.reported_started}

    def _unhealthy(self, name: str, probe: str) -> None:
        self.containers[name].is_unhealthy = True
        self.event(self.pod, "Warning", "Unhealthy", f"{probe.capitalize()} probe failed: {self._refused()}", name)
        self.event(self.pod, "Normal", "Killing", f"Container {name} failed {probe} probe, will be restarted", name)
        self.trigger()

    def _probe_failed(self, name: str, probe: str) -> None:
        self.event(self.pod, "Warning", "Unhealthy", f"{probe} probe failed: {self._refused()}", name)

    def _refused(self) -> str:
        return f'Get "http://{self.ip}:8080/": dial tcp {self.ip}:8080: connect: connection refused'

    def event(self, pod: Json, kind: str, reason: str, message: str, container: str = "") -> None:
        field = ""
        if container:
            field = f"spec.{'containers' if self.containers[container].role == 'main' else 'initContainers'}{{{container}}}"
        self.kubelet.event(pod, kind, reason, message, field)


def _specs(pod: Json) -> list[Json]:
    return [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
