"""The objects of one kind that we know, by uid, with our own writes visible at once.

Always holds: an object never goes back to an older resourceVersion, whichever of the watch, a list and the answers to our own
writes comes first; a deleted object stays deleted; at most one object has a name, and one recreated under the same name is
another object (the old one is deleted first). An object that changes into something unreadable stays as it was last known, and
is listed in `unreadable`: nothing may take it for deleted. Listeners are called in that order, under the cache's lock: they
must be short and must not wait. Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, TypeVar

from inplace.kube.codec import Unreadable
from inplace.kube.paging import ListResult
from inplace.model.objects.meta import HasMetadata, ObjectMeta, resource_version_number

T = TypeVar("T", bound=HasMetadata)

Listener = Callable[[T | None, T | None], None]

MAX_TOMBSTONES = 10_000


class Cache(Generic[T]):
    """Fed by a `Reflector` and by `upsert`. `stand_in`: makes what stands for an unreadable object, from its metadata, from the
    reason, and from its last readable state.

    It has more methods than other classes because it is client-go's Store and its event source in one, under one lock.
    """

    def __init__(self, stand_in: Callable[[ObjectMeta, str, T | None], T] | None = None) -> None:
        self._stand_in = stand_in
        self._lock = threading.RLock()
        self._objects: dict[str, T] = {}
        self._is_shared = False
        self._uids: dict[tuple[str, str], str] = {}
        self._tombstones: dict[str, int] = {}
        self._unreadable: dict[str, Unreadable] = {}
        self._listeners: tuple[Listener[T], ...] = ()
        self._resource_version = 0
        self._has_synced = False
        self._version = 0

    @property
    def has_synced(self) -> bool:
        """Whether a complete list has been taken in, now or earlier."""
        return self._has_synced

    @property
    def version(self) -> int:
        """Grows with every change of an object."""
        return self._version

    @property
    def resource_version(self) -> int:
        """The resourceVersion up to which the server has reported everything (lists, watch events and bookmarks; not our own
        writes)."""
        return self._resource_version

    def snapshot(self) -> Mapping[str, T]:
        """All objects by uid, now; never changes. Costs a copy only at the next change."""
        with self._lock:
            self._is_shared = True
            return MappingProxyType(self._objects)

    def get(self, uid: str) -> T | None:
        with self._lock:
            return self._objects.get(uid)

    def get_by_name(self, namespace: str, name: str) -> T | None:
        with self._lock:
            uid = self._uids.get((namespace, name))
            return self._objects.get(uid) if uid else None

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Objects that exist, and of which nothing is known, or only an earlier state."""
        with self._lock:
            return tuple(self._unreadable.values()) if self._unreadable else ()

    def subscribe(self, listener: Listener[T]) -> Callable[[], None]:
        """Calls `listener(old, new)` for each change: old None is an addition, new None a deletion. Returns what ends the
        subscription."""
        with self._lock:
            self._listeners += (listener,)

        def unsubscribe() -> None:
            with self._lock:
                self._listeners = tuple(other for other in self._listeners if other is not listener)

        return unsubscribe

    def subscribe_with_replay(self, listener: Listener[T]) -> Callable[[], None]:
        """As `subscribe`, but reports the existing objects first, as additions: nothing is missed, nothing reported twice."""
        with self._lock:
            for obj in self._objects.values():
                listener(None, obj)
            return self.subscribe(listener)

    def upsert(self, obj: T) -> None:
        """Takes in the answer to one of our own writes. Ignored if something newer, or the deletion, is known already."""
        with self._lock:
            self._put(obj)

    def apply(self, obj: T) -> None:
        """Takes in an addition or a change from the watch."""
        with self._lock:
            self._put(obj)
            self._advance(obj.metadata.resource_version)

    def mark_unreadable(self, obj: Unreadable) -> bool:
        """Takes in from the watch that an object exists and cannot be read. Returns whether that is news."""
        with self._lock:
            self._advance(obj.metadata.resource_version)
            return self._mark_unreadable(obj)

    def delete(self, obj: HasMetadata) -> None:
        """Takes in from the watch that an object is deleted, or no longer selected. `obj` is its last state, with the
        resourceVersion of its end."""
        with self._lock:
            version = resource_version_number(obj.metadata.resource_version)
            known = self._objects.get(obj.metadata.uid)
            if known is None or resource_version_number(known.metadata.resource_version) <= version:
                self._drop(obj.metadata.uid, version)
            self._advance(obj.metadata.resource_version)

    def bookmark(self, resource_version: str) -> None:
        """Takes in from the watch that nothing else has happened up to here."""
        with self._lock:
            self._advance(resource_version)

    def replace(self, listing: ListResult[T]) -> tuple[Unreadable, ...]:
        """Takes in a complete list: what it lacks is deleted, unless something newer is known. Returns what has become
        unreadable."""
        with self._lock:
            version = resource_version_number(listing.resource_version)
            # A quorum read from the past: the server was restored from a backup, so only the list counts.
            is_restored = version < self._resource_version
            if is_restored:
                self._tombstones.clear()
            listed = {obj.metadata.uid for obj in listing.items} | {lost.metadata.uid for lost in listing.unreadable}
            for uid, known in list(self._objects.items()):
                if uid not in listed and (is_restored or resource_version_number(known.metadata.resource_version) <= version):
                    self._drop(uid, version)
            for obj in listing.items:
                self._put(obj, is_forced=is_restored)
            self._unreadable = {uid: lost for uid, lost in self._unreadable.items() if uid in listed}
            news = tuple(lost for lost in listing.unreadable if self._mark_unreadable(lost))
            self._resource_version = version
            self._has_synced = True
            return news

    def _mark_unreadable(self, lost: Unreadable) -> bool:
        uid, version = lost.metadata.uid, resource_version_number(lost.metadata.resource_version)
        if not uid:
            return True  # it cannot be recognized: it is reported each time
        known, before = self._objects.get(uid), self._unreadable.get(uid)
        is_known = known is not None and resource_version_number(known.metadata.resource_version) >= version
        if is_known or self._tombstones.get(uid, -1) >= version:
            return False
        if self._stand_in is not None:
            self._put(self._stand_in(lost.metadata, lost.why, known))
        self._unreadable[uid] = lost
        self._version += 1
        return before is None or before.why != lost.why

    def _put(self, obj: T, *, is_forced: bool = False) -> None:
        uid, version = obj.metadata.uid, resource_version_number(obj.metadata.resource_version)
        name = (obj.metadata.namespace, obj.metadata.name)
        old = self._objects.get(uid)
        namesake = self._objects.get(self._uids.get(name, ""))
        known = (old, namesake) if not is_forced else ()
        if any(other is not None and resource_version_number(other.metadata.resource_version) >= version for other in known):
            return
        if self._tombstones.get(uid, -1) >= version:
            return
        if namesake is not None and namesake is not old:
            self._drop(namesake.metadata.uid, version)
        self._tombstones.pop(uid, None)
        self._unreadable.pop(uid, None)
        self._writable()[uid] = obj
        self._uids[name] = uid
        self._notify(old, obj)

    def _drop(self, uid: str, version: int) -> None:
        self._tombstones.pop(uid, None)
        self._tombstones[uid] = version
        if len(self._tombstones) > MAX_TOMBSTONES:
            del self._tombstones[next(iter(self._tombstones))]
        self._unreadable.pop(uid, None)
        if uid not in self._objects:
            return
        old = self._writable().pop(uid)
        name = (old.metadata.namespace, old.metadata.name)
        if self._uids.get(name) == uid:
            del self._uids[name]
        self._notify(old, None)

    def _writable(self) -> dict[str, T]:
        if self._is_shared:
            self._objects = dict(self._objects)
            self._is_shared = False
        return self._objects

    def _advance(self, resource_version: str) -> None:
        self._resource_version = max(self._resource_version, resource_version_number(resource_version))

    def _notify(self, old: T | None, new: T | None) -> None:
        self._version += 1
        for listener in self._listeners:
            listener(old, new)
