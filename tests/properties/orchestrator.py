"""Drives `plan` against the world as a runtime does: ordered watches that lag, actions that take time and may lie about it,
timers kept as the plans say, evidence that dies with the process."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable
from typing import TypeVar

import msgspec

from inplace.engine.actions import (
    Action,
    CloseGate,
    CreateTombstone,
    DeleteTwin,
    DropRecord,
    ListPods,
    ListSlices,
    OpenGate,
    PatchImages,
    PatchTemplate,
    PauseTarget,
)
from inplace.engine.drain import index_of, sending
from inplace.engine.evidence import confirm, witness
from inplace.engine.observed import DeploymentTarget, Evidence, Observed, facts_of
from inplace.engine.plan import Plan
from inplace.engine.planner import plan
from inplace.model.meta import version_of
from inplace.model.network import EndpointSlice
from inplace.model.pods import Pod
from inplace.model.run import Run
from inplace.model.workloads import Deployment, ReplicaSet
from tests.builders import SPEC
from tests.properties.world import World

NO_SERVICES: frozenset[str] = frozenset()


class Lease:
    """What survives a crash."""

    def __init__(self, run: Run) -> None:
        self.run = run


class Orchestrator:
    """One process. `faults`: how often an action is lost, done but reported lost, or done twice."""

    def __init__(
        self, world: World, lease: Lease, rng: random.Random, lag: float, faults: float, slice_lag: float = 0.0
    ) -> None:
        self.world, self.lease, self.rng, self.faults = world, lease, rng, faults
        self.lags = {"pods": lag, "slices": lag + slice_lag, "workload": lag}
        self.alive = True
        self.finished: Plan | None = None
        self.on_plan: Callable[[Observed, Plan], None] = lambda _o, _p: None
        self.pods: dict[str, Pod] = {}
        self.slices: list[EndpointSlice] = []
        self.workload: tuple[Deployment, tuple[ReplicaSet, ...]] = world.show_workload()
        self.evidence: dict[str, Evidence] = {}
        self.timers: dict[str, float] = {}
        self.busy: set[str] = set()
        self.closing: set[str] = set()
        self.pods_listed_at: float | None = None
        self.slices_listed_at: float | None = None
        self.writes: list[Action] = []
        self._newest = {"pods": 0.0, "slices": 0.0, "workload": 0.0}
        self._pods_version = 0
        self._wake = 0
        self.saw_slices(world.show_slices())
        self.saw_pods(world.show_pods(), at_version=world.version)
        world.watchers.append(self.notice)
        world.after(0.0, self.look)

    # Watches: each stream in order, late by up to `lag`
    def notice(self, stream: str) -> None:
        world = self.world
        due = max(self._newest[stream], world.now + self.rng.uniform(0.0, self.lags[stream]))
        self._newest[stream] = due
        version = world.version
        match stream:
            case "pods":
                pods = world.show_pods()
                self.later(due, lambda: self.saw_pods(pods, version))
            case "slices":
                slices = world.show_slices()
                self.later(due, lambda: self.saw_slices(slices))
            case _:
                workload = world.show_workload()
                self.later(due, lambda: self.saw_workload(*workload))

    def later(self, due: float, act: Callable[[], None]) -> None:
        def deliver() -> None:
            if self.alive:
                act()
                self.world.after(0.0, self.look)

        self.world.at(due, deliver)

    def saw_pods(self, pods: list[Pod], at_version: int | None = None) -> None:
        if at_version is not None and at_version < self._pods_version:
            return  # older than a list that came in between
        self._pods_version = at_version or self._pods_version
        pods = [newer(self.pods.get(p.uid), p) for p in pods]
        changed = [p for p in pods if self.pods.get(p.uid) is not p]
        self.pods = {p.uid: p for p in pods}
        self.evidence = {uid: e for uid, e in self.evidence.items() if uid in self.pods}
        self.fold(changed)

    def saw_workload(self, deployment: Deployment, sets: tuple[ReplicaSet, ...]) -> None:
        known = {rs.metadata.name: rs for rs in self.workload[1]}
        self.workload = newer(self.workload[0], deployment), tuple(newer(known.get(rs.metadata.name), rs) for rs in sets)

    def answered(self, action: Action) -> Callable[[], None]:
        """The answer to a write goes into the caches at once: it is the newest that there is of its object."""
        p = self.world.pods.get(action.key)
        if p is not None:
            shown = self.world.show(p)
            return lambda: self.saw_pods([shown if q.uid == shown.uid else q for q in self.pods.values()])
        deployment, sets = self.world.show_workload()
        if action.key == deployment.metadata.uid:
            return lambda: self.saw_workload(deployment, self.workload[1])
        changed = {rs.metadata.uid: rs for rs in sets if rs.metadata.uid == action.key}
        return lambda: self.saw_workload(self.workload[0], tuple(changed.get(rs.metadata.uid, rs) for rs in self.workload[1]))

    def saw_slices(self, slices: list[EndpointSlice]) -> None:
        before, self.slices = index_of(self.slices), slices
        after = index_of(slices)
        self.fold([p for p in self.pods.values() if before.entries_of(p) != after.entries_of(p)])

    def fold(self, pods: list[Pod]) -> None:
        index = index_of(self.slices)
        for p in pods:
            facts = facts_of(p, index.entries_of(p))
            self.evidence[p.uid] = witness(self.evidence.get(p.uid), facts, NO_SERVICES, self.world.now)

    # Plans
    def observed(self, shuffle: bool = False) -> Observed:
        index = index_of(self.slices)
        pods = [facts_of(p, index.entries_of(p)) for p in self.pods.values()]
        if shuffle:
            self.rng.shuffle(pods)
        return Observed(
            target=DeploymentTarget(*self.workload),
            pods=tuple(pods),
            evidence=self.evidence,
            timers=self.timers,
            busy=frozenset(self.busy),
            closing=frozenset(self.closing),
            pods_listed_at=self.pods_listed_at,
            slices_listed_at=self.slices_listed_at,
        )

    def look(self) -> None:
        if not self.alive or self.finished:
            return
        now, observed = self.world.now, self.observed()
        made = plan(observed, SPEC, self.lease.run, now)
        self.check(observed, made)
        self.lease.run = made.run
        self.on_plan(observed, made)
        self.timers = {name: self.timers.get(name, now) for name in made.timers}
        if made.finished:
            self.finished = made
            return
        for action in made.actions:
            self.start(action)
        self._wake += 1
        wake = self._wake
        if made.requeue_after is not None:
            self.world.after(made.requeue_after, lambda: self.look() if wake == self._wake else None)

    def check(self, observed: Observed, made: Plan) -> None:
        if not (made.finished or made.actions or made.requeue_after is not None or observed.busy or observed.closing):
            self.world.say(f"nothing to wait for: {made.progress}")
        if any(action.key in observed.busy for action in made.actions):
            self.world.say("an object that is worked on was planned for again")
        other = plan(self.observed(shuffle=True), SPEC, self.lease.run, self.world.now)
        if counts_of(other) != counts_of(made):
            self.world.say(f"the order of pods matters: {made} {other}")

    # Actions
    def start(self, action: Action) -> None:
        world, sent = self.world, self.world.now
        if not isinstance(action, ListPods | ListSlices):
            self.writes.append(action)
        self.busy.add(action.key)
        if isinstance(action, CloseGate):
            self.closing.add(action.pod.uid)
        fate = self.rng.random()
        lost, twice, silent = fate < self.faults / 3, fate < self.faults * 2 / 3, fate < self.faults
        answer: list[Callable[[], None]] = []

        def reach() -> None:
            if lost:
                return
            refused = self.perform(action, sent)
            if twice:
                self.perform(action, sent)
            elif not silent and refused is None:
                answer.append(self.answered(action))

        def end() -> None:
            self.busy.discard(action.key)
            for store in answer:
                store()
            if not isinstance(action, CloseGate):
                return
            # Visible once the watch has brought everything up to now, whatever the answer said.
            self.later(max(self._newest["pods"], world.now), lambda: self.closing.discard(action.pod.uid))

        took = self.rng.uniform(0.005, 0.3)
        world.after(took / 2, reach)
        self.later(world.now + took, end)

    def perform(self, action: Action, sent: float) -> str | None:
        world = self.world
        match action:
            case CloseGate(pod=ref, record=record, judged_version=judged_version):
                return world.close(ref.uid, ref.resource_version if judged_version else None, record)
            case PatchImages(pod=ref, images=images, record=record):
                return world.patch(ref.uid, ref.resource_version, images, record)
            case OpenGate(pod=ref) | DropRecord(pod=ref):
                return world.open(ref.uid, ref.resource_version)
            case PauseTarget(resource_version=judged, paused=paused):
                return world.pause(judged, paused)
            case PatchTemplate(kind="ReplicaSet", resource_version=judged, images=images):
                return world.set_replica_set(judged, images["app"])
            case PatchTemplate(resource_version=judged, images=images):
                return world.set_template(judged, images["app"])
            case CreateTombstone(name=name, manifest=manifest):
                return world.bury(name, manifest["spec"]["template"]["spec"]["containers"][0]["image"])
            case DeleteTwin(name=name):
                return world.delete_set(name)
            case ListSlices():
                slices = world.show_slices()
                self.later(world.now + 0.05, lambda: self.listed_slices(sent, slices))
            case ListPods():
                pods, version = world.show_pods(), world.version
                self.later(world.now + 0.05, lambda: self.listed_pods(sent, pods, version))
        return None

    def listed_slices(self, sent: float, slices: list[EndpointSlice]) -> None:
        index = index_of(slices)
        self.slices_listed_at = sent
        for uid, p in self.pods.items():
            still = bool(sending(facts_of(p, index.entries_of(p)), NO_SERVICES))
            self.evidence[uid] = confirm(self.evidence.get(uid), sent, still)

    def listed_pods(self, sent: float, pods: list[Pod], version: int) -> None:
        self.saw_pods(pods, version)
        self.pods_listed_at = sent

    def crash(self) -> None:
        """Requests that were sent still arrive."""
        self.alive = False
        self.world.watchers.remove(self.notice)


T = TypeVar("T", Pod, Deployment, ReplicaSet)


def newer(old: T | None, new: T) -> T:
    """A watch that lags never takes back what an answer has shown."""
    is_old = old is not None and version_of(old.metadata.resource_version) >= version_of(new.metadata.resource_version)
    return old if old is not None and is_old else new


def counts_of(made: Plan) -> tuple[object, ...]:
    """What must not depend on the order of pods: everything but the words."""
    progress = msgspec.structs.replace(made.progress, waiting="")
    return {a.key: type(a) for a in made.actions}, progress, Counter(p.stage for p in made.pods), made.timers
