"""`inplace status`: shows a target's run and pods, which gates are closed and by whom, and the commands to go on."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import click
import msgspec

from inplace.cli.commands.watch import FOOTER, watch_target
from inplace.cli.common.connection import connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.options import as_usage_error, output_option, selector_option, words_argument
from inplace.cli.common.sections import command, option
from inplace.cli.common.targets import parse_target
from inplace.cli.output import streams, tables, tree
from inplace.cli.output.text import counts_text, images_text, labelled, plural
from inplace.cli.running.foreground import ForegroundOptions
from inplace.cli.running.summary import Hint, after_failed_pods, start_over_hint, verb_onward, way_back
from inplace.engine.planning.plan import within
from inplace.engine.status.run_state import StepView
from inplace.model.durations import format_duration
from inplace.model.refs import TargetRef
from inplace.model.run import TERMINAL_OUTCOMES, Run
from inplace.runtime.foreground.target_status import PodState, TargetStatus, read_status
from inplace.runtime.lease.run_states import RunState


@command()
@words_argument("TARGET")
@selector_option
@option("-w", "--watch", "watches", is_flag=True, section="Output", help="Watch the run to its end, as `inplace watch` does.")
@output_option("json", "yaml", "wide")
@connection_options
def status(
    connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, watches: bool, output: str | None
) -> int | None:
    """Show a target's run and its pods.

    Prints a tree: the workload, its ReplicaSets or revisions, their pods, and the images of their containers. -o wide prints
    one row per pod, with its node and all of its images.

    The holder of a run counts as alive if it renewed its Lease recently, by this machine's clock.
    """
    target = as_usage_error(parse_target, words, selector)
    cluster = connect()
    target = msgspec.structs.replace(target, namespace=cluster.namespace)
    if watches:
        if output is not None:
            raise click.UsageError("-w shows a live view; for JSON, use `inplace watch -o json`", click.get_current_context())
        return watch_target(
            cluster,
            target,
            ForegroundOptions(is_json=False, is_quiet=False, timeout_seconds=None, again="", follows=True, footer=FOOTER),
        )
    current = read_status(cluster.api, target)
    if output in ("json", "yaml"):
        streams.structured(current, output)
        return None
    first, *more = run_lines(current)
    tables.show_line(first, current.state.standing if current.state is not None else "")
    tables.show_lines([*more, ""])
    if output == "wide":
        _show_pods(current.pods)
    else:
        tables.show(tree.HEAD, tree.rows(current))
    for line in labelled(hints(current, cluster, target)):
        streams.note(line)
    return None


def run_lines(status: TargetStatus) -> Iterator[str]:
    where, state = f"{status.target} in {status.namespace}", status.state
    if state is None:
        yield f"{where} has no run"
        yield from (f"  now        {text}" for text in status.standing)
    elif state.run is None:
        yield f"{where}: {state.problem or f'Lease {state.lease} holds no run'}"
    else:
        yield f"{where}: {state.description}"
        yield from _progress(status)
        yield from _about(state, state.run)
        yield from (f"  now        {text}" for text in status.standing)
    if status.new_pods is not None:
        yield f"  gate       {status.new_pods.type}: {status.new_pods.message}"
    closed = [pod for pod in status.pods if pod.closed_by]
    if closed:
        yield f"  closed     {plural(len(closed), 'pod')}"


def _progress(status: TargetStatus) -> Iterator[str]:
    """Yields the progress of the run, and what it is waiting for."""
    counts, state = status.counts, status.state
    if counts is None or state is None or state.run is None or state.superseded:
        return
    count, word = (counts.restored, "back") if state.run.rolling_back else (counts.updated, "updated")
    arrived = f"{count} of {plural(counts.desired, 'pod')} {word}"
    yield f"  pods       {counts_text(arrived, counts.in_flight, counts.failed, counts.unavailable)}"
    if status.waiting:
        yield f"  waits for  {within(status.waiting, 0.0, None, status.waiting_left_seconds)}"


def _step(step: StepView) -> str:
    match step.state:
        case "done":
            return f"{step.name} (done)"
        case "here":
            left = f", {format_duration(step.left_seconds)} left" if step.left_seconds is not None else ""
            return f"{step.name} (here{left})"
        case "ahead":
            return step.name


def _about(state: RunState, run: Run) -> Iterator[str]:
    """Yields the run's images, steps, holder and failures."""
    direction = "" if not run.rolling_back else " (rolling back)" if run.outcome not in TERMINAL_OUTCOMES else " (rolled back)"
    yield f"  images     {images_text(run.images)}{direction}"
    if run.images_before_admission:
        yield f"  requested  {images_text(run.images_before_admission)}, which admission changes to the above"
    if run.pod_images:
        yield f"  on pods    {images_text(run.pod_images)}, to which admission changes them there"
    if run.from_images:
        yield f"  previous   {images_text(run.from_images)}"
    by, since = f", by {run.signature}" if run.created_by else "", f", since {run.started_at}" if run.started_at else ""
    yield f"  run        {run.id}{by}{since}"
    if state.steps and run.outcome not in TERMINAL_OUTCOMES and not run.rolling_back:
        yield f"  steps      {', '.join(map(_step, state.steps))}"
    if state.holder:
        yield f"  holder     {state.holder}, {_renewed(state)}"
    if state.request:
        yield f"  request    {state.request} (pending)"
    for failure in run.failures:
        yield f"  failed     pod/{failure.pod} {failure.reason}: {failure.message}"
    if run.more_failed:
        yield f"  failed     {plural(run.more_failed, 'more pod')}"


def _renewed(state: RunState) -> str:
    if state.renewed_seconds_ago is None:
        return "never renewed its Lease"
    age = format_duration(round(state.renewed_seconds_ago))
    return f"renewed {age} ago" if state.seems_alive else f"seems dead: last renewed {age} ago"


def _show_pods(pods: tuple[PodState, ...]) -> None:
    rows = [("POD", *tree.HEAD[1:]), *((pod.name, *tree.cells(pod, pod.images)) for pod in pods)]
    if not any(pod.stage for pod in pods):
        at = tree.HEAD.index("STAGE")
        rows = [row[:at] + row[at + 1 :] for row in rows]
    tables.show(rows[0], rows[1:], is_wide=True)


def hints(status: TargetStatus, cluster: ClusterContext, target: TargetRef) -> Iterator[Hint]:
    """Yields the commands that the user may want next."""
    state = status.state
    if state is None or state.run is None:
        return
    run = state.run
    if state.holder and state.seems_alive and run.outcome is None:
        yield "watch it", cluster.command("watch", target)
        yield "pause it", cluster.command("pause", target)
        yield "go back", cluster.command("abort", target)
    elif status.is_overtaken:
        yield from start_over_hint(run, cluster, target)
    elif run.outcome == "Failed" and run.failures:
        yield from after_failed_pods(run, cluster, target)
    elif run.is_unfinished:
        verb = verb_onward(run.message)
        yield verb, cluster.command(verb, target)
        yield from way_back(run, cluster, target)
    elif state.holder:
        yield "free its lock", cluster.command("repair", target)
