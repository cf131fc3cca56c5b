"""What is said at the end of a run."""

from typing import Any

import pytest
from syrupy.assertion import SnapshotAssertion

from inplace.cli.common.context import CliContext, ClusterContext
from inplace.cli.output.text import labelled
from inplace.cli.running.summary import next_steps, summary_lines
from inplace.model.run import Operation, PodFailure
from inplace.runtime.observability.statistics import DurationStats, Summary
from tests.builders import NEW, NS, run

PHASES = {
    "drain": DurationStats(0.31, 0.62, "web-b"),
    "settle": DurationStats(5.0, 5.02, "web-a"),
    "restart": DurationStats(0.42, 1.18, "web-c"),
    "return": DurationStats(1.7, 12.3, "web-c"),
    "out": DurationStats(7.5, 19.1, "web-c"),
}
FAILURE = PodFailure(pod="web-c", uid="uid-web-c", reason="ImagePullBackOff", message="container app: no such image")


def summary(**fields: Any) -> Summary:
    base: dict[str, Any] = {
        "v": 1,
        "target": "deploy/web",
        "namespace": NS,
        "images": NEW,
        "outcome": "Succeeded",
        "message": "",
        "desired": 3,
        "updated": 3,
        "touched": 3,
        "same_uids": 3,
        "same_ips": 3,
        "restarts": 3,
        "seconds": 24.8,
        "phases": PHASES,
        "failures": (),
        "left": (),
    }
    return Summary(**{**base, **fields})


FAILED = summary(
    outcome="Failed",
    message="pod/web-c failed with ImagePullBackOff: container app: no such image",
    updated=2,
    failures=(FAILURE,),
    left=("pod/web-c is still closed (ImagePullBackOff)",),
)


def end_lines(shown: Summary, **of_run: Any) -> list[str]:
    context = CliContext(args=("upgrade", "deploy/web", "app=repo/app:2"))
    cluster = ClusterContext(None, NS, "https://fake", ("--context", "prod"), context)  # type: ignore[arg-type]
    stored = run(**of_run)
    return [*summary_lines(shown), *labelled(next_steps(shown, stored, cluster, stored.target, context.same_command()))]


@pytest.mark.parametrize(
    "shown",
    [
        summary(),
        FAILED,
        summary(outcome="Failed", message="deploy/web was deleted", updated=1, touched=0, phases={}),
        summary(outcome="Paused", message="waiting at step 2 of 3 for `inplace promote`", updated=1),
        summary(outcome="TimedOut", message="timed out after 10m", updated=1),
        summary(outcome="Interrupted", message="interrupted by Ctrl-C", updated=1),
    ],
    ids=["succeeded", "failed", "deleted", "paused", "timed out", "interrupted"],
)
def test_the_end_of_a_run(snapshot: SnapshotAssertion, shown: Summary) -> None:
    assert "\n".join(end_lines(shown)) == snapshot


def test_a_run_that_went_back_does_not_offer_to_go_back() -> None:
    back = summary(outcome="RolledBack", message=f"rolled back, because {FAILED.message}", failures=(FAILURE,))
    lines = end_lines(back, rollback_reason="Failure")
    assert lines[0].endswith("is back at its previous images after 25s: rolled back, because " + FAILED.message)
    assert not any(line.startswith("go back") for line in lines)


def test_what_a_run_has_done_without_is_a_warning_and_no_failure() -> None:
    lines = end_lines(summary(message="the images before are not in its history: the API server refuses: exceeded quota"))
    assert lines[1] == "  warning: the images before are not in its history: the API server refuses: exceeded quota"


def test_a_deployment_that_is_left_paused_is_said_beside_the_failures_of_pods() -> None:
    left = "deploy/web is left paused, so that nothing can be rolled out"
    shown = summary(outcome="Failed", message=left, failures=(FAILURE,), is_left_paused=True)
    assert summary_lines(shown)[0].endswith(f": {left}")


def test_a_run_that_was_watched_from_its_middle_is_told_whole_and_its_timings_are_of_what_was_seen() -> None:
    lines = summary_lines(summary(touched=1, same_uids=1, same_ips=1, restarts=1, seconds=120.0, watched_seconds=8.0))
    assert lines[0] == "deploy/web in default runs app=repo/app:2: 3 of 3 pods updated in 2m"
    assert lines[1:3] == [
        "  of 1 pod seen while watching for 8s:",
        "  same pods 1 of 1, same IPs 1 of 1, 1 container restart",
    ]


@pytest.mark.parametrize(("doing", "what"), [("Upgrade", "upgraded"), ("Undo", "rolled back")])
def test_pods_that_were_updated_before_a_pause_count_and_are_told_apart(doing: Operation, what: str) -> None:
    went_on = summary(desired=4, updated=4, touched=3, doing=doing)
    assert summary_lines(went_on)[0].endswith(f": 4 of 4 pods {what}, 3 of them this time, in 25s")


def test_many_failures_are_cut_short() -> None:
    failures = tuple(PodFailure(pod=f"web-{i}", uid=str(i), reason="Bad", message="bad") for i in range(12))
    lines = summary_lines(summary(outcome="Failed", failures=failures))
    assert lines[-1] == "  and 2 more failed pods"


def test_pods_that_were_not_drained_are_told_and_how_to_add_the_gate() -> None:
    shown = summary_lines(summary(undrained=2, gate="inplace.dev/ready"))
    at = shown.index("  2 of 3 pods not drained, without gate inplace.dev/ready; to drain in the future,")
    assert shown[at + 1].startswith("  see that somebody opens it on new pods")
    assert not any("drained" in line for line in summary_lines(summary()))


def test_pods_that_a_label_keeps_out_of_service_are_told() -> None:
    held = {"label inplace.dev/serve is false": ("web-a", "web-b")}
    shown = summary_lines(summary(held=held, gate="inplace.dev/ready"))
    told_ = "gate inplace.dev/ready is kept closed (label inplace.dev/serve is false): web-a, web-b"
    assert f"  out of service: 2 pods, whose {told_}" in shown
    assert not any("out of service:" in line for line in summary_lines(summary()))
