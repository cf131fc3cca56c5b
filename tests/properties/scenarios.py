"""What may happen in one upgrade, drawn at random: the app, what is asked for, and everything that goes wrong meanwhile."""

from __future__ import annotations

from typing import Literal, TypeVar

import msgspec
from hypothesis import strategies as st

from inplace.model.run import OnFailure, PauseStep, PodsStep, Step

Kind = Literal["Deployment", "ReplicaSet", "StatefulSet", "DaemonSet"]
Tag = str
Probe = Literal["readiness", "none", "startup", "both"]
What = Literal["delete", "scale", "crash", "hold", "free", "cut", "forget", "interrupt", "kill"]

STEPS: tuple[tuple[Step, ...], ...] = (
    (PodsStep(amount="100%"),),
    (PodsStep(amount="10%"), PauseStep(seconds=20.0), PodsStep(amount="50%"), PauseStep(), PodsStep(amount="100%")),
    (PodsStep(amount=1), PauseStep(), PodsStep(amount="33%"), PauseStep(seconds=1.0), PodsStep(amount="100%")),
)
DISTURBING: frozenset[What] = frozenset({"delete", "scale", "crash", "hold", "free"})


class Container(msgspec.Struct, frozen=True):
    """`is_changed`: the upgrade gives it another image."""

    probe: Probe
    boot_seconds: float = 0.0
    is_sidecar: bool = False
    is_changed: bool = True


class App(msgspec.Struct, frozen=True):
    replicas: int
    containers: tuple[Container, ...] = (Container("readiness"),)
    services: int = 1
    min_ready_seconds: int = 0
    by_hand: int = 0
    """So many pods are closed by hand before we come."""
    held: int = 0
    """And so many by a hold that is written down."""
    is_paused: bool = False
    has_twin: bool = False
    """A ReplicaSet, or a ControllerRevision, that an earlier rollout left has the new template already."""
    budget: int | None = None
    """`maxUnavailable` of a PodDisruptionBudget; of a DaemonSet's pods it cannot be computed, and counts for nothing."""
    kind: Kind = "Deployment"
    is_parallel: bool = False
    """A StatefulSet's pods need not wait for each other."""
    partition: int = 0
    """The owner's own, of a StatefulSet."""
    is_on_delete: bool = False
    """The owner's strategy, of a StatefulSet or DaemonSet."""


class Asked(msgspec.Struct, frozen=True):
    max_unavailable: int | str
    steps: tuple[Step, ...] = STEPS[0]
    settle_seconds: float = 1.0
    on_failure: OnFailure = "pause"
    tag: str = "2"
    then: str | None = None
    """After the first interruption another tag is asked for."""


class Network(msgspec.Struct, frozen=True):
    """`late_seconds`: how late watch lines are at most. `fault_rate`: of requests refused, lost, or done and not answered.
    `slices_behind_seconds`: how far behind the EndpointSlice controller is."""

    round_trip_seconds: float = 0.01
    pods_late_seconds: float = 0.1
    slices_late_seconds: float = 0.1
    others_late_seconds: float = 0.1
    slices_behind_seconds: float = 0.0
    stalls: tuple[tuple[float, float], ...] = ()
    """From when, and for how long, no watch brings anything."""
    fault_rate: float = 0.0


class Incident(msgspec.Struct, frozen=True):
    at: float
    what: What
    number: int = 0
    """Which pod; how many replicas."""


class Death(msgspec.Struct, frozen=True):
    """The process dies at its n-th write, before that reaches the API server, or after."""

    write: int
    is_performed: bool


class Scenario(msgspec.Struct, frozen=True):
    seed: int
    app: App
    asked: Asked
    network: Network = Network()
    deaths: tuple[Death, ...] = ()
    incidents: tuple[Incident, ...] = ()

    @property
    def is_disturbed(self) -> bool:
        """Somebody else takes pods out."""
        return any(incident.what in DISTURBING for incident in self.incidents)

    @property
    def is_bad(self) -> bool:
        return self.asked.tag in ("crash", "missing", "mute")


T = TypeVar("T")


def few(of: st.SearchStrategy[T], most: int) -> st.SearchStrategy[tuple[T, ...]]:
    return st.lists(of, max_size=most).map(tuple)


def seconds(most: float) -> st.SearchStrategy[float]:
    return st.floats(0.1, most).map(lambda x: round(x, 2))


CONTAINERS = st.builds(
    Container,
    probe=st.sampled_from(["readiness", "none", "startup", "both"]),
    boot_seconds=st.sampled_from([0.0, 1.0, 4.0]),
    is_sidecar=st.booleans(),
    is_changed=st.booleans(),
)


@st.composite
def apps(draw: st.DrawFn) -> App:
    first = msgspec.structs.replace(draw(CONTAINERS), is_sidecar=False, is_changed=True)
    kind: Kind = draw(st.sampled_from(["Deployment", "Deployment", "StatefulSet", "DaemonSet", "ReplicaSet"]))
    replicas = draw(st.integers(1, 7))
    strategy = draw(st.sampled_from(["rolling", "rolling", "OnDelete", "partition"]))
    partition = draw(st.integers(1, replicas)) if kind == "StatefulSet" and strategy == "partition" else 0
    return App(
        kind=kind,
        replicas=replicas,
        is_parallel=kind == "StatefulSet" and draw(st.booleans()),
        partition=partition,
        is_on_delete=kind in ("StatefulSet", "DaemonSet") and strategy == "OnDelete",
        containers=(first, *draw(few(CONTAINERS, 2))),
        services=draw(st.sampled_from([1, 1, 2, 0])),
        min_ready_seconds=draw(st.sampled_from([0, 0, 4])),
        by_hand=draw(st.sampled_from([0, 0, 0, 1])),
        held=draw(st.sampled_from([0, 0, 0, 1])),
        is_paused=kind == "Deployment" and draw(st.booleans()),
        has_twin=kind != "ReplicaSet" and not partition and draw(st.booleans()),
        budget=draw(st.sampled_from([None, None, 1, 2])),
    )


@st.composite
def asked_of(draw: st.DrawFn, app: App) -> Asked:
    """Pods that are closed already must leave room for another."""
    closed = min(app.replicas, app.by_hand + app.held)
    limits: list[int | str] = [1, 2, 3, "1%", "40%", "67%", "100%"]
    allowed = [limit for limit in limits if limit_of(limit, app.replicas) > closed or closed == app.replicas]
    return Asked(
        max_unavailable=draw(st.sampled_from(allowed or [closed + 1])),
        steps=draw(st.sampled_from(STEPS)),
        settle_seconds=draw(st.sampled_from([0.0, 1.0, 5.0])),
        tag=draw(st.sampled_from(["2", "2", "1b"])),
    )


def limit_of(value: int | str, replicas: int) -> int:
    """What `maxUnavailable` allows, as Kubernetes rounds it, but never nothing."""
    return value if isinstance(value, int) else max(1, replicas * int(value[:-1]) // 100)


NETWORKS = st.builds(
    Network,
    round_trip_seconds=st.sampled_from([0.005, 0.1, 0.5]),
    pods_late_seconds=st.sampled_from([0.0, 0.3, 5.0]),
    slices_late_seconds=st.sampled_from([0.0, 0.3, 5.0, 15.0]),
    others_late_seconds=st.sampled_from([0.0, 0.3, 5.0]),
    slices_behind_seconds=st.sampled_from([0.0, 0.0, 1.0, 8.0]),
    stalls=few(st.tuples(seconds(60.0), seconds(20.0)), 1),
    fault_rate=st.sampled_from([0.0, 0.0, 0.1, 0.3]),
)


def incidents(*kinds: What, latest: float = 60.0) -> st.SearchStrategy[Incident]:
    return st.builds(Incident, at=seconds(latest), what=st.sampled_from(kinds), number=st.integers(1, 8))


@st.composite
def calm(draw: st.DrawFn) -> Scenario:
    """Nobody else does anything to the pods; watches, requests and our own processes may fail."""
    app = draw(apps())
    return Scenario(
        seed=draw(st.integers(0, 1 << 20)),
        app=app,
        asked=draw(asked_of(app)),
        network=draw(NETWORKS),
        deaths=draw(few(st.builds(Death, st.integers(1, 40), st.booleans()), 3)),
        incidents=draw(few(incidents("cut", "forget", "interrupt", "kill"), 3)),
    )


@st.composite
def disturbed(draw: st.DrawFn) -> Scenario:
    """And somebody deletes pods, scales, closes gates; containers crash; or the person wants something else."""
    scenario = draw(calm())
    asked = msgspec.structs.replace(scenario.asked, then=draw(st.sampled_from([None, None, "3", "1"])))
    app = msgspec.structs.replace(scenario.app, by_hand=0, held=0)
    more = draw(st.lists(incidents(*sorted(DISTURBING)), min_size=1, max_size=4))
    return msgspec.structs.replace(scenario, app=app, asked=asked, incidents=(*scenario.incidents, *more))


@st.composite
def bad(draw: st.DrawFn) -> Scenario:
    """The new image does not work. Without a probe, one that never answers passes for a good one."""
    scenario = draw(calm())
    app = scenario.app
    tags = ["crash", "missing"] if any(c.probe == "none" for c in app.containers) else ["crash", "missing", "mute"]
    asked = msgspec.structs.replace(
        scenario.asked, tag=draw(st.sampled_from(tags)), on_failure=draw(st.sampled_from(["pause", "rollback", "continue"]))
    )
    partition = min(app.partition, app.replicas - 1)
    app = msgspec.structs.replace(app, has_twin=False, by_hand=0, held=0, partition=partition)
    return msgspec.structs.replace(scenario, app=app, asked=asked)
