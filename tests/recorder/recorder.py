"""Records one namespace of a test cluster, by watches of its own."""

import threading
from pathlib import Path
from types import TracebackType

from tests.cluster import Cluster
from tests.cluster.wait import eventually
from tests.recorder.history import end
from tests.recorder.log import Event, Object
from tests.recorder.watch import Api, Watch
from tests.recorder.witness import RESOURCES, Witness


class Recorder(Witness):
    """Use as a context manager."""

    def __init__(self, cluster: Cluster, namespace: str, dump: Path | None = None) -> None:
        super().__init__(namespace, dump)
        self._api = Api(cluster.server, cluster.ca, cluster.token)
        self._lock = threading.Lock()
        self._log: list[Event] = []
        self._watches: list[Watch] = []

    def __enter__(self) -> "Recorder":
        for kind in RESOURCES:
            watch = Watch(self._api, kind, self.path(kind), self._add)
            self._watches.append(watch)
            watch.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for watch in self._watches:
            watch.stop()

    def so_far(self) -> list[Event]:
        with self._lock:
            return list(self._log)

    def log(self) -> list[Event]:
        self._catch_up()
        return self.so_far()

    def version(self) -> int:
        return int(self._api.get(self.path("Pod"))["metadata"]["resourceVersion"])

    @property
    def lost(self) -> list[str]:
        return [w.lost for w in self._watches if w.lost]

    def _add(self, event: Event) -> None:
        with self._lock:
            self._log.append(event)

    def _catch_up(self) -> None:
        """Wait until the watches have told all that a fresh list shows."""
        lists = {kind: self._api.get(self.path(kind)) for kind in RESOURCES}
        eventually(lambda: self._has_seen(lists), "the recorder catches up", 30)

    def _has_seen(self, lists: dict[str, Object]) -> bool:
        if self.lost:
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
