"""What the parts of a repair share: the API server, the report of what happens, and the sessions in which targets are
repaired."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from typing import Literal

import msgspec

from inplace.kube.api import ApiClient
from inplace.kube.errors import ApiError
from inplace.model.objects.coordination import Lease
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.session import Session
from inplace.runtime.lease.lock import LockHeldError, LockLostError, run_from_lease
from inplace.runtime.observability.statistics import Summary
from inplace.runtime.permissions import Purpose
from inplace.runtime.run.backend import RunBackend

Key = tuple[str, str]
"""Namespace and name of a Lease."""

About = Literal["found", "done", "left"]


class RepairEvent(msgspec.Struct, frozen=True):
    """`about`: what was found, what is or would be done, and what is left closed without a living owner."""

    about: About
    where: str
    text: str


class RepairContext:
    """`on_event` gets each event as it happens. `on_session` gets each session that writes."""

    def __init__(
        self,
        api: ApiClient,
        identity: str,
        on_event: Callable[[RepairEvent], None],
        on_session: Callable[[Session], None],
        backend: RunBackend | None,
        *,
        dry_run: bool,
    ) -> None:
        self.api = api
        self.identity = identity
        self.dry_run = dry_run
        self.is_clean = True
        """Whether nothing was reported as left."""
        self._on_event = on_event
        self._on_session = on_session
        self._backend = backend

    @property
    def run_id(self) -> str:
        """The id of a run that only frees what an unknown run left."""
        return f"repair-{self.identity}"[:63]

    def report(self, about: About, where: str, text: str) -> None:
        self.is_clean = self.is_clean and about != "left"
        self._on_event(RepairEvent(about, where, text))

    def in_session(self, target: TargetRef, where: str, act: Callable[[Session], None]) -> None:
        """Reports what goes wrong with one target, so that the others have their turn."""
        purpose: Purpose = "look" if self.dry_run else "upgrade"
        notify = lambda text: self.report("found", where, text)  # noqa: E731
        try:
            with Session(self.api, target, self.identity, purpose, notify, self._backend) as session:
                act(session)
        except (RefusedError, LockHeldError, LockLostError, ApiError) as error:
            self.report("left", where, str(error))

    def settle(self, session: Session, lease: Lease | None, run: Run, dead_leases: frozenset[str] = frozenset()) -> Summary:
        """Frees what the run left. `lease`: that of the run, where there is one."""
        self._on_session(session)
        return session.settle_run(lease, run, dead_leases, lambda _frame: None)


def is_held(lease: Lease) -> bool:
    return bool(lease.spec.holder_identity)


def describe_target(lease: Lease) -> str:
    """Names the target for people, or the Lease where the target cannot be read."""
    with suppress(ValueError):
        run = run_from_lease(lease)
        if run is not None:
            return f"{run.target} in {lease.metadata.namespace}"
    return f"Lease {lease.metadata.name} in {lease.metadata.namespace}"
