"""Writes to an InPlaceRollout: only what has changed, not too often, and only to the object that was read."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.runs.rollouts import WaitingState
from inplace.kube.errors import Conflict
from inplace.model.constants import FINALIZER
from inplace.runtime.controller.status_writer import STATUS_SECONDS
from tests.unit.runtime.controller.bench import KEY, ControllerBench
from tests.unit.runtime.rollouts import PATH, create_rollout, read_rollout

MERGE = "application/merge-patch+json"


@pytest.fixture
def created(bench: ControllerBench) -> ControllerBench:
    create_rollout(bench.world)
    bench.world.wait(lambda: bench.informers.rollout(KEY) is not None)
    return bench


def annotate(bench: ControllerBench, request: str) -> None:
    body: dict[str, Any] = {"metadata": {"annotations": {"inplace.dev/request": request}}}
    bench.world.request("PATCH", f"{PATH}/up", body, MERGE)


def writes(bench: ControllerBench) -> int:
    return sum(n for key, n in bench.world.transport.requests.items() if key.startswith("PATCH inplacerollouts"))


def test_the_same_state_is_written_once(created: ControllerBench) -> None:
    busy = WaitingState("TargetBusy", "somebody works on it")
    assert created.writer.update_status(created.rollout, None) is None
    assert created.writer.update_status(created.rollout, busy) is None
    assert created.writer.update_status(created.rollout, busy) is None
    assert writes(created) == 1
    assert (created.rollout.status.phase, created.rollout.status.message) == ("Waiting", "somebody works on it")
    assert created.listener.phases == ["Waiting"]


def test_within_a_phase_a_status_is_written_once_a_second(created: ControllerBench) -> None:
    created.writer.update_status(created.rollout, WaitingState("TargetBusy", "one"))
    early = created.writer.update_status(created.rollout, WaitingState("TargetBusy", "two"))
    assert early is not None
    assert 0 < early <= STATUS_SECONDS
    created.world.scheduler.run_for(early)
    assert created.writer.update_status(created.rollout, WaitingState("TargetBusy", "two")) is None
    assert created.rollout.status.message == "two"


def test_a_request_is_removed_before_it_is_obeyed(created: ControllerBench) -> None:
    annotate(created, "pause")
    created.world.scheduler.run_for(1)
    assert created.writer.take_request(created.rollout) == "pause"
    assert not read_rollout(created.world).metadata.annotation("inplace.dev/request")
    assert created.writer.take_request(created.rollout) is None


def test_a_request_that_changed_meanwhile_is_not_taken(created: ControllerBench) -> None:
    annotate(created, "pause")
    created.world.scheduler.run_for(1)
    seen = created.rollout
    annotate(created, "abort")
    with pytest.raises(Conflict):
        created.writer.take_request(seen)


def test_a_bad_request_is_removed_and_answered(created: ControllerBench) -> None:
    annotate(created, "resmue")
    created.world.scheduler.run_for(1)
    assert created.writer.take_request(created.rollout) is None
    (warning,) = created.listener.warnings
    assert "resmue" in warning
    (condition,) = [c for c in created.rollout.status.conditions if c.type == "RequestRefused"]
    assert (condition.status, condition.message) == ("True", warning)


def test_the_finalizer_is_added_once_and_removed(created: ControllerBench) -> None:
    assert created.writer.add_finalizer(created.rollout)
    assert created.writer.add_finalizer(created.rollout)
    assert (writes(created), created.rollout.metadata.finalizers) == (1, (FINALIZER,))
    created.writer.remove_finalizer(created.rollout)
    assert not created.rollout.metadata.finalizers


def test_an_error_is_shown_until_the_run_has_begun(created: ControllerBench) -> None:
    created.writer.report_error(KEY, ValueError("a bug"))
    assert created.rollout.status.message == "a bug"
    created.writer.report_error(("shop", "nothing"), ValueError("a bug"))
    assert writes(created) == 1
