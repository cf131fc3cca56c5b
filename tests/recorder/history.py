"""The log in the order of resource versions, and plain questions about it."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from tests.recorder.log import Event, Object, finished, images, statuses, terminating


@dataclass
class ClusterState:
    """All objects as of one resource version, by kind and uid."""

    objects: dict[str, dict[str, Object]] = field(default_factory=dict)

    def all(self, kind: str) -> dict[str, Object]:
        return self.objects.setdefault(kind, {})

    def apply(self, event: Event) -> None:
        if event.type == "DELETED":
            self.all(event.kind).pop(event.uid, None)
        else:
            self.all(event.kind)[event.uid] = event.object


@dataclass(frozen=True)
class Step:
    """An event, the object's version before it, and the world just before it."""

    event: Event
    before: Object | None
    world: ClusterState


def replay(log: Iterable[Event]) -> Iterator[Step]:
    """Steps in the order of resource versions, which is the order in which things happened. The world moves on with each."""
    world = ClusterState()
    for event in sorted(log, key=lambda e: e.rv):
        yield Step(event, world.all(event.kind).get(event.uid), world)
        world.apply(event)


def end(log: Iterable[Event]) -> ClusterState:
    world = ClusterState()
    for event in sorted(log, key=lambda e: e.rv):
        world.apply(event)
    return world


def at(log: Iterable[Event], rv: int) -> ClusterState:
    """The world right after a resource version."""
    return end(e for e in log if e.rv <= rv)


def survivors(log: Iterable[Event], since: int) -> set[str]:
    """Pods alive at `since` that are alive at the end, with the same IP."""
    log = list(log)
    now = end(log).all("Pod")
    return {
        uid
        for uid, pod in at(log, since).all("Pod").items()
        if uid in now and not terminating(now[uid]) and not finished(now[uid])
        if pod["status"].get("podIP") == now[uid]["status"].get("podIP")
    }


@dataclass
class Restarts:
    """What happened to one container of one pod."""

    container_id: str | None = None  # the last one known, as a status may lack it for a moment
    restart_count: int = 0
    image_changes: int = 0
    early_changes: int = 0  # those of them that came before any container was seen: none need have begun from the image before
    id_changes: int = 0
    count_growth: int = 0

    @property
    def one_for_each_change(self) -> bool:
        return self.image_changes - self.early_changes <= self.id_changes == self.count_growth <= self.image_changes


def restarts(log: Iterable[Event], since: int = 0) -> dict[tuple[str, str], Restarts]:
    """What happened to each container, by pod uid and container name, after the resource version `since`."""
    found: dict[tuple[str, str], Restarts] = {}
    for step in replay(e for e in log if e.kind == "Pod" and e.type != "DELETED"):
        event, old_images, judged = step.event, images(step.before), step.event.rv > since
        found_statuses = statuses(event.object)
        for name, image in images(event.object).items():
            seen, status = found.setdefault((event.uid, name), Restarts()), found_statuses.get(name, {})
            changed = judged and old_images.get(name, image) != image
            seen.image_changes += changed
            seen.early_changes += changed and seen.container_id is None
            if new_id := status.get("containerID"):
                restarted = judged and seen.container_id is not None
                seen.id_changes += restarted and new_id != seen.container_id
                seen.count_growth += restarted * (status["restartCount"] - seen.restart_count)
                seen.container_id, seen.restart_count = new_id, status["restartCount"]
    return found


def active_replicasets(log: Iterable[Event]) -> list[tuple[int, frozenset[str]]]:
    """Which ReplicaSets want or have pods, from each resource version at which that changes."""
    changes: list[tuple[int, frozenset[str]]] = []
    world = ClusterState()
    for event in sorted((e for e in log if e.kind == "ReplicaSet"), key=lambda e: e.rv):
        world.apply(event)
        active = frozenset(o["metadata"]["name"] for o in world.all("ReplicaSet").values() if has_pods(o))
        if not changes or changes[-1][1] != active:
            changes.append((event.rv, active))
    return changes


def has_pods(replicaset: Object) -> bool:
    return bool(replicaset["spec"].get("replicas", 1) > 0 or replicaset.get("status", {}).get("replicas", 0) > 0)


def writes_after(log: Iterable[Event], rv: int) -> list[Event]:
    """All that was written to the namespace after a resource version: empty means quiet."""
    return sorted((e for e in log if e.rv > rv), key=lambda e: e.rv)
