"""References of images, and when the answer of an API server still means the image that was asked for.

What no runtime could pull is told before a pod is touched, by the grammar that kubelets use (distribution/reference).

Docker Hub is written in many ways (`app:1`, `docker.io/library/app:1`); what a policy does to a name is one of two: it appends
the digest (Kyverno, sigstore's policy-controller), or puts a mirror in front of it.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

import msgspec

HUB = "docker.io"
_HUBS = (HUB, "index.docker.io", "registry-1.docker.io")

LONGEST = 1024
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/@+\[\]-]*\Z")
_MOVED_TAGS = ("latest", "main", "master", "stable", "edge", "nightly", "dev")
LONGEST_NAME = 255
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}


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
def parse_reference(text: str) -> Reference:
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


def is_valid_image(text: str) -> bool:
    """What may stand as an image in an object, pulled or not; only the shape, and a hard length limit. Whether a runtime could
    pull it says `image_problem`: a workload may well run, and be gone back to, what none could."""
    return len(text) <= LONGEST and _IMAGE.match(text) is not None


def is_mutable_tag(image: str) -> bool:
    """Whether the same string is commonly moved to other bytes."""
    found = parse_reference(image)
    return not found.digest and found.tag in _MOVED_TAGS


def image_problem(text: str) -> str:
    """Why no runtime could pull it, in words that follow the image; empty: as far as its syntax goes, one could."""
    if not text:
        return "is empty: write it like registry.example/app:1.5"
    if len(text) > LONGEST:
        return f"is longer than {LONGEST} characters"
    if not text.isascii() or not text.isprintable() or " " in text:
        return "holds characters that no image has"
    rest, at, digest = text.partition("@")
    if at and (problem := _digest_problem(digest)):
        return problem
    path, colon, tag = rest.rpartition(":")
    if not colon or "/" in tag:
        path, colon, tag = rest, "", ""
    if colon and not _TAG.fullmatch(tag):
        return f"has no valid tag after the colon ({tag!r}): at most 128 letters, digits, `_`, `.` and `-`"
    return _name_problem(path, text)


def _name_problem(path: str, text: str) -> str:
    first, slash, others = path.partition("/")
    is_host = bool(slash) and ("." in first or ":" in first or first == "localhost" or first != first.lower())
    registry, repository = (first, others) if is_host else ("", path)
    if registry and not _REGISTRY.fullmatch(registry):
        return f"has no valid registry before the first slash ({registry!r}): write HOST or HOST:PORT"
    if repository != repository.lower():
        meant = f"{registry}/{repository.lower()}" if registry else repository.lower()
        return f"has a repository that is not in lower case: did you mean {meant + text[len(path) :]}?"
    if not _REPOSITORY.fullmatch(repository):
        return (
            f"has no valid repository ({repository!r}): lower case letters and digits, with `.`, `_`, `-` and `/` between them"
        )
    if len(path) > LONGEST_NAME:
        return f"has a name of more than {LONGEST_NAME} characters"
    if len(text) == 64 and re.fullmatch("[a-f0-9]+", text):
        return "is the id of an image, which cannot be pulled: write REPOSITORY@sha256:ID"
    return ""


def _digest_problem(digest: str) -> str:
    algorithm, _, value = digest.partition(":")
    if algorithm not in _HEX_DIGITS:
        return f"has a digest of no kind that runtimes know ({digest!r}): write @sha256: and 64 hexadecimal digits"
    wanted = _HEX_DIGITS[algorithm]
    if not re.fullmatch(f"[a-f0-9]{{{wanted}}}", value):
        return f"has a digest that is not {wanted} hexadecimal digits in lower case after {algorithm}: ({value!r})"
    return ""


def same_image(one: str, other: str) -> bool:
    """Two ways to write the same reference."""
    return one == other or parse_reference(one) == parse_reference(other)


@lru_cache(maxsize=4096)
def accepts(asked: str, answered: str) -> bool:
    """Whether what was made of it is still what was asked for: the digest added, or another registry and path in front of the
    same name. A digest in place of the tag says nothing of the tag: that is believed of the same repository alone."""
    a, b = parse_reference(asked), parse_reference(answered)
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
