"""Carries the waits of a run and of its pods over to the process that continues it, so that time passed is not waited twice.

Kept: timed pauses, a long minReady, the deadline of a restart, and deadlines of what the run cannot influence (a budget, a
commit). When each began is stored in the run or in the pod's record, as wall-clock UTC. Started anew: everything that proves a
pod safe to touch (the settled view, the drain and its deadline, the settle time, evidence of containers), and short waits.

Wall clocks are read once, when a process takes a run over, and only for how long ago a wait began; from then on its monotonic
clock counts, so setting a clock meanwhile changes nothing. For an instant in the future (a clock was set back, or another
machine's is ahead) no time counts as passed: the wait lasts at most its own time once more, and the run then stores the new
instant. Clocks that differ by some seconds make a wait that much shorter or longer. A deadline leaves the new process
`FRESH_SECONDS`, since it gathers its own evidence in that time; and the readiness of another container, or one that has changed
since, counts for nothing, whatever the instants say.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import msgspec

from inplace.engine.actions import PatchImages
from inplace.engine.planning.plan import Plan
from inplace.engine.pods.gates import OPENED_BY_US
from inplace.engine.pods.proof import steady_before, stop_seconds
from inplace.engine.snapshot import ObservedPod
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.model.record import UpgradeRecord
from inplace.model.run import PauseStep, Run, RunOptions

FRESH_SECONDS = 60.0
"""What a deadline that began before leaves to the process that takes over: for the settled view, a list, a proof."""
REMEMBERED_AFTER_SECONDS = 30.0
"""Shorter waits for what the run cannot influence are not stored."""
MOST_WAITS = 16

SecondsSince = Callable[[str], float]
"""How many seconds ago a wall-clock instant was; 0 for one in the future, or one that cannot be read."""


class Carried(msgspec.Struct, frozen=True):
    """`timers`: name to the monotonic instant at which each began. `steady`: pod uid to the monotonic instant since which it
    has been ready, as the process before stored it."""

    timers: Mapping[str, float] = {}
    steady: Mapping[str, float] = {}


def carried(
    run: Run, pods: Iterable[ObservedPod], min_ready_seconds: float, now: float, seconds_since: SecondsSince
) -> Carried:
    """What a process that begins at `now` takes over from those before it."""
    timers: dict[str, float] = {}
    steady: dict[str, float] = {}
    for timer, at in run.waits.items():
        is_pause = timer.startswith(_PAUSE)
        timers[timer] = now - seconds_since(at) if is_pause else _begun(now, seconds_since(at), DEFAULT_WAIT_SECONDS)
    for facts in pods:
        record = facts.record
        if not isinstance(record, UpgradeRecord):
            timers |= _of_opened(facts, run.options, min_ready_seconds, now, seconds_since)
            continue
        if record.patched_at and record.before:
            timers |= _of_restart(facts, record, run.options, min_ready_seconds, now, seconds_since(record.patched_at))
        if record.steady is not None and steady_before(facts, record):
            steady[facts.uid] = now - seconds_since(record.steady.since)
    return Carried(timers, steady)


def still_carried(carried: Mapping[str, float], plan: Plan) -> dict[str, float]:
    """The timers yet to be taken over: a plan that names one has taken it over, and an image patched now starts a new restart,
    which inherits no time of an earlier one."""
    patched = tuple(f"{action.pod.uid}/" for action in plan.actions if isinstance(action, PatchImages))
    return {timer: at for timer, at in carried.items() if timer not in plan.timers and not timer.startswith(patched)}


def _of_restart(
    facts: ObservedPod, record: UpgradeRecord, options: RunOptions, min_ready_seconds: float, now: float, passed: float
) -> dict[str, float]:
    """An old container may have taken its whole grace period to stop; the restart's own time starts after that."""
    grace = stop_seconds(facts.pod, record.before or ())
    limit = options.restart_timeout_seconds + min_ready_seconds
    return {
        f"{facts.uid}/stop": _begun(now, passed, grace + options.restart_timeout_seconds),
        f"{facts.uid}/restart": _begun(now, max(0.0, passed - grace), limit),
    }


def _of_opened(
    facts: ObservedPod, options: RunOptions, min_ready_seconds: float, now: float, seconds_since: SecondsSince
) -> dict[str, float]:
    """The record of such a pod is gone: all that remains of its restart is the gate that the upgrade opened."""
    gate = facts.pod.condition(options.gate)
    if facts.is_ready or gate is None or gate.status != "True" or gate.reason != OPENED_BY_US or not gate.last_transition_time:
        return {}
    limit = options.restart_timeout_seconds + min_ready_seconds
    return {f"{facts.uid}/restart": _begun(now, seconds_since(gate.last_transition_time), limit)}


def _begun(now: float, passed: float, limit: float) -> float:
    return now - min(passed, max(0.0, limit - FRESH_SECONDS))


def remembered(plan: Plan, timers: Mapping[str, float], now: float, since: str) -> Plan:
    """The plan with the waits stored in its run. `timers`: those that ran before it; `since`: this instant, as text."""
    run = plan.run
    if not since:
        return plan
    waits = {**_pause(run, plan.timers, timers, since)}
    for timer in _lasting(plan):
        if timer in run.waits:
            waits[timer] = run.waits[timer]
        elif now - timers.get(timer, now) >= REMEMBERED_AFTER_SECONDS:
            waits[timer] = since  # the time passed before is granted once more
    return plan if waits == run.waits else msgspec.structs.replace(plan, run=msgspec.structs.replace(run, waits=waits))


def to_remember(plan: Plan, timers: Mapping[str, float]) -> list[float]:
    """The instants at which waits are to be stored. `timers`: as they run after the plan."""
    return [timers[t] + REMEMBERED_AFTER_SECONDS for t in _lasting(plan) if t in timers and t not in plan.run.waits]


def _lasting(plan: Plan) -> list[str]:
    return sorted(timer for timer in plan.timers if timer.startswith(_BLOCKED) or "/wait/" in timer)[:MOST_WAITS]


def _pause(run: Run, named: frozenset[str], timers: Mapping[str, float], since: str) -> dict[str, str]:
    """The wait of the pause that the run stands at, even while something else holds it, too."""
    here = run.steps_passed
    steps = run.options.steps
    step = steps[here] if here < len(steps) else None
    if run.rolling_back or not isinstance(step, PauseStep) or step.seconds is None:
        return {}
    timer = f"{_PAUSE}{here}"
    known = run.waits.get(timer)
    if known is None:
        return {timer: since} if timer in named else {}
    # Stored by a clock ahead of ours: corrected while nothing of it counts as passed.
    return {timer: since if timer not in timers and known > since else known}


_PAUSE = "pause/"
_BLOCKED = "run/"


def given_up_again(waits: Mapping[str, str]) -> dict[str, str]:
    """For a run that a person starts again: deadlines start anew, and only pauses continue."""
    return {timer: at for timer, at in waits.items() if timer.startswith(_PAUSE)}
