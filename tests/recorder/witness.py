"""Judges one namespace by its log of object versions, wherever that comes from: a real cluster or an embedded one."""

import dataclasses
import json
from abc import ABC, abstractmethod
from pathlib import Path

from tests.recorder.history import survivors, writes_after
from tests.recorder.log import Event
from tests.recorder.rules import Rules, validate
from tests.recorder.writers import writes_by_us

RESOURCES = {
    "Pod": "api/v1/{}/pods",
    "EndpointSlice": "apis/discovery.k8s.io/v1/{}/endpointslices",
    "Deployment": "apis/apps/v1/{}/deployments",
    "ReplicaSet": "apis/apps/v1/{}/replicasets",
    "StatefulSet": "apis/apps/v1/{}/statefulsets",
    "DaemonSet": "apis/apps/v1/{}/daemonsets",
    "ControllerRevision": "apis/apps/v1/{}/controllerrevisions",
    "Lease": "apis/coordination.k8s.io/v1/{}/leases",
}


def is_heartbeat(event: Event) -> bool:
    """Of `inplace gate run`."""
    return event.kind == "Lease" and event.name.startswith("inplace-gate")


class Witness(ABC):
    """`mark()` says from where on the rules hold, by default from the beginning."""

    def __init__(self, namespace: str, dump: Path | None = None) -> None:
        self.namespace, self.dump = namespace, dump
        self.since = 0

    @abstractmethod
    def so_far(self) -> list[Event]:
        """What has arrived; cheap, for waiting on it."""

    @abstractmethod
    def log(self) -> list[Event]:
        """All that happened up to now, in the order of arrival."""

    @abstractmethod
    def version(self) -> int:
        """The cluster's current resource version."""

    @property
    def lost(self) -> list[str]:
        """What it may have missed."""
        return []

    def mark(self) -> int:
        """Judge only what comes after now."""
        self.since = self.version()
        return self.since

    def violations(self, rules: Rules) -> list[str]:
        """`rules.since`, where it is 0, is the last mark."""
        found = validate(self.log(), dataclasses.replace(rules, since=rules.since or self.since))
        return found + self.lost

    def check(self, rules: Rules) -> None:
        """Fail the test with every violation; the log is kept beside for a closer look."""
        if found := self.violations(rules):
            kept = f"\nlog: {self.save(self.dump)}" if self.dump else ""
            raise AssertionError(f"{len(found)} violations:\n  " + "\n  ".join(found) + kept)

    def survivors(self) -> set[str]:
        """The uids of the pods that were there at the last mark and still are, with the same IPs."""
        return survivors(self.log(), self.since)

    def writes_by_us(self, uid: str, gate: str = "inplace.dev/ready") -> int:
        return writes_by_us(self.log(), uid, gate, self.since)

    def writes_after(self, rv: int) -> list[Event]:
        """But for those by which an opener of gates says that it lives, every few seconds."""
        return [event for event in writes_after(self.log(), rv) if not is_heartbeat(event)]

    def save(self, path: Path) -> Path:
        path.write_text("\n".join(json.dumps(dataclasses.asdict(e)) for e in self.so_far()) + "\n")
        return path

    def path(self, kind: str) -> str:
        return "/" + RESOURCES[kind].format(f"namespaces/{self.namespace}")
