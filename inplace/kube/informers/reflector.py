"""Keeps a `Cache` true to the API server: list, watch, and again. A state machine without I/O, threads or sleeping.

It returns the next command (`List`, `Watch`, `Wait`) and is fed the result; `reflector_thread` runs it on a thread, a
simulation on one thread and virtual time. Always holds: after a lost connection, a stall or a line that cannot be read it
resumes at the last resourceVersion; after a 410 or an ERROR in the stream it lists again and takes the difference by uid, so
nothing is deleted falsely. Whatever goes wrong, requests come no faster than the back-off (0.8 to 30 s, doubling, with jitter).
The last error can be read in `error` until it is over, so that a person learns why nothing moves; after a sleep of the machine
it can be made to list again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

import msgspec

from inplace.kube.codec import Bookmark, Deleted, Modified, Obscured, Unreadable, WatchError, decode_event, error_from_response
from inplace.kube.errors import ApiError, Gone
from inplace.kube.informers.cache import Cache
from inplace.kube.paging import EVERYTHING, ListOptions, Pager
from inplace.kube.protocols import Clock, Request, Response
from inplace.kube.resources import Resource
from inplace.model.objects.meta import HasMetadata

T = TypeVar("T", bound=HasMetadata)

FIRST_BACKOFF_SECONDS = 0.8
LONGEST_BACKOFF_SECONDS = 30.0
STALL_SECONDS = 70.0
"""A watch that is silent for this long is taken for dead: the server sends a bookmark about every 60 s."""
MIN_HEALTHY_WATCH_SECONDS = 1.0
"""A watch that lived this long did not fail, however it ended."""


class List(msgspec.Struct, frozen=True):
    """Send it; then call `on_listed` or `on_error`."""

    request: Request


class Watch(msgspec.Struct, frozen=True):
    """Open it; then call `on_opened` with the answer, `on_line` for each line, and at the end `on_closed` or `on_error`."""

    request: Request
    read_timeout_seconds: float


class Wait(msgspec.Struct, frozen=True):
    """Ask for the next command after this long."""

    seconds: float


Command = List | Watch | Wait


class Reflector(Generic[T]):
    """One kind of object in one scope. Not thread-safe: driven by one thread; `error` and `has_synced` may be read, and
    `relist` called, on any.

    `on_state` is called when `error`, `has_synced` or `cache.unreadable` has changed; `on_unreadable` with each object that
    cannot be read, once for each reason. The class is long because it is one state machine, with a method for each answer that
    LIST and WATCH may get.
    """

    def __init__(
        self,
        resource: Resource[T],
        cache: Cache[T],
        clock: Clock,
        *,
        scope: ListOptions = EVERYTHING,
        page: int = 500,
        on_state: Callable[[], None] | None = None,
        on_unreadable: Callable[[Unreadable], None] | None = None,
    ) -> None:
        self.resource = resource
        self.cache = cache
        self.scope = scope
        self.error: ApiError | None = None
        self._clock = clock
        self._page = page
        self._on_unreadable = on_unreadable
        self.on_state = on_state
        self._pager: Pager[T] | None = Pager(resource, scope, page)
        self._resource_version = ""
        self._failures = 0
        self._was_gone = False
        self._wait_seconds = 0.0
        self._opened_at: float | None = None
        self._is_silent = True
        self._stalls = 0
        self._relists = self._relists_started = self._relists_done = 0
        """How often `relist` was called: by now, when the list on its way was started, and at the last complete list."""
        self.hang_up: Callable[[], None] = lambda: None
        """Closes an open watch; set by what drives this reflector."""

    @property
    def has_synced(self) -> bool:
        """Whether a complete list has been taken in since `relist` was last called."""
        return self.cache.has_synced and self._relists_done == self._relists

    @property
    def is_behind(self) -> bool:
        """Whether `relist` was called and the list has not begun: then a watch is of no use."""
        return self._relists_started != self._relists

    def relist(self) -> None:
        """What is cached may be stale, and the connection dead: the next command is a list."""
        self._relists += 1
        self.hang_up()

    def next_command(self) -> Command:
        """What to do now. A `Wait` is returned once."""
        if self._wait_seconds > 0:
            seconds, self._wait_seconds = self._wait_seconds, 0.0
            return Wait(seconds)
        if self.is_behind:
            self._relists_started = self._relists
            self._pager = Pager(self.resource, self.scope, self._page)
        if self._pager is not None:
            return List(self._pager.request())
        return Watch(self._watch_request(), STALL_SECONDS)

    def on_listed(self, response: Response) -> None:
        """Call it with the answer to a `List`, of any status."""
        assert self._pager is not None
        try:
            listing = self._pager.on_page(response)
        except ApiError as error:
            self._back_off(error)
            return
        if listing is None:
            return
        self._pager = None
        self._resource_version = listing.resource_version
        was_synced = self.has_synced
        for lost in self.cache.replace(listing):
            self._report_unreadable(lost)
        self._relists_done = self._relists_started
        self._set_error(None, is_news=self.has_synced != was_synced)

    def on_opened(self, response: Response) -> bool:
        """The answer to a `Watch`; its body matters only for refusals. False: drop it."""
        self._opened_at = self._clock.monotonic()
        self._is_silent = True
        error = error_from_response(self._watch_request(), response)
        match error:
            case None:
                self._set_error(None)
                return True
            case Gone():
                self._list_again(error)
            case _:
                self._end_watch()
                self._back_off(error)
        return False

    def on_line(self, line: bytes) -> bool:
        """One line of a `Watch`. False: drop the connection; the machine has gone on already."""
        try:
            event = decode_event(line, self.resource.type)
        except ApiError as error:
            self._end_watch()
            self._back_off(error)
            return False
        self._is_silent = False
        self._stalls = 0
        match event:
            case Modified(obj):
                self.cache.apply(obj)
                self._resource_version = obj.metadata.resource_version
            case Obscured(lost):
                if self.cache.mark_unreadable(lost):
                    self._report_unreadable(lost)
                self._resource_version = lost.metadata.resource_version or self._resource_version
            case Deleted(gone):
                self.cache.delete(gone)
                self._resource_version = gone.metadata.resource_version or self._resource_version
            case Bookmark(resource_version):
                self.cache.bookmark(resource_version)
                self._resource_version = resource_version
            case WatchError(refusal):
                self._list_again(refusal)
                return False
        return True

    def on_closed(self) -> None:
        """The server has ended the `Watch`, as it does every few minutes."""
        if not self._end_watch():
            self._back_off(None)

    def on_error(self, error: ApiError) -> None:
        """A `List` or a `Watch` came to nothing, or a `Watch` broke."""
        is_stalled = self._is_stalled()
        if is_stalled and self._stalls > 0:
            # Twice not even a bookmark: a server restored from a backup may have yet to reach our resourceVersion.
            self._list_again(error)
            return
        self._stalls += is_stalled
        self._end_watch()
        self._back_off(None if is_stalled else error)

    def _watch_request(self) -> Request:
        timeout_seconds = 240 + int(240 * self._clock.jitter())
        query = (
            *self.scope.query(),
            ("watch", "1"),
            ("allowWatchBookmarks", "true"),
            ("resourceVersion", self._resource_version),
            ("timeoutSeconds", str(timeout_seconds)),
        )
        return Request(method="GET", path=self.resource.path(self.scope.namespace), query=query)

    def _is_stalled(self) -> bool:
        is_old = self._opened_at is not None and self._clock.monotonic() - self._opened_at >= STALL_SECONDS
        return is_old and self._is_silent

    def _end_watch(self) -> bool:
        """Returns whether the watch lived long enough not to count as a failure, which also clears earlier failures."""
        opened_at, self._opened_at = self._opened_at, None
        is_sound = opened_at is not None and self._clock.monotonic() - opened_at >= MIN_HEALTHY_WATCH_SECONDS
        if is_sound:
            self._failures = 0
            self._was_gone = False
        return is_sound

    def _list_again(self, error: ApiError) -> None:
        """The first 410 is normal (after an outage, say): the list comes at once. Anything else waits."""
        self._end_watch()
        self._pager = Pager(self.resource, self.scope, self._page)
        self._stalls = 0
        if isinstance(error, Gone) and not self._was_gone:
            self._was_gone = True
        else:
            self._back_off(error)

    def _back_off(self, error: ApiError | None) -> None:
        """Doubles the wait with each failure in a row. `error` is for people."""
        doubled = FIRST_BACKOFF_SECONDS * 2.0 ** min(self._failures, 10)
        self._failures += 1
        retry_after = error.retry_after_seconds if error and error.retry_after_seconds else 0.0
        self._wait_seconds = max(retry_after, min(LONGEST_BACKOFF_SECONDS / 2, doubled) * (1 + self._clock.jitter()))
        if error is not None:
            self._set_error(error)

    def _report_unreadable(self, lost: Unreadable) -> None:
        if self._on_unreadable:
            self._on_unreadable(lost)
        if self.on_state:
            self.on_state()

    def _set_error(self, error: ApiError | None, *, is_news: bool = False) -> None:
        is_news = is_news or str(error) != str(self.error)
        self.error = error
        if is_news and self.on_state:
            self.on_state()


def all_synced(reflectors: Iterable[Reflector[Any]]) -> bool:
    """Whether every cache has been listed completely since `relist` was last called on it."""
    return all(reflector.has_synced for reflector in reflectors)


def relist_all(reflectors: Iterable[Reflector[Any]]) -> None:
    """Makes every cache unsynced until it has been listed anew."""
    for reflector in reflectors:
        reflector.relist()


def first_error(reflectors: Iterable[Reflector[Any]]) -> ApiError | None:
    """The last error of a watch that has not recovered."""
    return next((reflector.error for reflector in reflectors if reflector.error is not None), None)
