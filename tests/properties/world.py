"""A tiny cluster on virtual time: kubelets, slices, a Deployment and its ReplicaSets, and the rules that must never break.

Knows nothing of the engine: it holds plain values, shows them as model structs through the builders, and checks every write
against the true state, whatever the writer believed. What goes wrong is appended to `violations`.
"""

from __future__ import annotations

import heapq
import random
from collections.abc import Callable
from typing import Any

from inplace.model.network import EndpointSlice
from inplace.model.pods import Pod, Probe
from inplace.model.record import Record, encode_record
from inplace.model.workloads import Deployment, ReplicaSet
from tests.builders import LIVE_UID, container, deployment, endpoint, pod, replica_set, slice_of, status

PROBES: dict[str, dict[str, Any]] = {
    "readiness": {},
    "none": {"readiness_probe": None},
    "startup": {"readiness_probe": None, "startup_probe": Probe(period_seconds=1)},
    "both": {"startup_probe": Probe(period_seconds=1)},
}


class TruePod:
    """What is really so, kubelet's knowledge included; `shown` is its status as written."""

    def __init__(self, name: str, uid: str, node: str, image: str, born: float) -> None:
        self.name, self.uid, self.node, self.image, self.born = name, uid, node, image, born
        self.generation = self.observed = 1
        self.version = 0
        self.gate: str | None = "True"
        self.record: Record | None = None
        self.deleting = False
        self.containers = 1
        self.runs: str = image  # the image that the container in `containers` was made from; "" between two
        self.waiting = ""
        self.answers = True
        self.shown_ready = True  # the container's ready flag and `started`, as the kubelet shows them
        self.ready = True
        self.entry = True  # what the slice says
        self.quiet_since: float | None = None
        self.disrupted: float | None = None
        self.patches: list[str] = []


class World:
    def __init__(self, rng: random.Random, replicas: int, images: tuple[str, str], probe: str, bad: bool, delay: float) -> None:
        """`delay` stretches everybody's reactions."""
        self.rng, self.now, self.probe, self.bad, self.delay = rng, 0.0, probe, bad, delay
        self.old, self.new = images
        self.version = 1000
        self.events: list[tuple[float, int, Callable[[], None]]] = []
        self.count = 0
        self.pods: dict[str, TruePod] = {}
        self.budget = replicas
        self.settle = 0.0
        self.hidden = 0.0
        """For how many seconds a watcher may not know what happened."""
        self.violations: list[str] = []
        self.watchers: list[Callable[[str], None]] = []
        self.slice_version = 1
        # The workload: the Deployment, and ReplicaSets by name in order of age.
        self.replicas, self.paused, self.template = replicas, False, self.old
        self.generation = self.observed = 1
        self.seen_paused = False
        self.sets: dict[str, dict[str, Any]] = {}
        self.add_set("web-1", LIVE_UID, self.old, 2)
        self.deployment_version = 901
        for _ in range(replicas):
            self.create()
        self.touch_slice()

    # Time
    def after(self, seconds: float, act: Callable[[], None]) -> None:
        self.at(self.now + seconds, act)

    def at(self, instant: float, act: Callable[[], None]) -> None:
        """What is due at the same instant happens in the order in which it was asked for."""
        self.count += 1
        heapq.heappush(self.events, (instant, self.count, act))

    def soon(self, low: float, high: float, act: Callable[[], None]) -> None:
        self.after(self.rng.uniform(low, high) * self.delay, act)

    def step(self, until: float) -> bool:
        """One event; False where there is none before that instant."""
        if not self.events or self.events[0][0] > until:
            return False
        due, _, act = heapq.heappop(self.events)
        self.now = max(self.now, due)
        act()
        return True

    def next_version(self) -> int:
        self.version += 1
        return self.version

    def tell(self, stream: str) -> None:
        for watcher in self.watchers:
            watcher(stream)

    def say(self, what: str) -> None:
        self.violations.append(f"{self.now:.2f}: {what}")

    # Pods and kubelets
    def create(self) -> TruePod:
        number = self.count = self.count + 1
        image = self.sets["web-1"]["image"]
        p = TruePod(f"web-{number}", f"uid-{number}", f"node-{number % 3}", image, self.now)
        self.pods[p.uid] = p
        if self.now > 0:
            p.ready = p.entry = p.answers = p.shown_ready = False
            p.quiet_since = p.disrupted = self.now
            p.gate = None
            self.after(0.5, lambda: self.open_new(p))  # the gate controller
            self.soon(0.5, 3.0, lambda: self.boot(p, p.containers))
            self.touch_slice()  # listed as not ready as soon as it has an address
        self.touch(p)
        return p

    def open_new(self, p: TruePod) -> None:
        if p.gate is None:
            p.gate = "True"
            self.touch(p)

    def touch(self, p: TruePod) -> None:
        """One more version of the pod; the kubelet and the slices follow in their time."""
        p.version = self.next_version()
        self.tell("pods")
        wants = p.gate == "True" and p.shown_ready
        if wants != p.ready:
            self.soon(*((0.4, 2.0) if wants else (0.01, 0.5)), lambda: self.sync_ready(p))

    def sync_ready(self, p: TruePod) -> None:
        wants = p.gate == "True" and p.shown_ready
        if p.uid not in self.pods or wants == p.ready:
            return
        p.ready = wants
        if wants and not p.answers and self.probe != "none":
            self.say(f"{p.name} is Ready, but does not answer")
        self.soon(0.01, 1.0 if self.rng.random() < 0.8 else 6.0, lambda: self.sync_entry(p))
        self.touch(p)

    def sync_entry(self, p: TruePod) -> None:
        if p.uid in self.pods and p.entry != p.ready:
            p.entry = p.ready
            p.quiet_since = None if p.entry else self.now
            p.disrupted = None if p.entry and p.shown_ready else p.disrupted
            self.touch_slice()

    def touch_slice(self) -> None:
        self.slice_version = self.next_version()
        self.tell("slices")

    def restart(self, p: TruePod, image: str) -> None:
        """The old container stops; whatever the spec says by then is started, or not."""
        generation = p.generation

        def see() -> None:
            if p.generation == generation:
                p.observed = generation
                self.touch(p)

        def stop() -> None:
            if p.generation == generation:
                p.runs, p.answers, p.shown_ready = "", False, False
                if self.rng.random() < 0.8:
                    self.touch(p)
                self.soon(0.1, 1.0, start)

        def start() -> None:
            if p.generation != generation:
                return
            if self.bad and image == self.new:
                p.waiting = "ImagePullBackOff"
                self.touch(p)
                return
            p.waiting, p.runs = "", image
            p.containers += 1
            p.shown_ready = self.probe == "startup"  # carried over (kubernetes#141155)
            if self.probe == "none":
                p.answers = p.shown_ready = True
            number = p.containers
            self.touch(p)
            if self.probe == "startup":
                self.after(self.rng.uniform(0.5, 2.5), lambda: self.notice_start(p, number))
            self.soon(0.5, 5.0, lambda: self.boot(p, number))

        first = self.rng.uniform(0.1, 1.8) * self.delay
        self.after(first, see)
        self.after(first + self.rng.uniform(0.05, 1.5), stop)

    def notice_start(self, p: TruePod, number: int) -> None:
        if p.containers == number and not p.answers:
            p.shown_ready = False
            self.touch(p)

    def boot(self, p: TruePod, number: int) -> None:
        if p.containers == number and p.runs:
            p.answers = p.shown_ready = True
            self.touch(p)

    def crash(self, p: TruePod) -> None:
        """The container dies and is started again from the image that it had; a kubelet that has seen another starts that."""
        if not p.runs or p.uid not in self.pods or (p.observed == p.generation and p.runs != p.image):
            return
        p.containers += 1
        p.answers = p.shown_ready = self.probe == "none"
        p.disrupted = self.now
        number = p.containers
        self.touch(p)
        self.soon(0.5, 2.0, lambda: self.boot(p, number))

    def delete(self, p: TruePod) -> None:
        if p.deleting or p.uid not in self.pods:
            return
        p.deleting, p.disrupted = True, self.now
        self.touch(p)

        def gone() -> None:
            self.pods.pop(p.uid, None)
            self.tell("pods")
            self.touch_slice()

        self.soon(0.1, 3.0, gone)
        self.soon(0.05, 0.5, self.fill)

    def scale(self, replicas: int) -> None:
        self.replicas = replicas
        self.touch_deployment()
        self.soon(0.05, 1.0, self.fill)

    def fill(self) -> None:
        """The ReplicaSet controller: not-ready pods go first, then the newest."""
        live = [p for p in self.pods.values() if not p.deleting]
        if len(live) < self.replicas:
            self.create()
            self.soon(0.01, 0.1, self.fill)
        for p in sorted(live, key=lambda p: (p.ready, -p.born, p.name))[: max(0, len(live) - self.replicas)]:
            self.delete(p)

    # The workload's controllers
    def add_set(self, name: str, uid: str, image: str, revision: int) -> dict[str, Any]:
        rs = {"uid": uid, "image": image, "revision": revision, "generation": 1, "observed": 1, "version": 900}
        self.sets[name] = rs
        return rs

    def add_older_twin(self) -> None:
        """What an earlier rollout left: it has the new template already, and is older."""
        live = self.sets.pop("web-1")
        self.add_set("web-0", "uid-rs-web-0", self.new, 1)
        self.sets["web-1"] = live

    def touch_deployment(self) -> None:
        self.generation += 1
        self.deployment_version = self.next_version()
        self.tell("workload")
        self.soon(0.05, 1.0, self.sync_deployment)

    def touch_set(self, rs: dict[str, Any]) -> None:
        rs["version"] = self.next_version()
        self.tell("workload")
        self.soon(0.05, 1.0, self.sync_deployment)

    def matching(self) -> str | None:
        """The *oldest* ReplicaSet with the Deployment's template."""
        return next((name for name, rs in self.sets.items() if rs["image"] == self.template), None)

    def sync_deployment(self) -> None:
        found = self.matching()
        if found != "web-1" and not self.paused:
            self.say("the Deployment controller began a rollout of its own")
        others = [rs["revision"] for name, rs in self.sets.items() if name != found]
        if found is not None and self.sets[found]["revision"] <= max(others, default=0):
            self.sets[found]["revision"] = max(others) + 1
            self.touch_set(self.sets[found])
        self.seen_paused = self.paused
        if self.observed != self.generation:
            self.observed = self.generation
            self.deployment_version = self.next_version()
            self.tell("workload")

    def sync_set(self, rs: dict[str, Any]) -> None:
        rs["observed"] = rs["generation"]
        self.touch_set(rs)

    # Writes, as an API server takes them: None is done, otherwise the refusal.
    def close(self, uid: str, version: str | None, record: Record) -> str | None:
        p = self.pods.get(uid)
        if p is None or (version is not None and str(p.version) != version):
            return "conflict"
        if p.record is None and self.serves(p) and self.unavailable(visible=True) + 1 > self.budget:
            self.say(f"closing {p.name} exceeds the budget of {self.budget}")
        if sum(q.record is not None and q is not p and not q.deleting for q in self.pods.values()) >= self.budget:
            self.say(f"{p.name} is worked on beside {self.budget} others")
        if p.record is not None and p.record.before is not None:
            self.say(f"{p.name} was closed over the record of its image patch")
        p.gate, p.record = "False", record
        self.touch(p)
        return None

    def patch(self, uid: str, version: str, images: dict[str, str], record: Record) -> str | None:
        p = self.pods.get(uid)
        if p is None or str(p.version) != version:
            return "conflict"
        if p.ready or p.entry or p.quiet_since is None:
            self.say(f"{p.name} was patched while traffic is sent to it")
        elif self.now < p.quiet_since + self.settle:
            self.say(f"{p.name} was patched {self.now - p.quiet_since:.2f} s after its drain, {self.settle} were promised")
        if p.gate != "False":
            self.say(f"{p.name} was patched with an open gate")
        image = images["app"]
        if image in p.patches:
            self.say(f"{p.name} was patched to {image} twice")
        p.patches.append(image)
        p.image, p.record = image, record
        p.generation += 1
        self.touch(p)
        self.restart(p, image)
        return None

    def open(self, uid: str, version: str) -> str | None:
        p = self.pods.get(uid)
        if p is None or str(p.version) != version:
            return "conflict"
        if p.record is not None and p.record.before is not None and p.runs != p.image:
            self.say(f"the gate of {p.name} was opened before it was restarted")
        p.gate, p.record = "True", None
        self.touch(p)
        return None

    def pause(self, version: str, paused: bool) -> str | None:
        if version != str(self.deployment_version):
            return "conflict"
        self.paused = paused
        self.touch_deployment()
        return None

    def set_template(self, version: str, image: str) -> str | None:
        if version != str(self.deployment_version):
            return "conflict"
        if not self.paused:
            self.say("the Deployment's template was patched unpaused")
        self.template = image
        self.touch_deployment()
        return None

    def set_replica_set(self, version: str, image: str) -> str | None:
        rs = self.sets["web-1"]
        if version != str(rs["version"]):
            return "conflict"
        if not (self.paused and self.seen_paused):
            self.say("the ReplicaSet's template was patched unpaused")
        rs["image"] = image
        rs["generation"] += 1
        self.touch_set(rs)
        self.soon(0.05, 1.0, lambda: self.sync_set(rs))
        return None

    def bury(self, name: str, image: str) -> str | None:
        if name not in self.sets:
            revision = self.sets["web-1"]["revision"]
            self.touch_set(self.add_set(name, f"uid-{name}", image, revision))
        return None

    def delete_set(self, name: str) -> str | None:
        if name == "web-1" or not self.paused:
            self.say(f"ReplicaSet {name} was deleted")
        self.sets.pop(name, None)
        self.tell("workload")
        self.soon(0.05, 1.0, self.sync_deployment)
        return None

    # The truth, for checks
    @staticmethod
    def serves(p: TruePod) -> bool:
        return p.ready and p.entry and p.gate == "True" and not p.deleting

    def unavailable(self, visible: bool = False) -> int:
        """`visible`: what was disrupted by others just now cannot be known yet."""
        live = [p for p in self.pods.values() if not p.deleting]
        down = [p for p in live if not self.serves(p)]
        fresh = [p for p in down if visible and p.disrupted is not None and self.now < p.disrupted + self.hidden]
        return len(down) - len(fresh)

    # What an API server shows
    def show(self, p: TruePod) -> Pod:
        c = status(
            id_=f"{p.uid}-{p.containers}",
            image=p.runs or self.old,
            image_id=f"sha-{p.runs or self.old}",
            waiting=p.waiting,
            terminated=not p.runs and not p.waiting,
            ready=p.shown_ready,
            started=p.shown_ready,
        )
        return pod(
            p.name,
            uid=p.uid,
            node=p.node,
            ready=p.ready,
            gate=p.gate,
            containers_ready=p.shown_ready,
            record=encode_record(p.record) if p.record else None,
            version=p.version,
            generation=p.generation,
            observed=p.observed,
            deleting=p.deleting,
            containers=[container(image=p.image, **PROBES[self.probe])],
            statuses=[c],
        )

    def show_pods(self) -> list[Pod]:
        return [self.show(p) for p in self.pods.values()]

    def show_slices(self) -> list[EndpointSlice]:
        listed = [endpoint(p.uid, p.entry and not p.deleting) for p in self.pods.values()]
        return [slice_of(*listed, version=self.slice_version)]

    def show_workload(self) -> tuple[Deployment, tuple[ReplicaSet, ...]]:
        follows = self.matching() == "web-1"
        shown = deployment(
            {"app": self.template},
            replicas=self.replicas,
            paused=self.paused,
            generation=self.generation,
            observed=self.observed,
            updated=self.replicas if follows else 0,
            version=self.deployment_version,
        )
        sets = [
            replica_set(
                {"app": rs["image"]},
                name=name,
                uid=rs["uid"],
                replicas=self.replicas if name == "web-1" else 0,
                revision=rs["revision"],
                generation=rs["generation"],
                observed=rs["observed"],
                version=rs["version"],
            )
            for name, rs in self.sets.items()
        ]
        return shown, tuple(sets)
