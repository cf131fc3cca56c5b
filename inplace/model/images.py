"""References of images, and when the answer of an API server still means the image that was asked for.

Docker Hub is written in many ways (`app:1`, `docker.io/library/app:1`); what a policy does to a name is one of two: it appends
the digest (Kyverno, sigstore's policy-controller), or puts a mirror in front of it.
"""

from __future__ import annotations

from collections.abc import Collection
from functools import lru_cache

import msgspec

HUB = "docker.io"
_HUBS = (HUB, "index.docker.io", "registry-1.docker.io")


class Reference(msgspec.Struct, frozen=True):
    """`tag` is empty only where a digest alone says which image it is."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The last part of the path: what a mirror leaves as it is."""
        return self.repository.rpartition("/")[2]


@lru_cache(maxsize=4096)
def reference(text: str) -> Reference:
    """Of any text: what is no reference is a name that no other is the same as."""
    rest, _, digest = text.partition("@")
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, tag = rest, ""
    first, slash, others = path.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost")
    registry, repository = (first, others) if is_host else (HUB, path)
    if registry in _HUBS:
        registry, repository = HUB, repository if "/" in repository else f"library/{repository}"
    return Reference(registry, repository, tag or ("" if digest else "latest"), digest)


def same_image(one: str, other: str) -> bool:
    """Two ways to write the same reference."""
    return one == other or reference(one) == reference(other)


@lru_cache(maxsize=4096)
def accepts(asked: str, answered: str) -> bool:
    """Whether what was made of it is still what was asked for: the digest added, or another registry and path in front of the
    same name. A digest in place of the tag says nothing of the tag: that is believed of the same repository alone."""
    a, b = reference(asked), reference(answered)
    if a.name != b.name:
        return False
    if a.digest:
        return a.digest == b.digest
    if b.tag:
        return a.tag == b.tag
    return (a.registry, a.repository) == (b.registry, b.repository)


def stands_for(image: str, asked: str, others: Collection[str]) -> bool:
    """Whether an image that was found is the one that is asked for, under the name that admission has given it. What could be
    one of the others, under such a name, is not: from `reg/app:1` to `mirror/app:1` is a change."""
    if image == asked:
        return True
    return accepts(asked, image) and not any(other != asked and accepts(other, image) for other in others)
