"""`inplace list`: the runs of a namespace, or of all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

import click

from inplace.cli import out
from inplace.cli.options import connected, output_option
from inplace.cli.status import outcome_of
from inplace.cli.text import images_text
from inplace.cli.world import Cluster
from inplace.model.quantity import format_duration
from inplace.runtime.overview import RunState, runs, seconds_since

HEAD = ("TARGET", "IMAGES", "STEP", "OUTCOME", "HOLDER", "AGE")


@click.command("list")
@click.option("-A", "--all-namespaces", is_flag=True, help="Of all namespaces.")
@output_option("json", "name")
@connected
def list_runs(connect: Callable[[], Cluster], all_namespaces: bool, output: str | None) -> None:
    """List runs: those that go on, and the last one of each target.

    Of bare pods those that have not ended: nothing is kept of the others.
    """
    cluster = connect()
    found = runs(cluster.api, None if all_namespaces else cluster.namespace)
    if output == "json":
        out.as_json({"v": 1, "items": found})
    elif output == "name":
        out.lines(str(state.run.target) for state in found if state.run is not None)
    elif not found:
        out.note("No runs found." if all_namespaces else f"No runs found in {cluster.namespace} namespace.")
    else:
        now = cluster.api.clock.utcnow()
        out.lines(out.table(("NAMESPACE", *HEAD), [_row(state, now) for state in found]))


def _row(state: RunState, now: datetime) -> tuple[str, ...]:
    run, outcome, holder = state.run, outcome_of(state), state.holder or "-"
    if run is None:
        return (state.namespace, state.lease, "-", "-", outcome, holder, "-")
    age = seconds_since(run.started_at, now)
    images, step = images_text(run.images), f"{min(run.steps_passed + 1, len(run.options.steps))}/{len(run.options.steps)}"
    return (
        state.namespace,
        str(run.target),
        images,
        step,
        outcome,
        holder,
        "-" if age is None else format_duration(round(age)),
    )
