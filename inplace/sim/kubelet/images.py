"""Simulated images: what an image string stands for. The tag decides, so that any repository works.

`crash` exits with 3 at once, `mute` runs and never answers, `nocommand` says nothing that could be run, and `badcommand` what
is not there; `missing` and `none` are not in the registry; a `b` after a number (`2b`) is another tag of the same digest.
Everything else boots and answers. `Catalog.define` says more about an image by name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

_REFERENCE = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


NO_COMMAND = 'failed to generate container "app" spec: failed to generate spec: no command specified'
BAD_COMMAND = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: unable to"
    ' start container process: exec: "/nope": stat /nope: no such file or directory: unknown'
)


@dataclass(frozen=True)
class Image:
    """`unreachable`: what a pull ends with instead, such as that the registry is down. `create_error`: the runtime makes no
    container of it; `run_error`: makes one, and cannot start it. `boot_seconds` None: as env BOOT says. `dies_after` None: it
    runs on. `stops_after`: seconds from SIGTERM to exit."""

    repository: str
    tag: str
    digest: str
    exists: bool = True
    unreachable: str = ""
    create_error: str = ""
    run_error: str = ""
    boot_seconds: float | None = None
    is_mute: bool = False
    dies_after: float | None = None
    exit_code: int = 0
    stops_after: float = 0.03
    pull_seconds: float = 0.15

    @property
    def image_id(self) -> str:
        return f"{self.repository}@sha256:{self.digest}"


class Catalog:
    """The registry. The same string always gives the same image."""

    def __init__(self) -> None:
        self._known: dict[str, Image] = {}

    def define(self, name: str, **more: object) -> Image:
        """Says more about an image: any field of `Image`."""
        self._known[name] = replace(self.find(name), **more)  # type: ignore[arg-type]
        return self._known[name]

    def find(self, name: str) -> Image:
        if name not in self._known:
            self._known[name] = _read(name)
        return self._known[name]


def is_valid(name: str) -> bool:
    return _REFERENCE.fullmatch(name) is not None


def _read(name: str) -> Image:
    bare, _, digest = name.partition("@sha256:")
    path, colon, tag = bare.rpartition(":")
    if not colon or "/" in tag:
        path, tag = bare, "latest"
    same = tag[:-1] if re.fullmatch(r"[\d.]+b", tag) else tag
    made = digest or hashlib.sha256(f"{path}:{same}".encode()).hexdigest()
    image = Image(repository=path, tag=tag, digest=made)
    match tag:
        case "crash":
            return replace(image, dies_after=0.03, exit_code=3)
        case "mute":
            return replace(image, is_mute=True)
        case "nocommand":
            return replace(image, create_error=NO_COMMAND)
        case "badcommand":
            return replace(image, run_error=BAD_COMMAND)
        case "missing" | "none":
            return replace(image, exists=False)
    return image
