"""Checks names against the syntax that Kubernetes demands, so that bad input fails here and never reaches a URL or a patch.

Mirrors k8s.io/apimachinery/pkg/util/validation: qualified names, DNS subdomains and DNS labels.
"""

from __future__ import annotations

import re

RESERVED_CONDITIONS = frozenset(
    {
        "ContainersReady",
        "DisruptionTarget",
        "Initialized",
        "PodReadyToStartContainers",
        "PodResizeInProgress",
        "PodResizePending",
        "PodScheduled",
        "Ready",
    }
)
"""Pod conditions that Kubernetes itself writes: a gate of such a type would flap, since its owner writes its own value back."""

_DNS_LABEL = "[a-z0-9](?:[-a-z0-9]*[a-z0-9])?"
_DNS_SUBDOMAIN = re.compile(rf"{_DNS_LABEL}(?:\.{_DNS_LABEL})*\Z")
_NAME = re.compile(r"[A-Za-z0-9](?:[-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?\Z")
_CONTAINER_NAME = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?\Z")


def qualified_name(text: str) -> str:
    """Returns a label key or condition type unchanged. Raises ValueError with one line for a user."""
    prefix, slash, name = text.rpartition("/")
    if not _NAME.match(name) or (slash and (len(prefix) > 253 or not _DNS_SUBDOMAIN.match(prefix))):
        raise ValueError(f"{text!r} is not a name like example or www.example.com/feature-1")
    return text


def condition_type(text: str) -> str:
    """Returns a condition type that inplace may use as a gate. Raises ValueError with one line for a user."""
    if text in RESERVED_CONDITIONS:
        raise ValueError(f"{text} belongs to Kubernetes itself, which would write it back: use a type of your own")
    return qualified_name(text)


def is_object_name(text: str) -> bool:
    """Whether it is a DNS subdomain, as names of pods and workloads are; such a name cannot lead to another URL path."""
    return len(text) <= 253 and _DNS_SUBDOMAIN.match(text) is not None


def is_container_name(text: str) -> bool:
    """Whether it is a DNS label, as names of containers and namespaces are."""
    return _CONTAINER_NAME.match(text) is not None
