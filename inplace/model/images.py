"""Parses image references, and decides whether an image that admission rewrote still means the requested one.

References that no runtime could pull are refused before a pod is touched, by the grammar of kubelets (distribution/reference).

An image on Docker Hub can be written in many ways (`app:1`, `docker.io/library/app:1`). An admission policy rewrites a
reference in one of two ways: it appends the digest (Kyverno, sigstore's policy-controller), or it substitutes a mirror's
registry.
"""

from __future__ import annotations

import re
from collections.abc import Collection
from functools import lru_cache

import msgspec

HUB = "docker.io"
_HUBS = (HUB, "index.docker.io", "registry-1.docker.io")

MAX_IMAGE_LENGTH = 1024
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/@+\[\]-]*\Z")
_MUTABLE_TAGS = ("latest", "main", "master", "stable", "edge", "nightly", "dev")
MAX_NAME_LENGTH = 255
_LABEL = "[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
_REGISTRY = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[a-fA-F0-9:]+\])(?::[0-9]+)?")
_REPOSITORY = re.compile(r"[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}")
_HEX_DIGITS = {"sha256": 64, "sha384": 96, "sha512": 128}


class Reference(msgspec.Struct, frozen=True):
    """A parsed image reference. `tag` is empty only if a digest alone identifies the image."""

    registry: str
    repository: str
    tag: str
    digest: str

    @property
    def name(self) -> str:
        """The last part of the path, which a mirror leaves unchanged."""
        return self.repository.rpartition("/")[2]


@lru_cache(maxsize=4096)
def parse_reference(text: str) -> Reference:
    """Parses any text without failing; an invalid reference becomes a name that equals no other."""
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
    """Whether an object may hold it as an image: checks only the characters and a length limit.

    `image_problem` says whether a runtime could pull it. A workload may hold, and be rolled back to, an image that none
    could."""
    return len(text) <= MAX_IMAGE_LENGTH and _IMAGE.match(text) is not None


def is_mutable_tag(image: str) -> bool:
    """Whether the tag is one that is commonly moved to other contents, such as `latest`."""
    reference = parse_reference(image)
    return not reference.digest and reference.tag in _MUTABLE_TAGS


def image_problem(text: str) -> str:
    """Says why no runtime could pull it, as a phrase that follows the image; empty if its syntax is valid."""
    if not text:
        return "is empty: write it like registry.example/app:1.5"
    if len(text) > MAX_IMAGE_LENGTH:
        return f"is longer than {MAX_IMAGE_LENGTH} characters"
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
    if len(path) > MAX_NAME_LENGTH:
        return f"has a name of more than {MAX_NAME_LENGTH} characters"
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
    """Whether both are spellings of the same reference."""
    return one == other or parse_reference(one) == parse_reference(other)


@lru_cache(maxsize=4096)
def accepts(requested: str, actual: str) -> bool:
    """Whether the image that admission produced still means the requested one: the digest was added, or the registry and the
    path before the same name were replaced. A digest instead of the tag is trusted only for the same repository, since the
    tag is then unknown."""
    a, b = parse_reference(requested), parse_reference(actual)
    if a.name != b.name:
        return False
    if a.digest:
        return a.digest == b.digest
    if b.tag:
        return a.tag == b.tag
    return (a.registry, a.repository) == (b.registry, b.repository)


def stands_for(image: str, requested: str, others: Collection[str]) -> bool:
    """Whether an observed image is the requested one under a name that admission gave it. An image that could equally be one of
    the others is not: an upgrade from `reg/app:1` to `mirror/app:1` is a change."""
    if image == requested:
        return True
    return accepts(requested, image) and not any(other != requested and accepts(other, image) for other in others)
