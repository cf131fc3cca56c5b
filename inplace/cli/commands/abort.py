"""`inplace abort`: rolls an unfinished run back in place, by the same steps and rules as the way forward."""

from __future__ import annotations

from collections.abc import Callable

from inplace.cli.common.connection import connect_target, connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import output_option, quiet_option, selector_option, words_argument
from inplace.cli.common.sections import command
from inplace.cli.output import streams
from inplace.cli.running.foreground import ForegroundOptions, print_message, run_foreground
from inplace.cli.running.holder_requests import Acknowledged, HolderGone, Released, describe_end, send_command
from inplace.cli.running.new_run import new_run
from inplace.model.refs import TargetRef
from inplace.model.run import Run
from inplace.runtime.foreground.target_status import read_status


@command()
@words_argument("TARGET")
@selector_option
@output_option("json")
@quiet_option
@connection_options
def abort(connect: Callable[[], ClusterContext], words: tuple[str, ...], selector: str, output: str | None, quiet: bool) -> int:
    """Abort a run and roll its pods back, in place.

    Removes every trace of the run from the pods and the workload. If the owner changed the template before the run, that change
    is kept. To stop now and go on later, use `pause`.

    If another process drives the run, asks that process to roll back, and waits. Otherwise rolls back here. A run that is
    already committing is finished first, and then undone.

    Exit codes: 0 the pods run their previous images, 1 a run on bare pods had already succeeded (it cannot be undone), 5 there
    is no run; otherwise as for `upgrade`.
    """
    cluster, target = connect_target(connect, words, selector)
    match send_command(cluster, target, "abort", until_it_ends=True):
        case Released(run=run) if run is not None and run.outcome in ("Aborted", "RolledBack"):
            message = f"{target} is back at its previous images: {run.message}"
            print_message(message, run.outcome, target, is_json=output == "json")
            return ExitCode.DONE
        case Released(run=None, last=last):
            return _abort_after_lease_deleted(cluster, target, last, is_json=output == "json")
        case Released(run=run) if run is not None and run.rollback_reason is not None:
            raise CommandExit(f"{target} could not be rolled back: {describe_end(run)}", ExitCode.FAILED)
        case Released(run=run) if run is not None and run.outcome == "Succeeded":
            streams.note(f"{target} had already succeeded: undoing it")
        case Released() | HolderGone() | Acknowledged():
            pass
    requested = new_run(cluster, target, {}, {})
    options = ForegroundOptions(
        is_json=output == "json", is_quiet=quiet, timeout_seconds=None, again=cluster.command("abort", target), wanted="Aborted"
    )
    return run_foreground(cluster, target, lambda session, on_frame: session.abort(requested, on_frame), options)


def _abort_after_lease_deleted(cluster: ClusterContext, target: TargetRef, last: Run, *, is_json: bool) -> ExitCode:
    """Infers from the pods' images how the run ended, since its holder has deleted the Lease, as it does for bare pods."""
    pods = read_status(cluster.api, target).pods if target.kind == "Pods" else ()

    def all_run(images: dict[str, str]) -> bool:
        return bool(pods and images) and all(pod.images.get(name) == images[name] for pod in pods for name in images)

    if all_run(last.from_images):
        print_message(f"{target} is back at its previous images", "Aborted", target, is_json=is_json)
        return ExitCode.DONE
    if all_run(last.requested_images):
        raise CommandExit(f"the run of {target} had already succeeded: nothing to abort", ExitCode.FAILED)
    status = cluster.command("status", target)
    raise CommandExit(f"the Lease of {target} is gone, so how its run ended is unknown; see: {status}", ExitCode.FAILED)
