"""Records one namespace of a test cluster and passes judgement."""

import dataclasses
import json
import threading
from pathlib import Path
from types import TracebackType

from tests.cluster import Cluster
from tests.cluster.wait import eventually
from tests.recorder.history import end, survivors, writes_after
from tests.recorder.log import Event, Object
from tests.recorder.rules import Rules, validate
from tests.recorder.watch import Api, Watch
from tests.recorder.writers import writes_by_us

RESOURCES = {
    "Pod": "api/v1/{}/pods",
    "EndpointSlice": "apis/discovery.k8s.io/v1/{}/endpointslices",
    "Deployment": "apis/apps/v1/{}/deployments",
    "ReplicaSet": "apis/apps/v1/{}/replicasets",
    "StatefulSet": "apis/apps/v1/{}/statefulsets",
    "DaemonSet": "apis/apps/v1/{}/daemonsets",
    "Lease": "apis/coordination.k8s.io/v1/{}/leases",
}


class Recorder:
    """Use as a context manager. `mark()` says from where on the rules hold, by default from the beginning."""

    def __init__(self, cluster: Cluster, namespace: str, dump: Path | None = None) -> None:
        self.namespace, self.dump = namespace, dump
        self.since = 0
        self._api = Api(cluster.server, cluster.ca, cluster.token)
        self._lock = threading.Lock()
        self._log: list[Event] = []
        self._watches: list[Watch] = []

    def __enter__(self) -> "Recorder":
        for kind, path in RESOURCES.items():
            watch = Watch(self._api, kind, self._path(path), self._add)
            self._watches.append(watch)
            watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for watch in self._watches:
            watch.stop()

    def so_far(self) -> list[Event]:
        """What has arrived; cheap, for waiting on it."""
        with self._lock:
            return list(self._log)

    def log(self) -> list[Event]:
        """All that happened up to now, in the order of arrival."""
        self._catch_up()
        return self.so_far()

    def version(self) -> int:
        """The cluster's current resource version."""
        return int(self._api.get(self._path(RESOURCES["Pod"]))["metadata"]["resourceVersion"])

    def mark(self) -> int:
        """Judge only what comes after now."""
        self.since = self.version()
        return self.since

    def violations(self, rules: Rules) -> list[str]:
        """`rules.since`, where it is 0, is the last mark."""
        found = validate(self.log(), dataclasses.replace(rules, since=rules.since or self.since))
        return found + [w.lost for w in self._watches if w.lost]

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
        return writes_after(self.log(), rv)

    def save(self, path: Path) -> Path:
        with self._lock:
            path.write_text("\n".join(json.dumps(dataclasses.asdict(e)) for e in self._log) + "\n")
        return path

    def _add(self, event: Event) -> None:
        with self._lock:
            self._log.append(event)

    def _path(self, template: str) -> str:
        return "/" + template.format(f"namespaces/{self.namespace}")

    def _catch_up(self) -> None:
        """Wait until the watches have told all that a fresh list shows."""
        lists = {kind: self._api.get(self._path(path)) for kind, path in RESOURCES.items()}
        eventually(lambda: self._has_seen(lists), "the recorder catches up", 30)

    def _has_seen(self, lists: dict[str, Object]) -> bool:
        if any(w.lost for w in self._watches):
            return True
        with self._lock:
            newest = {e.uid: e.rv for e in sorted(self._log, key=lambda e: e.rv)}
            world = end(self._log)
        for kind, answer in lists.items():
            now = int(answer["metadata"]["resourceVersion"])
            listed = {i["metadata"]["uid"]: int(i["metadata"]["resourceVersion"]) for i in answer["items"]}
            deleted = [uid for uid in world.all(kind) if uid not in listed and newest[uid] <= now]
            if deleted or any(newest.get(uid, 0) < rv for uid, rv in listed.items()):
                return False
        return True
