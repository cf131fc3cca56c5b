"""A commit that cannot be finished is taken back from wherever it stands, and never unpaused before that is seen."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.actions import PatchTemplate, SetPaused
from inplace.engine.kinds.registry import strategy_for
from inplace.engine.workloads.sequence import Done, NextStep, Perform, WaitFor
from inplace.model.objects.workloads import ReplicaSet
from inplace.model.run import CommitState
from tests.builders import LIVE_UID, NEW, OLD, deployment, observed, of_deployment, of_replica_set, replica_set, run

GIVEN_UP = CommitState(live_uid=LIVE_UID, revision=1, template=OLD, undo_reason="why")
PAUSED: dict[str, Any] = {"images": OLD, "paused": True}
OLD_SET, NEW_SET = replica_set(OLD), replica_set(NEW)


def say(step: NextStep) -> str:
    match step:
        case Perform(action=PatchTemplate(kind=kind, images=images)):
            return f"{kind} to {'old' if images == OLD else 'new'}"
        case Perform(action=SetPaused(paused=paused)):
            return "pause" if paused else "unpause"
        case WaitFor(reason=reason):
            return f"wait: {reason.removeprefix('waiting for the ')}"
        case Done():
            return "done"
        case _:
            return str(step)


def next_step(live: ReplicaSet, commit: CommitState = GIVEN_UP, **fields: Any) -> str:
    view = observed(target=of_deployment(deployment(**fields), live))
    return say(strategy_for(view).uncommit(run(commit=commit), commit))


@pytest.mark.parametrize(
    ("fields", "live", "says"),
    [
        ({"images": NEW, "paused": True}, NEW_SET, "Deployment to old"),
        (
            {"images": OLD, "paused": True, "generation": 3, "observed": 2},
            NEW_SET,
            "wait: Deployment controller to see the change",
        ),
        (
            PAUSED,
            NEW_SET,
            "wait: Deployment controller to see that the ReplicaSet differs",
        ),
        ({**PAUSED, "updated": 0}, NEW_SET, "ReplicaSet to old"),
        (
            {**PAUSED, "updated": 0},
            replica_set(OLD, generation=3, observed=2),
            "wait: ReplicaSet controller to see the old template",
        ),
        (
            {**PAUSED, "updated": 0},
            OLD_SET,
            "wait: Deployment controller to adopt the ReplicaSet again",
        ),
        (PAUSED, OLD_SET, "unpause"),
        ({"images": OLD}, OLD_SET, "done"),
        # Unpaused by somebody meanwhile.
        ({"images": NEW}, NEW_SET, "pause"),
        ({"images": OLD}, NEW_SET, "pause"),
    ],
)
def test_every_act_in_its_order(fields: dict[str, Any], live: ReplicaSet, says: str) -> None:
    assert next_step(live, **fields) == says


def test_an_uncommit_restores_the_users_pause_and_template_ahead() -> None:
    ahead = {"app": "repo/app:9"}
    commit = CommitState(paused=True, live_uid=LIVE_UID, revision=1, template=ahead)
    assert next_step(NEW_SET, commit, images=NEW, paused=True).startswith("Deployment to")
    assert next_step(NEW_SET, commit, images=ahead, paused=True) == "ReplicaSet to old"
    assert next_step(OLD_SET, commit, images=ahead, paused=True, updated=0) == "done"


def test_a_replicasets_own_template() -> None:
    view = observed(target=of_replica_set(NEW_SET))
    assert say(strategy_for(view).uncommit(run(commit=GIVEN_UP), GIVEN_UP)) == "ReplicaSet to old"
    back = observed(target=of_replica_set(OLD_SET))
    assert say(strategy_for(back).uncommit(run(commit=GIVEN_UP), GIVEN_UP)) == "done"


def test_not_once_the_history_knows_of_it() -> None:
    for live, may in ((OLD_SET, True), (NEW_SET, True), (replica_set(NEW, revision=2), False)):
        view = observed(target=of_deployment(deployment(), live))
        assert strategy_for(view).may_uncommit(run(commit=GIVEN_UP)) is may
    assert not strategy_for(observed(target=of_deployment(deployment(), OLD_SET))).may_uncommit(run())


@pytest.mark.parametrize(("now", "own", "left"), [(True, False, True), (True, True, False), (False, False, False)])
def test_what_is_left_paused(now: bool, own: bool, left: bool) -> None:
    commit = CommitState(paused=own, live_uid=LIVE_UID, revision=1)
    view = observed(target=of_deployment(deployment(paused=now), OLD_SET))
    assert strategy_for(view).is_left_paused(run(commit=commit)) is left
