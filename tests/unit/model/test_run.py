"""The run as it is stored: read back whole, by its version, under a Lease of a name that fits."""

import msgspec
import pytest

from inplace.model.refs import TargetRef
from inplace.model.run import (
    MAX_FAILURES,
    MAX_MESSAGE_LENGTH,
    CommitState,
    FieldOwner,
    PauseStep,
    PodFailure,
    PodsStep,
    Run,
    RunOptions,
    Step,
    decode_run,
    encode_run,
    lease_name,
    parse_steps,
)
from tests.builders import NS, run


def pods(*names: str, selector: str = "") -> TargetRef:
    return TargetRef(kind="Pods", namespace=NS, pod_names=names, selector=selector)


@pytest.mark.parametrize(
    "stored",
    [
        run(),
        run(RunOptions(steps=parse_steps("10%,pause,3,pause:90s,100%"), max_unavailable="25%", min_ready_seconds=3.5)),
        run(RunOptions(max_unavailable=2, accept_undrainable=("a", "b"), on_failure="rollback"), steps_passed=2),
        run(commit=CommitState(paused=True, live_uid="u", revision=7), outcome="TimedOut", message="m"),
        run(
            owners=(FieldOwner(manager="helm", operation="Apply", api_version="apps/v1", containers=("app",)),),
            failures=(PodFailure(pod="p", uid="u", reason="R", message="m"),),
            rollback_reason="Failure",
            original_images={"app": "x"},
        ),
        run(target=pods("a", "b"), target_uid=""),
    ],
)
def test_a_run_comes_back_as_it_was_stored(stored: Run) -> None:
    assert decode_run(encode_run(stored)) == stored


def test_the_first_failures_are_stored_and_how_many_there_are() -> None:
    failures = tuple(
        PodFailure(pod=f"web-{n}", uid=f"u{n}", reason="ErrImagePull", message="x" * 30_000) for n in range(10_000)
    )
    text = encode_run(run(failures=failures, created_by="b" * 200_000, message="m" * 200_000))
    assert len(text) < 32 * 1024
    stored = decode_run(text)
    assert [failure.pod for failure in stored.failures] == [f"web-{n}" for n in range(MAX_FAILURES)]
    assert stored.failed_count == 10_000
    assert decode_run(encode_run(stored)) == stored
    assert len(stored.message) == len(stored.created_by) == len(stored.failures[0].message) == MAX_MESSAGE_LENGTH


@pytest.mark.parametrize("text", ["", "x", "{}", "[]", '{"id":"a"}', encode_run(run())[:-2]])
def test_a_run_that_cannot_be_read_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="the stored run cannot be read"):
        decode_run(text)


def test_a_run_of_another_version_says_so() -> None:
    with pytest.raises(ValueError, match="version 2; this inplace knows version 1"):
        decode_run(encode_run(run(v=2)))


def test_every_option_is_stored_so_later_defaults_change_no_run() -> None:
    stored = msgspec.json.decode(encode_run(run()))["options"]
    assert stored["settleSeconds"] == 5.0
    assert stored["onFailure"] == "pause"
    assert stored["maxUnavailable"] is None


@pytest.mark.parametrize(
    ("text", "steps"),
    [
        ("100%", (PodsStep(amount="100%"),)),
        ("10%,pause,100%", (PodsStep(amount="10%"), PauseStep(), PodsStep(amount="100%"))),
        (" 1 , pause:1m30s, 100%", (PodsStep(amount=1), PauseStep(seconds=90.0), PodsStep(amount="100%"))),
        ("pause,100%", (PauseStep(), PodsStep(amount="100%"))),
    ],
)
def test_steps(text: str, steps: tuple[Step, ...]) -> None:
    assert parse_steps(text) == steps


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("50%", "the last step must be 100%, not '50%'"),
        ("100%,pause", "the last step must be 100%, not 'pause'"),
        ("5", "the last step must be 100%"),
        ("50%,10%,100%", "steps must grow"),
        ("50%,50%,100%", "steps must grow"),
        ("0%,100%", "a step of 0 does nothing"),
        ("0,100%", "a step of 0 does nothing"),
        ("", "neither a number of pods nor a percentage"),
        ("10%,,100%", "neither a number of pods nor a percentage"),
        ("pause:x,100%", "is not a duration"),
        ("101%", "neither"),
    ],
)
def test_steps_that_make_no_sense(text: str, says: str) -> None:
    with pytest.raises(ValueError, match=says):
        parse_steps(text)


def test_a_lease_is_named_after_its_target() -> None:
    assert lease_name(TargetRef(kind="Deployment", namespace=NS, name="web")) == "inplace-deployment-web"
    assert lease_name(TargetRef(kind="ReplicaSet", namespace=NS, name="web")) == "inplace-replicaset-web"


def test_the_same_pods_in_any_order_have_the_same_lease() -> None:
    assert lease_name(pods("a", "b")) == lease_name(pods("b", "a"))
    assert lease_name(pods("a", "b")) != lease_name(pods("a", "c"))
    assert lease_name(pods(selector="app=a")) != lease_name(pods(selector="app=b"))


def test_long_names_stay_names_and_stay_apart() -> None:
    one, other = (lease_name(TargetRef(kind="Deployment", namespace=NS, name="x" * 252 + c)) for c in "ab")
    assert len(one) <= 253
    assert one != other


@pytest.mark.parametrize(
    ("ended", "is_open"),
    [
        (run(), True),
        (run(outcome="Succeeded"), False),
        (run(outcome="Failed"), True),
        (run(outcome="Paused"), True),
        (run(outcome="Interrupted"), True),
        (run(outcome="TimedOut"), True),
        (run(outcome="Failed", rollback_reason="Failure"), True),
        (run(outcome="RolledBack", rollback_reason="Failure"), False),
        (run(outcome="Aborted", rollback_reason="Abort"), False),
        (run(outcome="Interrupted", rollback_reason="Failure"), True),
    ],
)
def test_a_run_is_open_while_it_has_work_left(ended: Run, is_open: bool) -> None:
    assert ended.is_unfinished is is_open


def test_what_was_asked_for_outlives_a_rollback() -> None:
    assert run().requested_images == run().images
    assert run(images={"app": "old"}, original_images={"app": "new"}).requested_images == {"app": "new"}
