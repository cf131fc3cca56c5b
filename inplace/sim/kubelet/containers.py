"""One container of a pod as the runtime knows it: what runs, what ran, why it waits, and when it may be started again.

The back-off is the real kubelet's: kept per image string, looked up only when some earlier instance of the container has
exited, and measured from when that one did. So the first start of an image is free, and the first way back to the image
before it too.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Literal

from inplace.sim.objects.errors import Json

Steps = Generator[float, None, None]
"""Something that takes time: yields the seconds to wait before it goes on."""
Role = Literal["main", "init", "sidecar"]

FIRST_BACKOFF_SECONDS = 10.0
LONGEST_BACKOFF_SECONDS = 300.0
NEVER = float("inf")


class Backoff:
    """Doubles from 10 s to 300 s; forgotten 600 s after its last use."""

    def __init__(self) -> None:
        self._entries: dict[str, tuple[float, float]] = {}

    def remaining(self, key: str, since: float, now: float) -> float:
        """The back-off in force where it is not over yet, else 0."""
        backoff, used_at = self._entries.get(key, (0.0, 0.0))
        if not backoff or since - used_at > 2 * LONGEST_BACKOFF_SECONDS or now - since >= backoff:
            return 0.0
        return backoff

    def raise_for(self, key: str, since: float, now: float) -> None:
        backoff, used_at = self._entries.get(key, (0.0, 0.0))
        expired = since - used_at > 2 * LONGEST_BACKOFF_SECONDS
        fresh = not backoff or expired
        self._entries[key] = (FIRST_BACKOFF_SECONDS if fresh else min(backoff * 2, LONGEST_BACKOFF_SECONDS), now)

    def last_used(self, key: str) -> float:
        return self._entries.get(key, (0.0, -NEVER))[1]


@dataclass(eq=False)
class Instance:
    """One start of a container. `answers_at`: from when its app takes requests."""

    container_id: str
    image: str
    shown_image: str
    image_id: str
    restart_count: int
    started_at: float
    started_stamp: str
    answers_at: float
    stops_after: float
    exit_code: int | None = None
    exited_at: float = NEVER
    start_error: str = ""
    finished_stamp: str = ""
    stopping_at: float = NEVER
    is_sick: bool = False

    @property
    def is_running(self) -> bool:
        return self.exit_code is None

    def answers(self, now: float) -> bool:
        """Whether a new connection is served: not before it has booted, nor once it was told to stop."""
        return self.is_running and not self.is_sick and self.answers_at <= now < self.stopping_at

    def terminated(self) -> Json:
        told = {"message": self.start_error} if self.start_error else {}
        return {
            "exitCode": self.exit_code or 0,
            "reason": "StartError" if told else "Completed" if self.exit_code == 0 else "Error",
            **told,
            "startedAt": self.started_stamp,
            "finishedAt": self.finished_stamp,
            "containerID": self.container_id,
        }


@dataclass(eq=False)
class Container:
    """`waiting`: reason and message while the last try to start it failed. `reported_started`: by name, as last published."""

    name: str
    role: Role
    current: Instance | None = None
    previous: Instance | None = None
    last_exited: Instance | None = None
    waiting: tuple[str, str] | None = None
    backoff: Backoff = field(default_factory=Backoff)
    pull_backoff: Backoff = field(default_factory=Backoff)
    pull_error: str = ""
    is_unhealthy: bool = False
    reported_started: bool = False

    @property
    def is_running(self) -> bool:
        return self.current is not None and self.current.is_running

    def begin(self, instance: Instance) -> None:
        self.previous, self.current = self.current, instance
        self.waiting = None
        self.is_unhealthy = False

    def ended(self, exit_code: int, now: float, stamp: str) -> None:
        assert self.current is not None
        self.current.exit_code = exit_code
        self.current.exited_at = now
        self.current.finished_stamp = stamp
        self.last_exited = self.current

    def could_not_start(self, why: str, now: float, stamp: str) -> None:
        """It was created, and the runtime could not start it: shown so until it is tried again."""
        self.ended(128, now, stamp)
        assert self.current is not None
        self.current.start_error = why
        self.waiting = ("RunContainerError", why)

    def status(self, spec: Json, *, ready: bool, started: bool, is_pod_up: bool) -> Json:
        """`containerStatuses[]`. `is_pod_up`: initialisation is over, for a container that was never started."""
        shown = self.current
        made: Json = {"name": self.name, "state": {}, "lastState": {}, "ready": ready, "restartCount": 0}
        if shown is None:
            waiting = self.waiting or ("ContainerCreating" if is_pod_up else "PodInitializing", "")
            made["state"] = {"waiting": _waiting(waiting)}
            return {**made, "image": spec["image"], "imageID": "", "started": False}
        if shown.is_running:
            made["state"] = {"running": {"startedAt": shown.started_stamp}}
        elif self.waiting:
            made["state"] = {"waiting": _waiting(self.waiting)}
        else:
            made["state"] = {"terminated": shown.terminated()}
        before = shown if "waiting" in made["state"] else self.previous
        if before is not None:
            made["lastState"] = {"terminated": before.terminated()}
        made |= {"restartCount": shown.restart_count, "image": shown.shown_image, "imageID": shown.image_id}
        return {**made, "containerID": shown.container_id, "started": started, "resources": {}}


def _waiting(waiting: tuple[str, str]) -> Json:
    return {"reason": waiting[0], **({"message": waiting[1]} if waiting[1] else {})}


def boot_seconds(spec: Json, annotations: Json | None) -> float:
    """How long the app takes to answer: annotation `sim.inplace.dev/boot-seconds`, else env BOOT, else none."""
    text = (annotations or {}).get("sim.inplace.dev/boot-seconds")
    if text is None:
        text = next((e.get("value") for e in spec.get("env") or () if e["name"] == "BOOT"), None)
    try:
        return float(text or 0)
    except ValueError:
        return 0.0


def pre_stop_seconds(spec: Json) -> float:
    """How long the preStop hook takes: `sleep` handlers, and commands that end in `sleep N`."""
    hook = (spec.get("lifecycle") or {}).get("preStop") or {}
    if "sleep" in hook:
        return float(hook["sleep"].get("seconds", 0))
    words = " ".join((hook.get("exec") or {}).get("command") or ()).split()
    for word, following in pairwise(words):
        if word == "sleep" and following.replace(".", "", 1).isdecimal():
            return float(following)
    return 0.0
