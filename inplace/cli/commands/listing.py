"""`inplace list`: lists the runs of one namespace or of all."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from inplace.cli.common.connection import connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.documents import Runs
from inplace.cli.common.options import output_option
from inplace.cli.common.sections import command, option
from inplace.cli.output import streams, tables
from inplace.cli.output.text import images_text
from inplace.kube.clock import seconds_since
from inplace.model.durations import format_duration
from inplace.runtime.lease.run_states import RunState, list_run_states
from inplace.runtime.lookup import require_namespace

HEAD = ("TARGET", "IMAGES", "STEP", "OUTCOME", "HOLDER", "BY", "AGE")


@command("list")
@option("-A", "--all-namespaces", is_flag=True, section="Target", help="List the runs of all namespaces.")
@output_option("json", "yaml", "name", "wide")
@connection_options
def list_runs(connect: Callable[[], ClusterContext], all_namespaces: bool, output: str | None) -> None:
    """List runs: the active ones, and the last one of each target.

    Runs of bare pods are listed only until they end.
    """
    cluster = connect()
    states = list_run_states(cluster.api, None if all_namespaces else cluster.namespace)
    if output in ("json", "yaml"):
        streams.structured(Runs(tuple(states)), output)
    elif output == "name":
        where = "-n {} " if all_namespaces else ""
        streams.lines(f"{where.format(state.namespace)}{state.run.target}" for state in states if state.run is not None)
    elif not states:
        if not all_namespaces:
            require_namespace(cluster.api, cluster.namespace)
        streams.note("No runs found." if all_namespaces else f"No runs found in {cluster.namespace} namespace.")
    else:
        now = cluster.api.clock.utcnow()
        tables.show(("NAMESPACE", *HEAD), [_row(state, now) for state in states], is_wide=output == "wide")


def _row(state: RunState, now: datetime) -> tuple[str, ...]:
    run, outcome, holder = state.run, state.standing, state.holder or "-"
    if run is None:
        return (state.namespace, state.lease, "-", "-", outcome, holder, "-", "-")
    age = seconds_since(run.started_at, now)
    images, step = images_text(run.images), f"{min(run.steps_passed + 1, len(run.options.steps))}/{len(run.options.steps)}"
    return (
        state.namespace,
        str(run.target),
        images,
        step,
        outcome,
        holder,
        run.signature or "-",
        "-" if age is None else format_duration(round(age)),
    )
