"""Describes for a person how a run ended: its pods, its timing, its failures, and the commands to run next. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from inplace.cli.common.context import ClusterContext
from inplace.cli.output.text import images_text, plural
from inplace.engine.planning.steps import is_paused_by_steps
from inplace.engine.preflight.advisories import add_gate_hint
from inplace.model.durations import format_duration
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.observability.statistics import Summary

PHASES = {
    "drain": "Closing",
    "settle": "Settling",
    "restart": "Restarting",
    "return": "Returning",
    "out": "out of service",
}
"""Phases by their name in the JSON, with their name in the live view."""
MAX_FAILURES = 10


def summary_lines(summary: Summary) -> list[str]:
    return [
        _headline(summary),
        *_warning(summary),
        *_held(summary),
        *_proof(summary),
        *_timeline(summary),
        *_failures(summary),
        *(f"  {line}" for line in summary.left),
    ]


def _headline(summary: Summary) -> str:
    where, took = f"{summary.target} in {summary.namespace}", format_duration(summary.seconds)
    count = f"{summary.updated} of {plural(summary.desired, 'pod')} updated"
    match summary.outcome:
        case "Succeeded":
            done = _done(summary) if summary.watched_seconds is None else count
            return f"{where} runs {images_text(summary.images)}: {done} in {took}"
        case "Failed":
            # The reasons of the pods follow below; a run that an external change stopped has a reason of its own.
            is_explained_below = summary.failures and not summary.is_left_paused
            why = "" if is_explained_below else f": {summary.message}"
            return f"{where} failed after {took}, {count}{why}"
        case "RolledBack" | "Aborted":
            return f"{where} is back at its previous images after {took}: {summary.message}"
        case "Paused":
            return f"{where} is {summary.message or 'paused'}, {count}"
        case "TimedOut":
            return f"{where} {summary.message or 'timed out'}, {count}"
        case "Interrupted":
            return f"{where} was {summary.message or 'interrupted'}, {count}"


def _done(summary: Summary) -> str:
    """Says how many pods this session upgraded, if others were already updated, as in a run that was resumed."""
    what = "rolled back" if summary.doing == "Undo" else "upgraded"
    if summary.touched < summary.updated:
        return f"{summary.updated} of {plural(summary.desired, 'pod')} {what}, {summary.touched} of them this time,"
    return f"{plural(summary.touched, 'pod')} {what}"


def _warning(summary: Summary) -> Iterator[str]:
    """Yields a warning of a run that succeeded, but for something optional, or something that could not be verified."""
    if summary.outcome == "Succeeded" and summary.message:
        yield f"  warning: {summary.message}"


def _held(summary: Summary) -> Iterator[str]:
    """Yields the pods that are updated and verified, but out of service, since something keeps their gate closed."""
    for why, names in summary.held.items():
        shown = ", ".join(names[:MAX_FAILURES]) + (", ..." if len(names) > MAX_FAILURES else "")
        yield f"  out of service: {plural(len(names), 'pod')}, whose gate {summary.gate} is kept closed ({why}): {shown}"


def _proof(summary: Summary) -> Iterator[str]:
    if summary.touched:
        if summary.watched_seconds is not None:
            yield f"  of {plural(summary.touched, 'pod')} seen while watching for {format_duration(summary.watched_seconds)}:"
        same = f"same pods {summary.same_uids} of {summary.touched}, same IPs {summary.same_ips} of {summary.touched}"
        yield f"  {same}, {plural(summary.restarts, 'container restart')}"
    if summary.undrained:
        undrained = f"{summary.undrained} of {plural(summary.touched, 'pod')} not drained"
        yield f"  {undrained}, without gate {summary.gate}; to drain in the future,"
        yield f"  {add_gate_hint(summary.gate)}"


def _timeline(summary: Summary) -> Iterator[str]:
    if not summary.phases:
        return
    yield f"  {'':<16}{'median':>8}{'worst':>8}"
    for phase, name in PHASES.items():
        spread = summary.phases.get(phase)
        if spread is not None:
            median, worst = format_duration(spread.median), format_duration(spread.worst)
            yield f"  {name:<16}{median:>8}{worst:>8}  {spread.worst_pod}"


def _failures(summary: Summary) -> Iterator[str]:
    for failure in summary.failures[:MAX_FAILURES]:
        yield f"  pod/{failure.pod} {failure.reason}: {failure.message}"
    if len(summary.failures) > MAX_FAILURES:
        yield f"  and {plural(len(summary.failures) - MAX_FAILURES, 'more failed pod')}"


Hint = tuple[str, str]
"""What the command is for, and the command."""


def next_steps(summary: Summary, run: Run | None, cluster: ClusterContext, target: TargetRef, again: str) -> list[Hint]:
    """Returns the commands that the user may want next."""
    match summary.outcome:
        case "Succeeded" | "RolledBack" | "Aborted":
            return []
        case "Paused":
            verb = verb_onward(summary.message)
            return [(f"{verb} with", cluster.command(verb, target)), *_way_back(run, cluster, target)]
        case "TimedOut" | "Interrupted":
            return [("resume with", again), *_way_back(run, cluster, target)]
        case "Failed":
            return _after_failure(summary, run, cluster, target, again)


def _after_failure(summary: Summary, run: Run | None, cluster: ClusterContext, target: TargetRef, again: str) -> list[Hint]:
    if run is not None and summary.by_others:
        return start_over_hint(run, cluster, target)
    if run is None or not summary.failures:
        return [("try again with", again)]
    return after_failed_pods(run, cluster, target)


def after_failed_pods(run: Run, cluster: ClusterContext, target: TargetRef) -> list[Hint]:
    """Proposes other images: the same ones would mostly fail again."""
    placeholders = [f"{name}=IMAGE" for name in sorted(run.requested_images)]
    return [("retry with another image", upgrade_command(cluster, target, placeholders)), *way_back(run, cluster, target)]


def start_over_hint(run: Run, cluster: ClusterContext, target: TargetRef) -> list[Hint]:
    """Proposes a new run after an external change to the workload, which would also stop a resumed or aborted run."""
    images = [] if run.adopts_template else [f"{name}={image}" for name, image in sorted(run.requested_images.items())]
    hints = [("start over", upgrade_command(cluster, target, images))]
    return [*hints, ("go back", cluster.command("undo", target))] if run.from_images else hints


def way_back(run: Run, cluster: ClusterContext, target: TargetRef) -> list[Hint]:
    return [("go back", cluster.command("abort", target))] if run.from_images and not run.rolling_back else []


def _way_back(run: Run | None, cluster: ClusterContext, target: TargetRef) -> list[Hint]:
    return way_back(run, cluster, target) if run is not None and run.commit is None else []


def verb_onward(message: str) -> Literal["promote", "resume"]:
    """Returns the command that resumes a paused run with this message."""
    return "promote" if is_paused_by_steps(message) else "resume"


def upgrade_command(cluster: ClusterContext, target: TargetRef, images: list[str]) -> str:
    return cluster.context.command("upgrade", *target.cli_args, *images, "-n", target.namespace, *cluster.flags)
