"""Objects, versions and what happened: the etcd and the watch cache of the cluster.

Always holds: a stored object is never changed, only replaced, so every version may be shared and is encoded at most once;
one sequence numbers all writes of all kinds; a watcher gets every event after its version exactly once, in order, or is told
that they are gone.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

import msgspec

from inplace.sim.objects.deep import put_back
from inplace.sim.objects.errors import Json, expired
from inplace.sim.objects.kinds import Kind, Kinds

Key = tuple[str, str]


def encode(obj: Any) -> bytes:
    """As a client gets it."""
    return put_back(msgspec.json.encode(obj))


class StoredObject:
    """One version of one object. `facts` keeps what is derived from this version."""

    __slots__ = ("_bytes", "facts", "kind", "meta", "name", "namespace", "obj", "uid", "version")

    def __init__(self, kind: Kind, obj: Json, version: int) -> None:
        meta: Json = obj["metadata"]
        self.kind = kind
        self.obj = obj
        self.version = version
        self.meta = meta
        self.namespace = str(meta.get("namespace", ""))
        self.name = str(meta["name"])
        self.uid = str(meta["uid"])
        self.facts: Any = None
        self._bytes: bytes | None = None

    @property
    def encoded(self) -> bytes:
        if self._bytes is None:
            self._bytes = encode(self.obj)
        return self._bytes

    @property
    def key(self) -> Key:
        return self.namespace, self.name


class StoreEvent(NamedTuple):
    """`old` None: created. `new` None: deleted; `last` is then the final state, with the version of the deletion."""

    version: int
    old: StoredObject | None
    new: StoredObject | None
    last: StoredObject | None = None

    @property
    def item(self) -> StoredObject:
        return self.new or self.last or self.old  # type: ignore[return-value]


Listener = Callable[[StoreEvent], None]


class Store:
    """Keeps every object and its versions, as etcd does. `window` is how many events of a kind are kept for late watchers."""

    def __init__(self, window: int = 20_000) -> None:
        self.version = 1
        self._window = window
        self.kinds = Kinds()
        stored = self.kinds.stored
        self._objects: dict[Kind, dict[str, dict[str, StoredObject]]] = {kind: {} for kind in stored}
        self._owned: dict[str, dict[str, StoredObject]] = {}
        self._history: dict[Kind, list[StoreEvent]] = {kind: [] for kind in stored}
        self._oldest: dict[Kind, int] = dict.fromkeys(stored, 0)
        self._listeners: dict[Kind, list[Listener]] = {kind: [] for kind in stored}
        self._listeners_of_all: list[Listener] = []

    def add_kind(self, kind: Kind) -> None:
        """From now on there may be objects of it."""
        self.kinds.add(kind)
        self._objects[kind], self._history[kind] = {}, []
        self._oldest[kind] = self.version
        self._listeners[kind] = list(self._listeners_of_all)

    def drop_kind(self, kind: Kind) -> None:
        """Its objects go first. Who watches it still hears no more."""
        for item in list(self.all(kind)):
            self.remove(item)
        self.kinds.drop(kind)

    def get(self, kind: Kind, namespace: str, name: str) -> StoredObject | None:
        names = self._objects[kind].get(namespace)
        return names.get(name) if names else None

    def all(self, kind: Kind, namespace: str | None = None) -> Iterator[StoredObject]:
        """In no particular order. Do not write while iterating."""
        if namespace is not None:
            yield from self._objects[kind].get(namespace, {}).values()
            return
        for names in self._objects[kind].values():
            yield from names.values()

    def ordered(self, kind: Kind, namespace: str | None = None) -> list[StoredObject]:
        """By namespace and name, as the API server lists."""
        spaces = self._objects[kind]
        chosen = [namespace] if namespace is not None else sorted(spaces)
        return [names[name] for space in chosen if (names := spaces.get(space)) for name in sorted(names)]

    def owned_by(self, uid: str) -> list[StoredObject]:
        """Everything that names this uid as an owner."""
        return list(self._owned.get(uid, {}).values())

    def put(self, kind: Kind, obj: Json) -> StoredObject:
        """The object gets the next version."""
        self.version += 1
        item = StoredObject(kind, {**obj, "metadata": {**obj["metadata"], "resourceVersion": str(self.version)}}, self.version)
        names = self._objects[kind].setdefault(item.namespace, {})
        old = names.get(item.name)
        names[item.name] = item
        self._index(old, item)
        self._tell(kind, StoreEvent(self.version, old, item))
        return item

    def remove(self, item: StoredObject) -> StoredObject:
        """Its last state, with the version of the deletion."""
        self.version += 1
        del self._objects[item.kind][item.namespace][item.name]
        self._index(item, None)
        last = {**item.obj, "metadata": {**item.meta, "resourceVersion": str(self.version)}}
        gone = StoredObject(item.kind, last, self.version)
        self._tell(item.kind, StoreEvent(self.version, item, None, gone))
        return gone

    def listen(self, kinds: Iterable[Kind], listener: Listener) -> Callable[[], None]:
        """Calls `listener` in the middle of each write: it must only take a note. Returns what ends it."""
        chosen = tuple(kinds)
        for kind in chosen:
            self._listeners[kind].append(listener)

        def stop() -> None:
            for kind in chosen:
                self._listeners[kind].remove(listener)

        return stop

    def listen_to_all(self, listener: Listener) -> None:
        """As `listen`, for every kind that there is or will be."""
        self._listeners_of_all.append(listener)
        self.listen(self.kinds.stored, listener)

    def since(self, kind: Kind, version: int) -> list[StoreEvent]:
        """Everything after `version`. Raises `Refusal` where that is forgotten."""
        if version < self._oldest[kind]:
            raise expired(version, self._oldest[kind])
        history = self._history[kind]
        return history[bisect_right(history, version, key=lambda event: event.version) :]

    def knows(self, version: int) -> bool:
        """Whether a list as of this version can still be continued."""
        return version >= max(self._oldest.values())

    def forget(self) -> None:
        """As if the window had passed: every watch from an older version is answered with 410."""
        for kind, history in self._history.items():
            history.clear()
            self._oldest[kind] = self.version

    def _tell(self, kind: Kind, event: StoreEvent) -> None:
        history = self._history[kind]
        history.append(event)
        if len(history) > 2 * self._window:
            self._oldest[kind] = history[-self._window - 1].version
            del history[: -self._window]
        for listener in tuple(self._listeners[kind]):
            listener(event)

    def _index(self, old: StoredObject | None, new: StoredObject | None) -> None:
        before = old.meta.get("ownerReferences") if old else None
        after = new.meta.get("ownerReferences") if new else None
        if old is not None and before is not None and (new is None or before is not after):
            for owner in before:
                owned = self._owned.get(owner["uid"], {})
                owned.pop(old.uid, None)
                if not owned:
                    self._owned.pop(owner["uid"], None)
        if new is not None:
            for owner in after or ():
                self._owned.setdefault(owner["uid"], {})[new.uid] = new
