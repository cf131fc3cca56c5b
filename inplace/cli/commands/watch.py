"""`inplace watch` and `status -w`: show a run that another process drives, live and to its end."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from inplace.cli.common.connection import connection_options
from inplace.cli.common.context import ClusterContext
from inplace.cli.common.options import (
    POSITIVE_DURATION,
    as_usage_error,
    output_option,
    quiet_option,
    selector_option,
    words_argument,
)
from inplace.cli.common.sections import command, option
from inplace.cli.common.targets import parse_target
from inplace.cli.running.foreground import ForegroundOptions, Result, run_foreground
from inplace.cli.running.via_controller import NO_CRD
from inplace.kube.errors import NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.refs import TargetRef
from inplace.model.rollout import InPlaceRollout
from inplace.model.validation import is_object_name
from inplace.runtime.errors import RefusedError
from inplace.runtime.foreground.followed_run import FollowedRun, LeaseRun, RolloutRun
from inplace.runtime.foreground.follower import Follower
from inplace.runtime.foreground.session import Session
from inplace.runtime.observability.frames import Frame

FOOTER = "Ctrl-C stops watching; the run goes on"


@command()
@words_argument("TARGET|ipr/NAME")
@selector_option
@option("--timeout", type=POSITIVE_DURATION, section="Execution", help="Stop watching after this time; exit code 3.")
@output_option("json")
@quiet_option
@connection_options
def watch(
    connect: Callable[[], ClusterContext],
    words: tuple[str, ...],
    selector: str,
    timeout: float | None,
    output: str | None,
    quiet: bool,
) -> int:
    """Watch a run to its end, whoever drives it.

    Shows the progress that `upgrade` shows, of a run that another terminal or the controller drives. Goes on across pauses, and
    follows a run that takes over. Changes nothing: Ctrl-C stops watching, and the run goes on.

    Does not wait for a run to begin. A run cannot be seen before its first write, so start `upgrade` first, and watch once it
    shows progress.

    Exit codes: 0 the run succeeded, 1 it failed or was rolled back, 4 it was aborted, 3 the run or the watching timed out, 130
    one of them was interrupted, 5 there is no run.
    """
    name = as_usage_error(rollout_name, words, selector)
    options = ForegroundOptions(
        is_json=output == "json", is_quiet=quiet, timeout_seconds=timeout, again="", follows=True, footer=FOOTER
    )
    if name is None:
        target = as_usage_error(parse_target, words, selector)
        cluster = connect()
        return watch_target(cluster, msgspec.structs.replace(target, namespace=cluster.namespace), options)
    return _watch_rollout(connect(), name, options)


def watch_target(cluster: ClusterContext, target: TargetRef, options: ForegroundOptions) -> int:
    return _watch(cluster, target, lambda session: LeaseRun(cluster.api, target, session.notify), options)


def _watch_rollout(cluster: ClusterContext, name: str, options: ForegroundOptions) -> int:
    rollout = _get_rollout(cluster, name)

    def subject(session: Session) -> FollowedRun:
        return RolloutRun(cluster.api, rollout, session.notify, through_pauses=True)

    return _watch(cluster, rollout.spec.target.ref(cluster.namespace), subject, options)


def _watch(
    cluster: ClusterContext, target: TargetRef, make_subject: Callable[[Session], FollowedRun], options: ForegroundOptions
) -> int:
    again = cluster.command("resume", target)

    def follow(session: Session, on_frame: Callable[[Frame], None]) -> Result:
        session.has_started = True  # from here on the follower handles Ctrl-C
        return Follower(session.view, make_subject(session), on_frame).follow()

    return run_foreground(cluster, target, follow, msgspec.structs.replace(options, again=again))


def _get_rollout(cluster: ClusterContext, name: str) -> InPlaceRollout:
    try:
        return cluster.api.get(INPLACE_ROLLOUTS, cluster.namespace, name)
    except NotFound as error:
        if "could not find the requested resource" in str(error):
            raise RefusedError(NO_CRD) from None
        raise RefusedError(f"inplacerollout/{name} does not exist in namespace {cluster.namespace}") from None


def rollout_name(words: tuple[str, ...], selector: str = "") -> str | None:
    """Returns the name in `ipr/NAME` or `ipr NAME`; None for any other target. Raises ValueError."""
    kind, slash, rest = words[0].partition("/") if words else ("", "", "")
    if not INPLACE_ROLLOUTS.matches(kind):
        return None
    names = [rest, *words[1:]] if slash else list(words[1:])
    if len(names) != 1 or selector or not is_object_name(names[0]):
        raise ValueError("name one InPlaceRollout, as ipr/NAME")
    return names[0]
