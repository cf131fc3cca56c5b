"""Time that has passed has passed: the waits of a run and of its pods that whoever goes on with it does not begin anew.

Kept: a pause with a time, a long minReady, the deadline of a restart, and of what nobody can help (a budget, a commit). When
each began is written down in the run or in the pod's record, as wall-clock UTC. Begun anew: whatever proves that a pod is safe
to touch (the settled view, the drain and its deadline, the settle time, what was seen of containers), and short waits.

Wall clocks are read once, when a process takes a run over, and only for how long ago a wait began; from then on its own
monotonic clock counts, so that a clock that is set while it works changes nothing. Of an instant that lies ahead (a clock was
put back, or another machine's goes before ours) no time counts as passed, and the wait lasts its own time once more at the
most; the run then remembers our instant. Of clocks that differ by some seconds a wait becomes so much shorter or longer. A
deadline leaves `FRESH_SECONDS` to whoever comes, since our own evidence is gathered anew in that time; and the readiness of
another container, or one that has turned since, counts for nothing, whatever the instants say.
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
"""What a deadline that began before leaves to whoever takes over: for the settled view, a list, a proof."""
REMEMBERED_AFTER_SECONDS = 30.0
"""Waits for what nobody can help that are shorter are not written down."""
MOST_WAITS = 16

SecondsSince = Callable[[str], float]
"""How long ago an instant was, by the wall clock of now; 0 for one that is ahead, or cannot be read."""


class Carried(msgspec.Struct, frozen=True):
    """`timers`: name to the monotonic instant at which each began. `steady`: pod uid to that since when it has been ready, as
    the process before us has written down."""

    timers: Mapping[str, float] = {}
    steady: Mapping[str, float] = {}


def carried(
    run: Run, pods: Iterable[ObservedPod], min_ready_seconds: float, now: float, seconds_since: SecondsSince
) -> Carried:
    """What a process that begins to look at `now` takes over from those before it."""
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
    """The timers that are yet to be taken over: a plan that names one has it, and an image that is patched now begins a restart
    of its own, with none of the time of an earlier one."""
    patched = tuple(f"{action.pod.uid}/" for action in plan.actions if isinstance(action, PatchImages))
    return {timer: at for timer, at in carried.items() if timer not in plan.timers and not timer.startswith(patched)}


def _of_restart(
    facts: ObservedPod, record: UpgradeRecord, options: RunOptions, min_ready_seconds: float, now: float, passed: float
) -> dict[str, float]:
    """An old container may have taken its whole grace period to stop: the restart's own time begins after that."""
    grace = stop_seconds(facts.pod, record.before or ())
    limit = options.restart_timeout_seconds + min_ready_seconds
    return {
        f"{facts.uid}/stop": _begun(now, passed, grace + options.restart_timeout_seconds),
        f"{facts.uid}/restart": _begun(now, max(0.0, passed - grace), limit),
    }


def _of_opened(
    facts: ObservedPod, options: RunOptions, min_ready_seconds: float, now: float, seconds_since: SecondsSince
) -> dict[str, float]:
    """Its record is gone: what is left of its restart is that we opened its gate."""
    gate = facts.pod.condition(options.gate)
    if facts.is_ready or gate is None or gate.status != "True" or gate.reason != OPENED_BY_US or not gate.last_transition_time:
        return {}
    limit = options.restart_timeout_seconds + min_ready_seconds
    return {f"{facts.uid}/restart": _begun(now, seconds_since(gate.last_transition_time), limit)}


def _begun(now: float, passed: float, limit: float) -> float:
    return now - min(passed, max(0.0, limit - FRESH_SECONDS))


def remembered(plan: Plan, timers: Mapping[str, float], now: float, since: str) -> Plan:
    """The plan with the waits of its run written down. `timers`: those that ran before it; `since`: this instant, as text."""
    run = plan.run
    if not since:
        return plan
    waits = {**_pause(run, plan.timers, timers, since)}
    for timer in _lasting(plan):
        if timer in run.waits:
            waits[timer] = run.waits[timer]
        elif now - timers.get(timer, now) >= REMEMBERED_AFTER_SECONDS:
            waits[timer] = since  # what has passed before is given once more
    return plan if waits == run.waits else msgspec.structs.replace(plan, run=msgspec.structs.replace(run, waits=waits))


def to_remember(plan: Plan, timers: Mapping[str, float]) -> list[float]:
    """The instants at which waits are to be written down. `timers`: as they run after the plan."""
    return [timers[t] + REMEMBERED_AFTER_SECONDS for t in _lasting(plan) if t in timers and t not in plan.run.waits]


def _lasting(plan: Plan) -> list[str]:
    return sorted(timer for timer in plan.timers if timer.startswith(_BLOCKED) or "/wait/" in timer)[:MOST_WAITS]


def _pause(run: Run, named: frozenset[str], timers: Mapping[str, float], since: str) -> dict[str, str]:
    """Of the pause that it stands at, also while it stands for another reason as well."""
    here = run.steps_passed
    steps = run.options.steps
    step = steps[here] if here < len(steps) else None
    if run.rolling_back or not isinstance(step, PauseStep) or step.seconds is None:
        return {}
    timer = f"{_PAUSE}{here}"
    known = run.waits.get(timer)
    if known is None:
        return {timer: since} if timer in named else {}
    # Written by a clock that goes before ours: while nothing of it counts as passed, it is put right.
    return {timer: since if timer not in timers and known > since else known}


_PAUSE = "pause/"
_BLOCKED = "run/"


def given_up_again(waits: Mapping[str, str]) -> dict[str, str]:
    """Of a run that a person begins once more: what it was given up for has its time again, and a pause goes on."""
    return {timer: at for timer, at in waits.items() if timer.startswith(_PAUSE)}
