"""Sends the writes of a run as dry runs, and learns from the answers."""

from __future__ import annotations

from collections.abc import Callable

from inplace.engine.preflight.rehearsal import RefusedWrite, Rehearsal, learn, writes
from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.sequence import Write
from inplace.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from inplace.kube.protocols import Clock
from inplace.model.run import Run
from inplace.runtime.run.executor import Executor

MAX_ROUNDS = 6
"""How often to start over because something was learned."""
RETRY_SECONDS = 0.2
"""How long to wait before reading again what has changed; twice as long each time, at most `MAX_RETRY_SECONDS`."""
MAX_RETRY_SECONDS = 2.0
PATIENCE_SECONDS = 1.0
"""How long a controller waits for what has changed: it comes again anyway."""
COMMAND_PATIENCE_SECONDS = 15.0
"""The same for a command. A pod's change may reach a watch this late: 5 s were too long once (a property)."""


def rehearse(
    executor: Executor, clock: Clock, look: Callable[[Run], Snapshot], run: Run, patience_seconds: float = PATIENCE_SECONDS
) -> Rehearsal:
    """`executor` sends dry runs: nothing is persisted. Raises the `ApiError` of a server that does not judge, and `Conflict` if
    something keeps changing, or is not seen to have changed within `patience_seconds`."""
    ends_at, retry_seconds, rounds = clock.monotonic() + patience_seconds, RETRY_SECONDS, 0
    refused: list[RefusedWrite] = []
    judged: set[str] = set()
    while rounds < MAX_ROUNDS:
        learned: Run = run
        last: ApiError | None = None
        for write in writes(look(run), run):
            if write.what in judged:
                continue
            try:
                result = _send(executor, run, write)
            except (Conflict, NotFound) as error:
                last = error
                continue
            judged.add(write.what)
            if isinstance(result, RefusedWrite):
                refused.append(result)
            elif result != run:
                learned, refused, judged = result, [], set()
                break
        if learned == run and last is None:
            return Rehearsal(run, tuple(refused))
        rounds += learned != run
        run = learned
        if last is not None:
            if clock.monotonic() >= ends_at:
                raise last
            clock.sleep(retry_seconds)
            retry_seconds = min(2 * retry_seconds, MAX_RETRY_SECONDS)
    raise Conflict(f"admission makes other images of those of {run.target} each time: {sorted(run.images.values())}")


def _send(executor: Executor, run: Run, write: Write) -> Run | RefusedWrite:
    """Raises `Conflict` or `NotFound` where the write was judged on an object that has changed."""
    try:
        answer = executor.perform(write.action)
    except AlreadyExists:
        return run
    except ApiError as error:
        if isinstance(error, Invalid) and "metadata.uid" in str(error):
            raise Conflict(str(error), status=error.status) from None
        if _is_no_verdict(error):
            raise
        return RefusedWrite(write, str(error))
    return learn(run, write, answer)


def _is_no_verdict(error: ApiError) -> bool:
    """Whether the write itself was not judged: it may well succeed later."""
    passing = error.status in (0, 401, 429) or error.status >= 500
    return passing or isinstance(error, (Conflict, NotFound)) or _lacks_permission(error)


def _lacks_permission(error: ApiError) -> bool:
    """Whether RBAC refused: the permission may be granted at any time. A quota or a webhook answers 403, too, in other
    words."""
    return isinstance(error, Forbidden) and bool(error.shown_by)
