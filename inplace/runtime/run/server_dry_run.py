"""Sends the writes of a rehearsal as dry runs, and takes in what is answered."""

from __future__ import annotations

from collections.abc import Callable

from inplace.engine.preflight.rehearsal import RefusedWrite, Rehearsal, learn, writes
from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.sequence import Write
from inplace.kube.errors import AlreadyExists, ApiError, Conflict, Forbidden, Invalid, NotFound
from inplace.kube.protocols import Clock
from inplace.model.run import Run
from inplace.runtime.run.executor import Executor

ROUNDS = 6
"""Of asking afresh, because something was learned or has changed meanwhile."""
REST_SECONDS = 0.2
"""Until what has changed is looked at again."""


def rehearse(executor: Executor, clock: Clock, look: Callable[[Run], Snapshot], run: Run) -> Rehearsal:
    """`executor` sends dry runs: nothing is persisted. Raises `ApiError` where the API server does not judge, `Conflict` where
    something changes all the time."""
    last: ApiError | None = None
    refused: list[RefusedWrite] = []
    heard: set[str] = set()
    for _ in range(ROUNDS):
        learned, last = run, None
        for write in writes(look(run), run):
            if write.what in heard:
                continue
            try:
                found = _sent(executor, run, write)
            except (Conflict, NotFound) as error:
                last = error
                continue
            heard.add(write.what)
            if isinstance(found, RefusedWrite):
                refused.append(found)
            elif found != run:
                learned, refused, heard = found, [], set()
                break
        if learned == run and last is None:
            return Rehearsal(run, tuple(refused))
        run = learned
        if last is not None:
            clock.sleep(REST_SECONDS)
    raise last or Conflict(f"admission makes other images of those of {run.target} each time: {sorted(run.images.values())}")


def _sent(executor: Executor, run: Run, write: Write) -> Run | RefusedWrite:
    """Raises `Conflict` or `NotFound` where it was judged on what is no more."""
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
    """The write itself was not judged: it may well be done later."""
    passing = error.status in (0, 401, 429) or error.status >= 500
    return passing or isinstance(error, (Conflict, NotFound)) or _lacks_a_right(error)


def _lacks_a_right(error: ApiError) -> bool:
    """RBAC's words: somebody may give us the right at any time. A quota or a webhook answers 403, too, but says otherwise."""
    return isinstance(error, Forbidden) and bool(error.shown_by)
