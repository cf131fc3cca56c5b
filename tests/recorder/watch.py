"""A list and a watch of one resource in one namespace, on the standard library alone."""

import http.client
import ssl
import threading
import time
import urllib.parse
from collections.abc import Callable
from contextlib import suppress

from tests.deep import loads
from tests.recorder.log import Event, Object, event


class Lost(Exception):
    """The API server no longer has the versions we missed."""


class Api:
    """GET requests to the API server of a test cluster."""

    def __init__(self, server: str, ca: str, token: str) -> None:
        self.address = urllib.parse.urlsplit(server)
        self.context = ssl.create_default_context(cafile=ca)
        self.headers = {"Authorization": f"Bearer {token}", "Accept": "application/json"}

    def open(self, path: str, **query: object) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        """A connection of its own with the response on it. Silence longer than a bookmark's interval is an error."""
        connection = http.client.HTTPSConnection(self.address.netloc, timeout=90, context=self.context)
        try:
            connection.request("GET", f"{path}?{urllib.parse.urlencode(query)}", headers=self.headers)
            response = connection.getresponse()
            if response.status == 410:
                raise Lost(path)
            if response.status != 200:
                raise ConnectionError(f"{path}: {response.status} {response.read(500)!r}")
        except BaseException:
            connection.close()
            raise
        return connection, response

    def get(self, path: str) -> Object:
        connection, response = self.open(path)
        try:
            found: Object = loads(response.read())
        finally:
            connection.close()
        return found


class Watch(threading.Thread):
    """Lists once, then hands every change to `add` until stopped, over broken connections too."""

    def __init__(self, api: Api, kind: str, path: str, add: Callable[[Event], None]) -> None:
        super().__init__(name=f"watch {path}", daemon=True)
        self.api, self.kind, self.path, self.add = api, kind, path, add
        self.lost: str | None = None
        self._stopped = threading.Event()
        self._connection: http.client.HTTPSConnection | None = None
        listed = api.get(path)
        self._rv = str(listed["metadata"]["resourceVersion"])
        for item in listed["items"]:
            add(event(kind, "ADDED", item, time.monotonic()))

    def run(self) -> None:
        while not self._stopped.is_set():
            try:
                self._stream()
            except Lost as error:
                self.lost = f"the watch of {error} missed versions"
                return
            except (OSError, http.client.HTTPException, ValueError, AttributeError):
                # Torn, or closed by stop(): go on from the last version after a moment.
                self._stopped.wait(0.2)

    def stop(self) -> None:
        self._stopped.set()
        if self._connection and (sock := self._connection.sock):
            with suppress(OSError):  # it may just have closed by itself
                sock.shutdown(2)
        self.join(10)

    def _stream(self) -> None:
        self._connection, response = self.api.open(
            self.path, watch=1, resourceVersion=self._rv, allowWatchBookmarks="true", timeoutSeconds=3600
        )
        try:
            while (line := response.readline()) and not self._stopped.is_set():
                self._take(loads(line))
        finally:
            self._connection.close()

    def _take(self, change: Object) -> None:
        if change["type"] == "ERROR":
            if change["object"].get("code") == 410:
                raise Lost(self.path)
            raise ConnectionError(str(change["object"]))
        self._rv = change["object"]["metadata"]["resourceVersion"]
        if change["type"] != "BOOKMARK":
            self.add(event(self.kind, change["type"], change["object"], time.monotonic()))
