"""Who sends a request. Nothing is authenticated: every client is the same administrator unless it impersonates a user.

What an impersonated user belongs to besides follows the real API server (its filter `impersonation`), as far as it shows in a
SelfSubjectReview; rights are not checked by user.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from urllib.parse import unquote

from inplace.sim.objects.errors import Json

ANONYMOUS = "system:anonymous"
SERVICE_ACCOUNT = "system:serviceaccount:"
IMPERSONATE = "impersonate-"
EXTRA = f"{IMPERSONATE}extra-"


@dataclass(frozen=True)
class User:
    name: str
    uid: str = ""
    groups: tuple[str, ...] = ()
    extra: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def info(self) -> Json:
        """As `userInfo` of a review."""
        said: Json = {"username": self.name, "uid": self.uid, "groups": list(self.groups)}
        said["extra"] = {key: list(values) for key, values in self.extra.items()}
        return {key: value for key, value in said.items() if value}


CALLER = User("kubernetes-admin", groups=("system:masters", "system:authenticated"))


def user_of(headers: Sequence[tuple[str, str]]) -> User:
    """The caller, or whom the headers name instead."""
    lower = [(name.lower(), value) for name, value in headers]
    name = next((value for key, value in lower if key == f"{IMPERSONATE}user"), "")
    if not name:
        return CALLER
    extra: dict[str, tuple[str, ...]] = {}
    for key, value in lower:
        if key.startswith(EXTRA):
            named = unquote(key.removeprefix(EXTRA))
            extra[named] = (*extra.get(named, ()), value)
    groups = tuple(value for key, value in lower if key == f"{IMPERSONATE}group")
    uid = next((value for key, value in lower if key == f"{IMPERSONATE}uid"), "")
    return User(name, uid, _groups(name, groups), extra)


def _groups(name: str, given: tuple[str, ...]) -> tuple[str, ...]:
    account = name.removeprefix(SERVICE_ACCOUNT).split(":") if name.startswith(SERVICE_ACCOUNT) else []
    if len(account) == 2 and not given:
        given = ("system:serviceaccounts", f"system:serviceaccounts:{account[0]}")
    everybody = "system:unauthenticated" if name == ANONYMOUS else "system:authenticated"
    return given if {"system:authenticated", "system:unauthenticated"} & {*given} else (*given, everybody)
