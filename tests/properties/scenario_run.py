"""A scenario played out: the app in the embedded cluster, the unmodified product upgrading it, what goes wrong meanwhile, and
the same command again until it is done. The judge looks on."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.actions import ListPods, ListSlices
from inplace.engine.planning.plan import Plan, PlanContext
from inplace.engine.planning.planner import plan
from inplace.kube.errors import ApiError
from inplace.model.constants import DEFAULT_GATE
from inplace.model.run import PauseStep, PodsStep, Run, RunOptions, StopRequest, lease_name
from inplace.runtime.errors import ForcedExit, RefusedError, RunAbandoned
from inplace.runtime.foreground.session import Result, Session
from inplace.runtime.lease.lock import LockHeldError, LockLostError
from inplace.runtime.observability.frames import Frame
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.run.resolver import AlreadyDone
from inplace.sim.objects.store import StoredObject
from tests.properties.invariants import Invariants
from tests.properties.process import NetworkFaults, Process, ProcessKilled
from tests.properties.scenarios import Incident, Scenario, limit_of
from tests.properties.workload import HOLDS, NAME, RECORD, Workload, image, images_in
from tests.recorder import Rules
from tests.simulation.simulated_cluster import STRATEGIC, SimulatedCluster

Json = dict[str, Any]
LONGEST_SECONDS = 6000.0
COMMANDS = 25
BUSY = 150
"""No process has so much to do, however late its watches are, or how often it is refused."""


class ScenarioRun:
    """Play it once. `outcomes`: of every command that was not cut off."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = s = scenario
        self.rng = random.Random(s.seed)
        self.world = SimulatedCluster(s.seed, events=False, nodes=s.app.replicas if s.app.kind == "DaemonSet" else 2)
        self.cluster = self.world.cluster
        self.replicas = {s.app.replicas}
        net = s.network
        late = net.pods_late_seconds + net.slices_late_seconds + net.others_late_seconds + sum(d for _, d in net.stalls)
        late += net.slices_behind_seconds
        self.judge = Invariants(self.cluster, self.limit, s.asked.settle_seconds, 20.0 + 2 * late)
        self.judge.bad_image = image("app", s.asked.tag) if s.is_bad else ""
        self.judge.is_calm = not s.is_disturbed
        self.workload = Workload(s.app, self.world, s.asked.tag)
        self.first = {pod.uid for pod in self.world.pods()}
        self.cluster.endpoint_slices.lag_seconds = net.slices_behind_seconds
        self.whims = NetworkFaults(self.cluster, net, self.rng)
        self.process: Process | None = None
        self.session: Session | None = None
        self.processes: list[Process] = []
        self.tag = s.asked.tag
        self.outcomes: list[str] = []
        self.said: list[str] = []
        self.last: Frame | None = None
        self.last_result: Result | None = None
        self.judge.begin()
        for incident in s.incidents:
            self.world.scheduler.after(incident.at, functools.partial(self._apply_incident, incident))

    def limit(self) -> int:
        """While it is scaled, nobody can say which count a percentage was taken of."""
        return max(limit_of(self.scenario.asked.max_unavailable, replicas) for replicas in self.replicas)

    # What others do
    def _apply_incident(self, incident: Incident) -> None:
        pods = [pod for pod in self.world.pods() if "deletionTimestamp" not in pod.meta]
        if self.process is None or not pods:
            return
        pod = pods[incident.number % len(pods)]
        match incident.what:
            case "delete":
                self.judge.was_disrupted(pod.uid)
                self.world.request("DELETE", self.world.path("", "pods", pod.name))
            case "scale" if self.scenario.app.kind == "DaemonSet":
                pass
            case "scale":
                self.replicas.add(incident.number)
                for each in pods:
                    self.judge.was_disrupted(each.uid)
                body = {"spec": {"replicas": incident.number}}
                self.world.request("PATCH", self.workload.path, body, "application/merge-patch+json")
            case "crash":
                self._crash(pod)
            case "hold":
                self.judge.was_disrupted(pod.uid)
                self.workload.close(pod, is_held=True)
                self.world.scheduler.after(60.0, self.free)
            case "free":
                self.free()
            case "cut":
                self.process.host.cut_watches()
            case "forget":
                self.cluster.store.forget()
                self.process.host.cut_watches()
            case "interrupt":
                if self.session is not None and self.session.has_started:
                    self.process.is_told_to_stop = True
                    self.session.request_stop(StopRequest("Interrupted", "interrupted by Ctrl-C"))
            case "kill":
                self.process.die()

    def _crash(self, pod: StoredObject) -> None:
        """Only what the pod began with: a new container that crashes is a bad image for whoever looks at it."""
        self.judge.was_disrupted(pod.uid)
        kubelet = self.cluster.kubelet_of(pod.obj)
        worker = kubelet.workers.get(pod.uid) if kubelet is not None else None
        container = worker.containers["app"] if worker is not None else None
        current = container.current if container is not None else None
        if worker is not None and container is not None and current is not None and current.restart_count == 0:
            worker.exits_later(container, current, 0.0, 1)

    def free(self) -> None:
        """The holds go; whoever removes the last one opens, unless an upgrade holds."""
        for pod in self.world.pods():
            notes = pod.meta.get("annotations") or {}
            if HOLDS in notes and pod.name not in self.workload.closed:
                self.judge.was_disrupted(pod.uid)
                opened = {"conditions": [{"type": DEFAULT_GATE, "status": "True"}]} if RECORD not in notes else {}
                body = {"metadata": {"annotations": {HOLDS: None}}, "status": opened}
                self.world.request("PATCH", self.world.path("", "pods", pod.name, "status"), body, STRATEGIC)

    # Commands
    def play(self) -> str:
        """The same command until it is over: its outcome, or `AlreadyDone`. The holds of others are gone by then."""
        ends_at = self.world.scheduler.now + LONGEST_SECONDS
        for _ in range(COMMANDS):
            assert self.world.scheduler.now < ends_at, "it does not end"
            ended = self._command()
            if ended in ("Succeeded", "AlreadyDone", "Failed", "RolledBack"):
                return ended
            self.free()
            if self.scenario.asked.then is not None and ended not in ("Paused", "StillPaused"):
                self.tag = self.scenario.asked.then
            self.world.scheduler.run_for(self.rng.choice([0.0, 1.0, 10.0]))
        raise AssertionError(f"it does not end: {self.outcomes}")

    def _command(self) -> str:
        """One more process, and how it ended."""
        number = len(self.processes)
        death = self.scenario.deaths[number] if number < len(self.scenario.deaths) else None
        process = Process(self.cluster, f"process-{number}", self.whims, death)
        is_faulty = self.scenario.network.fault_rate > 0
        try:
            result = self._run(process)
        except (ProcessKilled, ForcedExit) as gone:
            ended = type(gone).__name__
        except (ApiError, RunAbandoned, LockLostError, LockHeldError) as error:
            if not is_faulty:
                raise
            ended = type(error).__name__
        except RefusedError as error:
            if "did not list everything" not in str(error):
                raise
            ended = "Refused"
        else:
            self.last_result = result
            ended = result.outcome if isinstance(result, Summary) else type(result).__name__
            if isinstance(result, Summary) and ended == "Failed":
                if process.is_told_to_stop:
                    ended = "Interrupted"
                elif is_faulty and "the API server refuses" in result.message:
                    ended = "Abandoned"
        self.outcomes.append(ended)
        return ended

    def _run(self, process: Process) -> Result:
        self.process, goes_on = process, self.outcomes[-1:] in (["StillPaused"], ["Paused"])
        self.processes.append(process)
        try:
            with process.session(self.workload.target, self.said.append) as session:
                self.session = session
                if goes_on:
                    return session.resume(self._saw)
                given = self._options()
                asked = Run(
                    id=f"run-{len(self.processes)}",
                    target=self.workload.target,
                    images=self.workload.images(self.tag),
                    options=RunOptions(**given),
                    created_by="test",
                )
                return session.upgrade(asked, given, self._saw)
        finally:
            self.process = self.session = None
            assert process.acts < BUSY, f"{process.acts} acts of one process"

    def _options(self) -> Mapping[str, Any]:
        asked = self.scenario.asked
        return {
            "max_unavailable": asked.max_unavailable,
            "steps": asked.steps,
            "settle_seconds": asked.settle_seconds,
            "on_failure": asked.on_failure,
            "allow_outage": True,  # pods are closed, deleted and scaled away until one may be left: it is to be upgraded, too
            "drain_timeout_seconds": 120.0,
            "restart_timeout_seconds": 60.0 if self.scenario.is_bad else 300.0,
        }

    # Plans
    def _saw(self, frame: Frame) -> None:
        self.last = frame
        made, observed = frame.plan, frame.snapshot
        waits = made.requeue_after_seconds is not None or observed.keys_in_progress or observed.closing
        assert made.finished or made.actions or waits, f"nothing to wait for: {made.progress}"
        assert not any(action.key in observed.keys_in_progress for action in made.actions), "planned for what is worked on"
        if self.rng.random() < 0.1:
            self._shuffle(frame)
        self._look_at_step(frame)

    def _shuffle(self, frame: Frame) -> None:
        """The order in which pods are seen decides nothing."""
        pods = list(frame.snapshot.pods)
        self.rng.shuffle(pods)
        spec = PlanContext(lease_name(self.workload.target))
        one = plan(frame.snapshot, spec, frame.plan.run, frame.now)
        other = plan(msgspec.structs.replace(frame.snapshot, pods=tuple(pods)), spec, frame.plan.run, frame.now)
        assert _essence(one) == _essence(other), "the order of pods matters"

    def _look_at_step(self, frame: Frame) -> None:
        """At a pause just so many pods are updated, and no other is touched."""
        run, made = frame.plan.run, frame.plan
        steps, here = run.options.steps, run.steps_passed
        if (
            self.scenario.is_disturbed
            or self.scenario.is_bad
            or run.rolling_back
            or here >= len(steps)
            or not isinstance(steps[here], PauseStep)
        ):
            return
        shares = [step.amount for step in steps[:here] if isinstance(step, PodsStep)]
        replicas = max(0, self.scenario.app.replicas - self.scenario.app.partition)
        wanted = max(min(replicas, a) if isinstance(a, int) else -(-replicas * int(a[:-1]) // 100) for a in shares)
        images = set(self.workload.images(self.tag).values())
        touched = [
            pod.name
            for pod in self.world.pods()
            if RECORD in (pod.meta.get("annotations") or {}) or images <= set(images_in(pod.obj["spec"]).values())
        ]
        assert len(touched) == wanted, f"{touched} are touched at a pause after {shares}: {made.progress}"

    # The end
    def verdict(self) -> list[str]:
        s = self.scenario
        is_plain = not s.is_disturbed and not s.is_bad
        crashed = any(incident.what == "crash" for incident in s.incidents)
        writes = 3 if is_plain and not s.deaths and not s.network.fault_rate and not s.incidents else None
        rules = Rules(
            max_unavailable=self.limit() if not s.is_disturbed else None,
            workload=f"{s.app.kind}/{NAME}",
            one_restart=not s.is_bad and not crashed,
            writes_per_pod=writes if not self.workload.closed else None,
            since=self.judge.since,
        )
        return self.judge.verdict(rules)

    def is_quiet(self) -> None:
        """Nothing is left to do for anybody: not for us, and not for the cluster's controllers."""
        self.world.scheduler.run_for(20)
        before = self.cluster.store.version, [process.writes for process in self.processes]
        self.world.scheduler.run_for(60)
        assert (self.cluster.store.version, [process.writes for process in self.processes]) == before

    def is_done_again(self) -> None:
        """The same command says that there is nothing to do, and writes nothing; nor would a plan on the same view."""
        if self.last is not None and self.last.plan.finished is not None and self.last.plan.run.outcome == "Succeeded":
            run = msgspec.structs.replace(self.last.plan.run, outcome=None, message="")
            again = plan(self.last.snapshot, PlanContext(lease_name(self.workload.target)), run, self.last.now)
            assert all(isinstance(action, ListPods | ListSlices) for action in again.actions), again.actions
        calm = NetworkFaults(self.cluster, msgspec.structs.replace(self.scenario.network, fault_rate=0.0), self.rng)
        process, result = self._calmly(calm)
        while self.scenario.network.fault_rate > 0 and isinstance(result, Summary):
            # The end was not written down, because the network failed: it is now, at its pauses too, and nothing else is done.
            assert (result.touched, process.acts) == (0, 0)
            assert result.outcome in ("Paused", "Succeeded")
            self.outcomes.append(result.outcome)
            process, result = self._calmly(calm)
        assert isinstance(result, AlreadyDone), result
        assert process.writes == 0

    def _calmly(self, calm: NetworkFaults) -> tuple[Process, Result]:
        assert len(self.outcomes) < 2 * COMMANDS, f"it does not end: {self.outcomes}"
        process = Process(self.cluster, f"calm-{len(self.processes)}", calm, None)
        return process, self._run(process)


def _essence(made: Plan) -> tuple[object, ...]:
    """What must not depend on the order of pods: everything but the words."""
    progress = msgspec.structs.replace(made.progress, waiting="")
    return {a.key: type(a) for a in made.actions}, progress, sorted(p.stage for p in made.pods), made.timers
