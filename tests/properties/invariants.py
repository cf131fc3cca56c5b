"""The judge: sees every write of the embedded cluster at once, shares nothing with the engine, and says where a promise broke.

It adds to the recorder's rules (`tests.recorder`), which it is asked for at the end, what needs the true time or every moment:
the budget at each close and, where nobody else disturbs, always; the settle time; at most maxUnavailable pods worked on.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from inplace.sim import Cluster
from inplace.sim.objects import kinds
from inplace.sim.objects.store import StoreEvent
from tests.recorder import Event, Rules, validate
from tests.recorder.log import condition, event, images, terminating
from tests.recorder.rules import sends_to

GATE, RECORD = "inplace.dev/ready", "inplace.dev/upgrade"
Json = dict[str, Any]
KINDS = (
    kinds.PODS,
    kinds.ENDPOINT_SLICES,
    kinds.DEPLOYMENTS,
    kinds.REPLICA_SETS,
    kinds.STATEFUL_SETS,
    kinds.DAEMON_SETS,
)


class Invariants:
    """`limit`: what maxUnavailable allows now. `hidden_seconds`: how long nobody can know what others did to a pod."""

    def __init__(self, cluster: Cluster, limit: Callable[[], int], settle_seconds: float, hidden_seconds: float) -> None:
        self.violations: list[str] = []
        self.since = 0
        """The resourceVersion from which on it judges; 0: not yet."""
        self.is_calm = True
        """Nobody but us takes pods out."""
        self.most_down = 0
        """So many may be down all the time, since they were when we came."""
        self.bad_image = ""
        self.got_bad: set[str] = set()
        self._cluster = cluster
        self._limit = limit
        self._settle_seconds = settle_seconds
        self._hidden_seconds = hidden_seconds
        self._log: list[Event] = []
        self._quiet_since: dict[str, float] = {}
        self._disrupted: dict[str, float] = {}
        cluster.store.listen(KINDS, self._saw)

    @property
    def now(self) -> float:
        return self._cluster.scheduler.now

    def begin(self) -> None:
        self.since = self._cluster.store.version
        self.most_down = len(self._down())

    def was_disrupted(self, uid: str) -> None:
        """By others."""
        self._disrupted[uid] = self.now

    def verdict(self, rules: Rules) -> list[str]:
        return [*self.violations, *validate(self._log, rules)]

    def pods(self) -> list[Json]:
        return [pod.obj for pod in self._cluster.store.ordered(kinds.PODS) if not terminating(pod.obj)]

    def _say(self, what: str) -> None:
        self.violations.append(f"{self.now:.2f}: {what}")

    def _saw(self, happened: StoreEvent) -> None:
        kind = "ADDED" if happened.old is None else "MODIFIED" if happened.new is not None else "DELETED"
        self._log.append(event(happened.item.kind.kind, kind, happened.item.obj, self.now))
        self._note_quiet()
        if not self.since or happened.item.kind is not kinds.PODS or happened.new is None:
            return
        if happened.old is None:
            self.was_disrupted(happened.item.uid)
            return
        before, after = happened.old.obj, happened.new.obj
        if images(before) != images(after):
            self._judge_patch(before, after)
        if _record(after) is not None and _record(before) is None:
            self._judge_close(before, after)
        if self.is_calm and len(down := self._down()) > max(self._limit(), self.most_down):
            self._say(f"{', '.join(down)} are down at once, {self._limit()} may be")

    def _judge_close(self, before: Json, after: Json) -> None:
        name, limit = after["metadata"]["name"], self._limit()
        worked_on = [pod["metadata"]["name"] for pod in self.pods() if _record(pod) is not None]
        if len(worked_on) > limit:
            self._say(f"{', '.join(worked_on)} are worked on at once, {limit} may be")
        if condition(before, "Ready") != "True":
            return
        down = [other for other in self._down(visible=True) if other != name]
        if len(down) + 1 > limit:
            self._say(f"closing {name} while {', '.join(down)} are down exceeds {limit}")

    def _judge_patch(self, before: Json, after: Json) -> None:
        name, uid = after["metadata"]["name"], after["metadata"]["uid"]
        quiet_since = self._quiet_since.get(uid)
        if quiet_since is None:
            self._say(f"{name} was patched while traffic is sent to it")
        elif self.now < quiet_since + self._settle_seconds - 1e-6:
            self._say(f"{name} was patched {self.now - quiet_since:.2f} s after its drain, not {self._settle_seconds}")
        record = json.loads(_record(after) or "{}")
        if not record.get("before"):
            self._say(f"{name} was patched without a record of what ran before")
        if self.bad_image and self.bad_image in images(after).values():
            self.got_bad.add(uid)

    def _note_quiet(self) -> None:
        for pod in self.pods():
            uid = pod["metadata"]["uid"]
            if condition(pod, "Ready") == "True" or self._listed(pod):
                self._quiet_since.pop(uid, None)
            else:
                self._quiet_since.setdefault(uid, self.now)

    def _listed(self, pod: Json) -> bool:
        slices = self._cluster.store.all(kinds.ENDPOINT_SLICES, pod["metadata"]["namespace"])
        return any(sends_to(entry, pod) for each in slices for entry in each.obj.get("endpoints") or ())

    def _down(self, visible: bool = False) -> list[str]:
        """Names of the pods that serve nobody. `visible`: without those that others took out a moment ago."""
        down = []
        for pod in self.pods():
            uid = pod["metadata"]["uid"]
            is_serving = condition(pod, "Ready") == "True" and condition(pod, GATE) == "True" and _record(pod) is None
            fresh = self.now < self._disrupted.get(uid, float("-inf")) + self._hidden_seconds
            if not is_serving and not (visible and fresh):
                down.append(str(pod["metadata"]["name"]))
        return down


def _record(pod: Json) -> str | None:
    text: str | None = (pod["metadata"].get("annotations") or {}).get(RECORD)
    return text
