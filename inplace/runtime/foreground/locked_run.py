"""One run in the foreground, from the moment the target's lock is acquired until it is released."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from inplace.engine.planning.plan import RunResult
from inplace.kube.errors import ApiError
from inplace.model.objects.coordination import Lease
from inplace.model.run import Run, StopRequest
from inplace.runtime.errors import ForcedExit, RunAbandoned
from inplace.runtime.foreground.run_events import RunEventReporter
from inplace.runtime.foreground.target_view import TargetView
from inplace.runtime.informers.inbox import CacheChanged, ThreadCrashed
from inplace.runtime.lease.lock import LockLostError, TargetLock
from inplace.runtime.observability.frames import Frame, FrameHandler
from inplace.runtime.observability.statistics import RunStatistics, Summary
from inplace.runtime.requests import request_problem
from inplace.runtime.run.assembly import build_driver
from inplace.runtime.run.backend import WorkerPool
from inplace.runtime.run.driver import DriverOptions, RunInputs


class LockedRun:
    """`notify` gets lines for a person, apart from the progress."""

    def __init__(self, view: TargetView, lock: TargetLock, notify: Callable[[str], None]) -> None:
        self._view = view
        self._lock = lock
        self._notify = notify

    def acquire(self, lease: Lease | None, run: Run, held_by: str) -> None:
        """Acquires the lock and stores the run in it. `held_by`: whom the Lease names to people. Raises `LockHeldError`."""
        view, lock = self._view, self._lock
        lock.held_by = held_by
        lock.on_gap = view.informers.relist
        lock.on_error_changed = lambda: view.inbox.put(CacheChanged())
        lock.acquire(lease, run)
        if lock.lease is not None:
            view.informers.leases.upsert(lock.lease)  # a request to the previous holder is not for us
        if problem := request_problem(lease):
            self._notify(f"warning: {problem}")

    def drive(
        self,
        run: Run,
        statistics: RunStatistics,
        events: RunEventReporter,
        on_frame: FrameHandler,
        options: DriverOptions,
        stop: StopRequest | None,
    ) -> Summary:
        """Drives the run to its end and releases the lock. Raises `LockLostError`, `ForcedExit` and `RunAbandoned`."""
        view, lock = self._view, self._lock

        def report(frame: Frame) -> None:
            statistics.add_frame(frame, view.snapshot_builder.facts)
            events.add_frame(frame)
            on_frame(frame)

        driver, workers = build_driver(
            view.api,
            lock,
            RunInputs(view.snapshot_builder, view.informers, view.inbox),
            view.backend.workers,
            run,
            report,
            options,
            stop,
        )
        driver.on_request_rejected = lambda why: self._notify(f"warning: {why}")
        with events:
            with self._renewed(workers):
                try:
                    finished = driver.drive()
                except ForcedExit:
                    left = RunResult("Interrupted", "left in the middle")
                    events.report_end(self.release(driver.run, left), left)
                    raise
                except RunAbandoned as why:
                    finished = RunResult("Failed", str(why))
            finished = view.resolver.with_last_writer(finished)
            ended = self.release(driver.run, finished)
            events.report_end(ended, finished)
        if driver.frame is None:
            raise RunAbandoned(finished.message)  # it ended before anything was seen
        return statistics.summary(ended, finished, driver.frame, view.snapshot_builder.facts)

    def release(self, run: Run, finished: RunResult) -> Run:
        """Stores how the run ended and releases the lock. If the API server cannot be reached the Lease just expires."""
        resolver = self._view.resolver
        ended, revisions = resolver.finalize_run(run, finished, self._view.current_snapshot())
        with suppress(ApiError, LockLostError):
            self._lock.release(ended, revisions, delete=resolver.can_delete_lease(run, finished))
        return ended

    @contextmanager
    def _renewed(self, workers: WorkerPool) -> Iterator[None]:
        """Renews the lock meanwhile; afterwards neither the renewer nor a worker runs on."""
        inbox = self._view.inbox
        renewer = self._view.backend.renewer(self._lock, lambda lost: inbox.put(ThreadCrashed(lost)))
        renewer.start()
        try:
            yield
        finally:
            renewer.stop()
            workers.stop()
