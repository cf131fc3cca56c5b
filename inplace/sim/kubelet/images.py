"""Simulated images: what an image string stands for. The tag decides, so that any repository works.

`crash` exits with 3 at once, `mute` runs and never answers, `missing` and `none` are not in the registry; a `b` after a
number (`2b`) is another tag of the same digest. Everything else boots and answers. `Catalog.define` says more about an
image by name.
"""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass, replace

_REFERENCE = re.compile(
    r"(?:[a-zA-Z0-9.-]+(?::\d+)?/)?[a-z0-9]+(?:[._/-]+[a-z0-9]+)*(?::[\w][\w.-]{0,127})?(?:@sha256:[0-9a-f]{64})?"
)


@dataclass(frozen=True)
class Image:
    """`boot_seconds` None: as env BOOT says. `dies_after` None: it runs on. `stops_after`: seconds from SIGTERM to exit."""

    repository: str
    tag: str
    digest: str
    exists: bool = True
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
        case "missing" | "none":
            return replace(image, exists=False)
    return image
