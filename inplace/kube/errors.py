"""What can go wrong with a request, as one closed family. Callers match on the class, never on a number."""

from __future__ import annotations

import re
from shlex import join


class ApiError(Exception):
    """The API server said no, or nothing. `str()` is one line for a person, without secrets."""

    def __init__(self, message: str, *, status: int = 0, reason: str = "", retry_after_seconds: float | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.reason = reason
        self.retry_after_seconds = retry_after_seconds


class ConnectionFailed(ApiError):
    """No complete answer: refused, reset, timed out. A write may or may not have happened."""


class NotFound(ApiError):
    """404."""


class AlreadyExists(ApiError):
    """409 with reason AlreadyExists."""


class Conflict(ApiError):
    """409: judged on an old resourceVersion. Drop the plan and read again."""


class Invalid(ApiError):
    """422: also what a wrong `metadata.uid` in a patch gives (design, section 4)."""


class Forbidden(ApiError):
    """403. `shown_by`: the command that shows the missing permission; empty where a policy, a quota or the like refused."""

    shown_by = ""


class Unauthorized(ApiError):
    """401."""


class Gone(ApiError):
    """410: the resourceVersion or the continue token is too old. List again."""


class TooManyRequests(ApiError):
    """429, after all retries."""


class ServerError(ApiError):
    """5xx, after all retries."""


class ConfigError(Exception):
    """No usable kubeconfig or context. `str()` is one line for a person."""


_DENIED = re.compile(
    r'User "(?P<user>[^"]*)" cannot (?P<verb>[a-z]+) resource "(?P<what>[^"]+)" in API group "(?P<group>[^"]*)"'
    r'(?: in the namespace "(?P<namespace>[^"]*)"| at the cluster scope)?'
)
"""How the API server quotes every authorizer."""


def lacking(who: str, what: str, namespace: str | None) -> str:
    """`jane may not list pods in namespace shop: ...`. Without a namespace: in all."""
    where, role = (f"namespace {namespace}", "Role") if namespace else ("all namespaces", "ClusterRole")
    return f"{who} may not {what} in {where}: ask for a {role} that allows it"


def denied(message: str) -> tuple[str, str] | None:
    """A refusal for a missing permission, in words, and the kubectl command that shows it; None: it is another refusal."""
    match = _DENIED.search(message)
    if match is None:
        return None
    user, verb, what, group, namespace = match.group("user", "verb", "what", "group", "namespace")
    resource, _, subresource = what.partition("/")
    more = message[match.end() :].strip(" :")
    words = f"{lacking(user or 'you', f'{verb} {what}', namespace)}{f' ({more})' if more else ''}"
    named = f"{resource}.{group}" if group else resource
    part = [f"--subresource={subresource}"] if subresource else []
    return words, join(["kubectl", "auth", "can-i", verb, named, *part, *(["-n", namespace] if namespace else ["-A"])])
