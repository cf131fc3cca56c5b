"""A view of a shared cache: the objects of one kind that one run sees, kept as the whole cache is.

Always holds: the view has what the cache has and the filter wants, with the changes in the same order; an object that changes
so that the filter no longer wants it is reported as deleted. Writes go to the whole cache, so that everybody sees them.
Thread-safe.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Generic, Protocol, TypeVar

from inplace.kube.codec import Unreadable
from inplace.kube.informers.cache import Cache, Listener
from inplace.model.objects.meta import HasMetadata

T = TypeVar("T", bound=HasMetadata)


class CacheView(Protocol[T]):
    """What a run may do with a cache, whether that is its own or its part of a shared one."""

    def snapshot(self) -> Mapping[str, T]: ...

    def get_by_name(self, namespace: str, name: str) -> T | None: ...

    @property
    def unreadable(self) -> tuple[Unreadable, ...]: ...

    def upsert(self, obj: T) -> None: ...

    def delete(self, obj: T) -> None: ...


class FilteredCache(Generic[T]):
    """`wanted` must depend on the object's metadata alone. `listener` gets the existing objects first, then each change, under
    the cache's lock. Call `close` when it is not needed any more."""

    def __init__(self, cache: Cache[T], wanted: Callable[[HasMetadata], bool], listener: Listener[T]) -> None:
        self._cache = cache
        self._wanted = wanted
        self._listener = listener
        self._lock = threading.Lock()
        self._objects: dict[str, T] = {}
        self._is_shared = False
        self._names: dict[tuple[str, str], str] = {}
        self.close = cache.subscribe_with_replay(self._on_change)
        """Ends it: the listener is not called any more."""

    def snapshot(self) -> Mapping[str, T]:
        """Never changes; costs a copy only at the next change."""
        with self._lock:
            self._is_shared = True
            return MappingProxyType(self._objects)

    def get_by_name(self, namespace: str, name: str) -> T | None:
        with self._lock:
            return self._objects.get(self._names.get((namespace, name), ""))

    @property
    def unreadable(self) -> tuple[Unreadable, ...]:
        """Those that the filter wants by their metadata."""
        return tuple(lost for lost in self._cache.unreadable if self._wanted(lost))

    def upsert(self, obj: T) -> None:
        self._cache.upsert(obj)

    def delete(self, obj: T) -> None:
        self._cache.delete(obj)

    def _on_change(self, old: T | None, new: T | None) -> None:
        with self._lock:
            before = self._objects.get(old.metadata.uid) if old is not None else None
            after = new if new is not None and self._wanted(new) else None
            self._replace(before, after)
        if before is not None or after is not None:
            self._listener(before, after)

    def _replace(self, before: T | None, after: T | None) -> None:
        if self._is_shared:
            self._objects, self._is_shared = dict(self._objects), False
        if before is not None:
            del self._objects[before.metadata.uid]
            self._names.pop(_name(before), None)
        if after is not None:
            self._objects[after.metadata.uid] = after
            self._names[_name(after)] = after.metadata.uid


def _name(obj: HasMetadata) -> tuple[str, str]:
    return obj.metadata.namespace, obj.metadata.name
