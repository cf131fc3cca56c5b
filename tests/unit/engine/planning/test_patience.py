"""A deadline for every act and every wait of a sequence, an ear for a final refusal, and the way on or back from there."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from inplace.engine.actions import (
    Action,
    CreateHistoryReplicaSet,
    DeleteDuplicateReplicaSet,
    OpenGate,
    PatchTemplate,
    SetPaused,
    SetUpdateStrategy,
)
from inplace.engine.planning.plan import Plan
from inplace.engine.snapshot import Denial, Snapshot
from inplace.engine.timers import DEFAULT_WAIT_SECONDS
from inplace.model.run import CommitState, FieldOwner, PodFailure, Run, StopRequest
from tests.builders import (
    DEPLOYMENT_UID,
    LIVE_UID,
    NEW,
    OLD,
    SPEC,
    deployment,
    in_service,
    observed,
    of_deployment,
    of_replica_set,
    pod,
    record,
    replica_set,
    run,
)
from tests.unit.engine.flights import NOW, planned

WHY = "exceeded quota"
BEGUN = CommitState(live_uid=LIVE_UID, revision=1, template=OLD)
HELM = FieldOwner(manager="helm", operation="Apply", api_version="apps/v1", containers=("app",))
PAUSED: dict[str, Any] = {"paused": True, "generation": 2}


def view_of(target: Any, **fields: Any) -> Snapshot:
    return observed(*[in_service(pod(f"web-{i}", images=NEW)) for i in range(3)], target=target, **fields)


def refusing(view: Snapshot, made: Plan, *, is_final: bool = True) -> Snapshot:
    (action,) = made.actions
    return msgspec.structs.replace(view, denials={action.intent: Denial(WHY, is_final)})


def late(view: Snapshot, made: Plan) -> Snapshot:
    return msgspec.structs.replace(view, timers=dict.fromkeys(made.timers, NOW - DEFAULT_WAIT_SECONDS))


def why_back(made: Plan) -> str:
    """Why the commit is taken back; where nothing had been changed yet, only the pods have to go."""
    if made.run.commit is not None:
        return made.run.commit.undo_reason
    assert (made.run.rollback_reason, made.run.images) == ("Failure", OLD)
    return made.run.message.removeprefix("rolled back, because ")


COMMITS: dict[str, tuple[Any, type[Action]]] = {
    "pause": (of_deployment(deployment(), replica_set()), SetPaused),
    "twin": (
        of_deployment(deployment(**PAUSED), replica_set(), replica_set(NEW, name="t", uid="t", replicas=0)),
        DeleteDuplicateReplicaSet,
    ),
    "ReplicaSet": (of_deployment(deployment(**PAUSED), replica_set()), PatchTemplate),
    "bare ReplicaSet": (of_replica_set(replica_set()), PatchTemplate),
}


def begun(name: str) -> Run:
    return run(commit=BEGUN, target_uid=LIVE_UID if name == "bare ReplicaSet" else DEPLOYMENT_UID)


@pytest.mark.parametrize("name", COMMITS)
def test_an_act_of_a_commit_has_a_deadline_as_a_wait_has(name: str) -> None:
    target, kind = COMMITS[name]
    view = view_of(target)
    made = planned(view, begun(name))
    assert [type(action) for action in made.actions] == [kind]
    assert made.requeue_after_seconds == DEFAULT_WAIT_SECONDS
    assert why_back(planned(late(view, made), begun(name))).startswith("gave up after 5 minutes: ")


@pytest.mark.parametrize("name", COMMITS)
def test_a_final_refusal_ends_at_once_in_the_servers_words(name: str) -> None:
    view = view_of(COMMITS[name][0])
    made = planned(view, begun(name))
    assert why_back(planned(refusing(view, made), begun(name))).startswith(f"the API server refuses: {WHY} (")


def test_a_passing_refusal_is_retried_and_named_at_the_deadline() -> None:
    view = view_of(COMMITS["ReplicaSet"][0])
    made = planned(view, run(commit=BEGUN))
    refused = refusing(view, made, is_final=False)
    assert planned(refused, run(commit=BEGUN)).actions == made.actions
    assert why_back(planned(late(refused, made), run(commit=BEGUN))).endswith(f" (the API server refuses: {WHY})")


def test_undoing_an_act_repeatedly_does_not_renew_its_deadline() -> None:
    """Unpaused by somebody each time that it has been paused."""
    pausing = planned(view_of(COMMITS["pause"][0]), run(commit=BEGUN))
    seen = of_deployment(deployment(paused=True, generation=2, observed=1), replica_set())
    waiting = planned(view_of(seen, timers=dict.fromkeys(pausing.timers, NOW - 1)), run(commit=BEGUN))
    assert pausing.timers < waiting.timers


def test_a_duplicate_that_is_going_is_awaited_not_deleted_again() -> None:
    twin = replica_set(NEW, name="twin", uid="t", replicas=0)
    meta = msgspec.structs.replace(twin.metadata, deletion_timestamp="2026-01-01T00:00:00Z", finalizers=("example.com/hold",))
    target = of_deployment(deployment(**PAUSED), replica_set(), msgspec.structs.replace(twin, metadata=meta))
    made = planned(view_of(target), run(commit=BEGUN))
    assert made.actions == ()
    assert made.progress.waiting == (
        "waiting for rs/twin, an older one with the same template, to be gone, which finalizers hold (example.com/hold)"
    )


class TestWithoutHistory:
    COMMITTED = of_deployment(deployment(NEW, paused=True, generation=3), replica_set(NEW))

    def forgone(self) -> Plan:
        view = view_of(self.COMMITTED)
        made = planned(view, run(commit=BEGUN))
        assert [type(action) for action in made.actions] == [CreateHistoryReplicaSet]
        return planned(refusing(view, made), run(commit=BEGUN))

    def test_the_commit_goes_on(self) -> None:
        made = self.forgone()
        (action,) = made.actions
        assert isinstance(action, SetPaused)
        assert not action.paused
        assert list(made.run.forgone) == ["history"]

    def test_history_that_cannot_be_kept_is_named_at_the_end(self) -> None:
        done = of_deployment(deployment(NEW, generation=4), replica_set(NEW))
        view = view_of(done, timers={"commit/end": NOW - 1}, pods_listed_at=NOW)
        ended = planned(view, self.forgone().run)
        assert ended.finished is not None
        assert ended.finished.outcome == "Succeeded"
        assert ended.finished.message.startswith(
            f"the images before are not in its history: the API server refuses: {WHY} (keeping the old template"
        )

    def test_a_controller_that_does_not_number_it_has_five_minutes(self) -> None:
        made = planned(view_of(self.COMMITTED), run(commit=BEGUN))
        (action,) = made.actions
        assert isinstance(action, CreateHistoryReplicaSet)
        buried = replica_set(OLD, name=action.name, uid="uid-tomb", replicas=0, revision=1)
        view = view_of(of_deployment(deployment(NEW, paused=True, generation=3), replica_set(NEW), buried))
        waiting = planned(view, run(commit=BEGUN))
        assert waiting.actions == ()
        assert list(planned(late(view, waiting), run(commit=BEGUN)).run.forgone) == ["history"]

    def test_image_fields_that_cannot_be_given_back_are_no_failure(self) -> None:
        target = of_deployment(deployment(NEW, generation=4), replica_set(NEW, revision=2))
        view = view_of(target, timers={"commit/end": NOW - 1}, pods_listed_at=NOW)
        owned = run(commit=BEGUN, owners=(HELM,))
        ended = planned(refusing(view, planned(view, owned)), owned)
        assert ended.finished is not None
        assert ended.finished.outcome == "Succeeded"
        assert "whose next apply will conflict" in ended.finished.message


class TestTheLastStep:
    """`paused` itself is refused: nobody else can give it back."""

    VIEW = view_of(of_deployment(deployment(NEW, paused=True, generation=3), replica_set(NEW, revision=2)))

    def test_it_ends_and_says_that_the_deployment_is_left_paused(self) -> None:
        made = planned(self.VIEW, run(commit=BEGUN))
        ended = planned(refusing(self.VIEW, made), run(commit=BEGUN))
        assert ended.finished is not None
        assert ended.finished.outcome == "Failed"
        why = f"the API server refuses: {WHY} (unpausing the Deployment)"
        assert ended.finished.message == f"{why}; deploy/web is left paused, so that nothing can be rolled out"
        assert ended.run.commit == BEGUN


def test_a_pod_failure_in_a_commit_first_restores_the_deployment() -> None:
    """And not the pods: whoever wants them back says so, or has said so by --on-failure."""
    failure = PodFailure(pod="web-9", uid="uid-web-9", reason="ErrImagePull", message="m")
    failed = run(commit=BEGUN, failures=(failure,))
    made = planned(view_of(of_deployment(deployment(**PAUSED), replica_set())), failed)
    (action,) = made.actions
    assert isinstance(action, SetPaused)
    given = planned(view_of(of_deployment(deployment(generation=3), replica_set())), made.run)
    assert given.finished is not None
    assert (given.finished.outcome, given.run.rollback_reason, given.run.commit) == ("Failed", None, None)


def test_an_end_that_cannot_free_a_pod_comes_all_the_same() -> None:
    """Each pod that it could free begins the time anew."""
    told = msgspec.structs.replace(SPEC, stop=StopRequest("Interrupted", "Ctrl-C"))
    ours: dict[str, Any] = {"ready": False, "gate": "False", "record": record()}
    view = observed(*[in_service(pod(name, **ours)) for name in ("web-8", "web-9")])
    made = planned(view, spec=told)
    assert [type(action) for action in made.actions] == [OpenGate, OpenGate]
    assert planned(msgspec.structs.replace(late(view, made), pods=view.pods[1:]), spec=told).finished is None
    ended = planned(late(view, made), spec=told)
    assert ended.finished is not None
    assert ended.finished.outcome == "Interrupted"


def test_a_strategy_is_an_act_like_any_other() -> None:
    one, other = (SetUpdateStrategy("web", "u", v, "StatefulSet", {"type": "OnDelete"}) for v in ("1", "2"))
    assert one.intent == other.intent
    assert one.intent != SetUpdateStrategy("web", "u", "1", "StatefulSet", {"type": "RollingUpdate"}).intent
