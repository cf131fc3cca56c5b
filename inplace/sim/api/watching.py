"""Lists and watches over the store: selectors, pages, bookmarks, and the lines that a watch sends."""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass

from inplace.sim.clock import EventLoop, Timer
from inplace.sim.objects.errors import Json, StatusError, bad_request
from inplace.sim.objects.kinds import Kind
from inplace.sim.objects.selectors import field_test, label_test
from inplace.sim.objects.store import Store, StoredObject, StoreEvent, encode

BOOKMARK_SECONDS = 57.0
PAGES_KEPT = 100
CONTINUE_EXPIRED = (
    "The provided continue parameter is too old to display a consistent list result. You can start a new list without the "
    "continue parameter, or use the continue token in this response to retrieve the remainder of the results. Continuing with "
    "the provided token results in an inconsistent list. Objects that were created, modified, or deleted between the time the "
    "first chunk was returned and now may show up in the list."
)

Line = Callable[[str, StoredObject], bytes]
Sink = Callable[[bytes | None], None]


@dataclass(frozen=True)
class ListSelector:
    """Which objects. Raises `Refusal` where a selector cannot be read."""

    kind: Kind
    namespace: str | None
    labels: str = ""
    fields: str = ""

    def test(self) -> Callable[[StoredObject], bool]:
        has_labels, has_fields = label_test(self.labels), field_test(self.kind, self.fields) if self.fields else None
        namespace, any_labels = self.namespace, not self.labels

        def matches(item: StoredObject) -> bool:
            meta = item.meta
            return (
                (namespace is None or meta.get("namespace") == namespace)
                and (any_labels or has_labels(meta.get("labels") or {}))
                and (has_fields is None or has_fields(item.obj))
            )

        return matches


@dataclass(frozen=True)
class Page:
    items: list[StoredObject]
    version: int
    token: str
    remaining: int


class Lister:
    """Pages of one list all show the same instant, since what a page leaves is kept with its token."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._rest: dict[str, tuple[int, list[StoredObject]]] = {}
        self._made = 0

    def page(self, chosen: ListSelector, limit: int, token: str) -> Page:
        if token:
            if not token.startswith("c"):
                raise bad_request("invalid continue token: continue key is not valid")
            found = self._rest.get(token)
            if found is None or not self._store.knows(found[0]):
                raise StatusError(410, "Expired", CONTINUE_EXPIRED)
            version, items = found
        else:
            version, test = self._store.version, chosen.test()
            items = [item for item in self._store.ordered(chosen.kind, chosen.namespace) if test(item)]
        if not 0 < limit < len(items):
            return Page(items, version, "", 0)
        return Page(items[:limit], version, self._keep(version, items[limit:]), len(items) - limit)

    def _keep(self, version: int, rest: list[StoredObject]) -> str:
        self._made += 1
        token = "c" + base64.urlsafe_b64encode(f'{{"v":"meta.k8s.io/v1","rv":{version},"n":{self._made}}}'.encode()).decode()
        self._rest[token] = (version, rest)
        if len(self._rest) > PAGES_KEPT:
            del self._rest[next(iter(self._rest))]
        return token


def plain_line(what: str, item: StoredObject) -> bytes:
    return b'{"type":"%s","object":%s}\n' % (what.encode(), item.encoded)


def bookmark_line(kind: Kind, version: int, is_initial: bool = False) -> bytes:
    """As the real server sends it: nulls where objects must have values."""
    meta: Json = {"resourceVersion": str(version)}
    if is_initial:
        meta["annotations"] = {"k8s.io/initial-events-end": "true"}
    obj: Json = {"kind": kind.kind, "apiVersion": kind.api_version, "metadata": meta}
    if kind.plural == "pods":
        obj |= {"spec": {"containers": None}, "status": {}}
    return encode({"type": "BOOKMARK", "object": obj}) + b"\n"


class Watch:
    """Sends lines to `sink`, and None at the end. A sink must only take a note: it is called in the middle of writes."""

    def __init__(self, store: Store, scheduler: EventLoop, chosen: ListSelector, sink: Sink, line: Line = plain_line) -> None:
        self._store = store
        self._scheduler = scheduler
        self._chosen = chosen
        self._test = chosen.test()
        self._sink = sink
        self._line = line
        self._stop: Callable[[], None] = lambda: None
        self._timers: list[Timer] = []
        self.is_open = False

    def start(self, version: int | None, bookmarks: bool, timeout_seconds: float | None) -> None:
        """`version` None: what is there now comes first. A version that is forgotten gives an ERROR line and the end."""
        self.is_open = True
        if version is None:
            for item in self._store.ordered(self._chosen.kind, self._chosen.namespace):
                if self._test(item):
                    self._sink(self._line("ADDED", item))
            if bookmarks:
                self._sink(bookmark_line(self._chosen.kind, self._store.version, is_initial=True))
        else:
            try:
                missed = self._store.since(self._chosen.kind, version)
            except StatusError as error:
                self._sink(encode({"type": "ERROR", "object": error.status()}) + b"\n")
                self.close()
                return
            for event in missed:
                self._saw(event)
        self._stop = self._store.listen((self._chosen.kind,), self._saw)
        if bookmarks:
            self._timers.append(self._scheduler.after(BOOKMARK_SECONDS, self._bookmark))
        if timeout_seconds is not None:
            self._timers.append(self._scheduler.after(timeout_seconds, self.close))

    def close(self) -> None:
        if self.is_open:
            self.is_open = False
            self._stop()
            for timer in self._timers:
                timer.cancel()
            self._sink(None)

    def _saw(self, event: StoreEvent) -> None:
        test = self._test
        was = event.old is not None and test(event.old)
        now = event.new is not None and test(event.new)
        if now:
            assert event.new is not None
            self._sink(self._line("MODIFIED" if was else "ADDED", event.new))
        elif was:
            assert event.old is not None
            self._sink(self._line("DELETED", event.last or _at(event.old, event.version)))

    def _bookmark(self) -> None:
        self._sink(bookmark_line(self._chosen.kind, self._store.version))
        self._timers[0] = self._scheduler.after(BOOKMARK_SECONDS, self._bookmark)


def _at(old: StoredObject, version: int) -> StoredObject:
    """An object that no longer matches: its state before, with the version of the change."""
    return StoredObject(old.kind, {**old.obj, "metadata": {**old.meta, "resourceVersion": str(version)}}, version)
