"""How long what is refused, or does not last, rests; and when a refusal is final."""

from inplace.engine.actions import ListPods, PatchTemplate
from inplace.kube.errors import Conflict, Forbidden, ServerError
from inplace.runtime.run.backoff import FINAL_SECONDS, ActionBackoff, backoff_seconds


def test_a_refused_action_rests_longer_each_time_up_to_a_limit() -> None:
    assert [backoff_seconds(times) for times in (0, 1, 2)] == [0.1, 0.2, 0.4]
    assert backoff_seconds(6) == backoff_seconds(100_000) == 5.0


def patch(version: str, image: str = "app:2") -> PatchTemplate:
    return PatchTemplate("web", "uid-web", version, "Deployment", {"app": image})


DENIED, BUSY = Forbidden("no", status=403), ServerError("not now", status=500)


def test_an_action_planned_again_rests_like_a_refused_one() -> None:
    """Such as the deletion of what a finalizer holds, or what somebody sets back each time."""
    rests, now = ActionBackoff(), 100.0
    waits = []
    for version in range(5):
        rests.on_success(patch(str(version)), now, 0.0)
        waits.append(round(max(rests.retry_times(now), default=now) - now, 3))
    assert waits == [0, 0.1, 0.2, 0.4, 0.8]
    rests.on_success(patch("9", "app:3"), now, 0.0)
    assert rests.waiting_keys(now) == set()


def test_a_read_that_is_made_again_does_not_rest() -> None:
    rests = ActionBackoff()
    for _ in range(3):
        rests.on_success(ListPods(), 1.0, 0.0)
    assert rests.waiting_keys(1.0) == set()


def test_a_refusal_is_final_once_judged_often_and_long_enough() -> None:
    rests, at = ActionBackoff(), 0.0
    while not (denials := rests.denials) or not denials[patch("1").intent].is_final:
        rests.on_error(patch("1"), DENIED, at, 0.0)
        at = max(rests.retry_times(at))
    assert FINAL_SECONDS <= at <= 3 * FINAL_SECONDS
    assert rests.denials[patch("2").intent].message == "no"


def test_what_is_no_judgement_is_never_final() -> None:
    rests = ActionBackoff()
    for at in range(100):
        rests.on_error(patch("1"), BUSY, float(at), 0.0)
        assert not rests.denials[patch("1").intent].is_final
    for at in range(100, 200):
        rests.on_error(patch("1"), Conflict("stale", status=409), float(at), 0.0)
        assert not rests.denials[patch("1").intent].is_final


def test_what_is_done_after_all_was_not_denied() -> None:
    rests = ActionBackoff()
    rests.on_error(patch("1"), DENIED, 0.0, 0.0)
    rests.on_success(patch("2"), 1.0, 0.0)
    assert (rests.denials, rests.waiting_keys(1.0)) == ({}, set())
