"""What a command means for a target that may have a run already.

The same images resume it; a pause made by hand is passed only by `resume`; other images: a half-done commit is finished
first, and then a new run adopts the old one's pods, whose records keep the first from-images and gate-before.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.clocks import Clocks
from inplace.engine.disturbances import disturbed, give_way
from inplace.engine.failures import go_back
from inplace.engine.observed import DaemonSetTarget, DeploymentTarget, Observed, StatefulSetTarget
from inplace.engine.templatefirst import is_ours
from inplace.engine.waits import given_up_again
from inplace.model.names import WorkloadKind
from inplace.model.run import Options, Pause, Run

MOST_DISPLACED = 10


class Begin(msgspec.Struct, frozen=True):
    """Drive this run. `resuming`: it was begun before."""

    run: Run
    resuming: bool


class FinishFirst(msgspec.Struct, frozen=True):
    """Finish this run's commit; then ask again."""

    run: Run


class StillPaused(msgspec.Struct, frozen=True):
    run: Run


class Overtaken(msgspec.Struct, frozen=True):
    """Somebody else has changed the workload since, or it is another one: the run goes neither on nor back. Driven, it frees
    what it has left, and ends."""

    run: Run
    why: str


Decision = Begin | FinishFirst | StillPaused


def decide(stored: Run | None, asked: Run, given: Mapping[str, Any], *, overtaken: bool = False) -> Decision:
    """For `upgrade`: `asked` is the run as a new one would be; `given` are the options that the person named now.

    `overtaken`: somebody else has changed the workload since, so that the stored run can only be begun anew.
    """
    if stored is None or not stored.is_open or stored.target_uid != asked.target_uid:
        return Begin(asked, resuming=False)
    if overtaken and stored.commit is None:
        return Begin(asked, resuming=False)
    if asked.images and not stored.is_for(asked.images):
        if stored.commit is not None:
            return FinishFirst(_again(stored, {}))
        return Begin(_adopting(stored, asked), resuming=True)
    if stored.outcome == "Paused":
        return StillPaused(stored)
    return Begin(_again(stored, given), resuming=True)


def _adopting(stored: Run, asked: Run) -> Run:
    """A new run that takes over what the open one has begun: its pods, and what they ran before.
    Containers that only the old one named go on to where that was taking them."""
    on_pods = {**stored.asked_images, **stored.pod_images}
    goes_back = {
        name: i for name, i in stored.pod_from_images.items() if asked.images.get(name) == stored.from_images.get(name)
    }
    return msgspec.structs.replace(
        asked,
        images={**stored.asked_images, **asked.images},
        named={name: image for name, image in stored.named.items() if name not in asked.images},
        pod_images={**{n: i for n, i in stored.pod_images.items() if n not in asked.images}, **goes_back},
        pod_from_images=stored.pod_from_images,
        rewritten=stored.rewritten,
        from_images={**asked.from_images, **stored.from_images},
        owners=stored.owners or asked.owners,
        displaced=(*stored.displaced, stored.asked_images, *([on_pods] if stored.pod_images else []))[-MOST_DISPLACED:],
        takes_over=asked.takes_over or stored.takes_over,
    )


def knowing(asked: Run, stored: Run | None, target_uid: str) -> Run:
    """A new run with the update strategy that an open one has saved: what that one left is not its owner's own."""
    if stored is None or not stored.is_open or stored.target_uid != target_uid:
        return asked
    return msgspec.structs.replace(asked, strategy=stored.strategy)


def overtaken(stored: Run | None, observed: Observed) -> Overtaken | None:
    """Where somebody else has changed the workload under a run that is open."""
    if stored is None or not stored.is_open:
        return None
    broken = disturbed(observed, as_seen(stored, observed), Clocks({}, 0.0))
    if broken is None:
        return None
    return Overtaken(afresh(stored), broken.reason)


def has_left(over: Overtaken, observed: Observed) -> bool:
    """Whether anything of an overtaken run is still on the pods, or holds the workload back."""
    run = as_seen(over.run, observed)
    return any(facts.record is not None for facts in observed.pods) or give_way(observed, run) is not None


def as_seen(run: Run, observed: Observed) -> Run:
    """The run with what its user has chosen for the workload, as it is now: `paused`, or the update strategy, unless it is
    one that this run has set itself."""
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None and run.commit is None:
            return msgspec.structs.replace(run, paused=deployment.spec.paused)
        case StatefulSetTarget(stateful_set=s) if s is not None:
            return _with_strategy(run, s.spec.update_strategy, "StatefulSet")
        case DaemonSetTarget(daemon_set=d) if d is not None:
            return _with_strategy(run, d.spec.update_strategy, "DaemonSet")
        case _:
            return run


def _with_strategy(run: Run, strategy: dict[str, Any], kind: WorkloadKind) -> Run:
    if run.strategy is not None and is_ours(strategy, run, kind):
        return run
    return msgspec.structs.replace(run, strategy=strategy)


def resume(stored: Run, observed: Observed) -> Begin | Overtaken:
    """For `resume` without a living holder, of an open run: passes the pause that it stands at."""
    return overtaken(stored, observed) or Begin(_again(pass_pause(stored), {}), resuming=True)


def stands_at_pause(run: Run) -> bool:
    """A pause of its steps, by hand or for a time."""
    here = run.steps_passed
    return here < len(run.options.steps) and isinstance(run.options.steps[here], Pause)


def pass_pause(run: Run) -> Run:
    return msgspec.structs.replace(run, steps_passed=run.steps_passed + 1) if stands_at_pause(run) else run


def abort(run: Run, by: str) -> Run:
    """The same run, going back because `by` wants it. Once the commit has begun it is finished instead: then there is
    something to `undo`."""
    return run if run.commit is not None else go_back(run, "Abort", f"aborted {of_whom(by)}")


def of_whom(by: str) -> str:
    """Who wanted that, as far as it is known."""
    return f"by {by}" if by else "on request"


def abort_dead(stored: Run, observed: Observed, by: str) -> Begin | FinishFirst | Overtaken:
    """For `abort` without a living holder, of an open run."""
    over, again = overtaken(stored, observed), _again(stored, {})
    if over is not None:
        return over
    return FinishFirst(again) if again.commit is not None else Begin(abort(again, by), resuming=True)


def afresh(run: Run) -> Run:
    """A run at its next start: what has failed, or was given up, is tried once more. One whose holder died goes on with the
    deadlines that it had."""
    commit = msgspec.structs.replace(run.commit, given_up="") if run.commit is not None else None
    waits = run.waits if run.outcome is None else given_up_again(run.waits)
    return msgspec.structs.replace(
        run, outcome=None, failures=(), more_failed=0, gave_up="", forgone={}, commit=commit, waits=waits
    )


def again(run: Run) -> Run:
    """An open run that was left, as it goes on with its own options."""
    return _again(run, {})


def _again(run: Run, given: Mapping[str, Any]) -> Run:
    options: Options = msgspec.structs.replace(run.options, **given)
    # Other steps than before: those passed are found again from the pods, pauses made by hand are met again.
    steps_passed = run.steps_passed if options.steps == run.options.steps else 0
    return msgspec.structs.replace(
        afresh(run),
        options=options,
        steps_passed=steps_passed,
        revision="",
        message="" if not run.rolling_back else run.message,
    )
