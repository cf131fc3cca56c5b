"""Lists in pages, as a machine without I/O: it says which page to ask for and is fed the answers.

Always a quorum read (no resourceVersion parameter), so a list is never older than anything seen before it was sent. A
continue token that has expired (410) starts the list over; after two such restarts the list is asked for in one piece, which
always ends.
"""

from __future__ import annotations

from typing import Generic, TypeVar

import msgspec

from inplace.kube.codec import Unreadable, decode_page, error_from_response
from inplace.kube.errors import ApiError, Gone
from inplace.kube.protocols import Request, Response
from inplace.kube.resources import Resource
from inplace.model.objects.meta import HasMetadata

T = TypeVar("T", bound=HasMetadata)

PAGED_TRIES = 3


class ListOptions(msgspec.Struct, frozen=True, kw_only=True):
    """Which objects of a kind. Selectors are in the form of the query parameters; `namespace` None means all."""

    namespace: str | None = None
    label_selector: str = ""
    field_selector: str = ""

    def query(self) -> tuple[tuple[str, str], ...]:
        pairs = (("labelSelector", self.label_selector), ("fieldSelector", self.field_selector))
        return tuple(pair for pair in pairs if pair[1])


EVERYTHING = ListOptions()


class ListResult(msgspec.Struct, Generic[T], frozen=True):
    """A consistent list: all readable items as of `resource_version`, and those that cannot be read."""

    items: tuple[T, ...]
    resource_version: str
    unreadable: tuple[Unreadable, ...] = ()


class Pager(Generic[T]):
    """Send `request` and pass the answer to `on_page` until that returns the listing."""

    def __init__(self, resource: Resource[T], scope: ListOptions, page: int = 500) -> None:
        self._resource = resource
        self._scope = scope
        self._page = page
        self._tries = 1
        self._items: list[T] = []
        self._unreadable: list[Unreadable] = []
        self._continue = ""

    def request(self) -> Request:
        query = self._scope.query()
        if self._tries <= PAGED_TRIES:
            query += (("limit", str(self._page)),)
        if self._continue:
            query += (("continue", self._continue),)
        return Request(method="GET", path=self._resource.path(self._scope.namespace), query=query)

    def on_page(self, response: Response) -> ListResult[T] | None:
        """None while there is more to ask. Raises `ApiError` for a refusal; the same page may then be asked again."""
        error = error_from_response(self.request(), response)
        if error is not None:
            self.on_error(error)
            return None
        page = decode_page(response.body, self._resource.type)
        self._items += page.items
        self._unreadable += page.unreadable
        self._continue = page.metadata.continue_token
        if self._continue:
            return None
        return ListResult(tuple(self._items), page.metadata.resource_version, tuple(self._unreadable))

    def on_error(self, error: ApiError) -> None:
        """An expired continue token starts the list over; anything else is raised."""
        if not (isinstance(error, Gone) and self._continue):
            raise error
        self._tries += 1
        self._items = []
        self._unreadable = []
        self._continue = ""
