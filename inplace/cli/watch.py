"""`inplace watch` and `status -w`: the live view of a run that somebody else drives, from anywhere, to its end."""

from __future__ import annotations

from collections.abc import Callable

import click
import msgspec

from inplace.cli.controlled import NO_CRD
from inplace.cli.driving import Result, Showing, drive
from inplace.cli.options import (
    POSITIVE_DURATION,
    connected,
    output_option,
    quiet_option,
    selector_option,
    understood,
    words_argument,
)
from inplace.cli.targets import parse_target
from inplace.cli.world import Cluster
from inplace.kube.errors import NotFound
from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.names import TargetRef, is_object_name
from inplace.model.rollout import InPlaceRollout
from inplace.runtime.following import Follower
from inplace.runtime.found import Refused
from inplace.runtime.frames import Frame
from inplace.runtime.session import Session
from inplace.runtime.subjects import ByLease, ByRollout, Subject

FOOTER = "Ctrl-C stops watching; the run goes on"


@click.command()
@words_argument("TARGET|ipr/NAME")
@selector_option
@click.option("--timeout", type=POSITIVE_DURATION, help="Stop watching after this time; exit code 3.")
@output_option("json")
@quiet_option
@connected
def watch(
    connect: Callable[[], Cluster],
    words: tuple[str, ...],
    selector: str,
    timeout: float | None,
    output: str | None,
    quiet: bool,
) -> int:
    """Watch a run to its end, whoever drives it.

    Shows what `upgrade` shows: of a run that another terminal or the controller drives, across pauses, and on to a run that
    takes over. Writes nothing; Ctrl-C stops watching, and the run goes on.

    Does not wait for a run to begin: before its first write nothing tells it from none. Start `upgrade` first, and watch once
    it shows progress.

    Exit codes: that of the run: 0 succeeded, 1 failed or rolled back, 4 aborted, 3 and 130 timed out and interrupted, as the
    watching may, too; 5 where there is no run.
    """
    name = understood(rollout_name, words, selector)
    how = Showing(output == "json", quiet, timeout, again="", follows=True, footer=FOOTER)
    if name is None:
        target = understood(parse_target, words, selector)
        cluster = connect()
        return watch_target(cluster, msgspec.structs.replace(target, namespace=cluster.namespace), how)
    return _watch_rollout(connect(), name, how)


def watch_target(cluster: Cluster, target: TargetRef, how: Showing) -> int:
    return _watch(cluster, target, lambda session: ByLease(cluster.api, target, session.said), how)


def _watch_rollout(cluster: Cluster, name: str, how: Showing) -> int:
    rollout = _found(cluster, name)

    def subject(session: Session) -> Subject:
        return ByRollout(cluster.api, rollout, session.said, through_pauses=True)

    return _watch(cluster, rollout.spec.target.ref(cluster.namespace), subject, how)


def _watch(cluster: Cluster, target: TargetRef, make: Callable[[Session], Subject], how: Showing) -> int:
    again = cluster.command("resume", target)

    def act(session: Session, told: Callable[[Frame], None]) -> Result:
        session.has_begun = True  # from here on Ctrl-C is ours to answer
        return Follower(session, make(session), told).follow()

    return drive(cluster, target, act, msgspec.structs.replace(how, again=again))


def _found(cluster: Cluster, name: str) -> InPlaceRollout:
    try:
        return cluster.api.get(INPLACE_ROLLOUTS, cluster.namespace, name)
    except NotFound as error:
        if "could not find the requested resource" in str(error):
            raise Refused(NO_CRD) from None
        raise Refused(f"inplacerollout/{name} does not exist in namespace {cluster.namespace}") from None


def rollout_name(words: tuple[str, ...], selector: str = "") -> str | None:
    """Of `ipr/NAME` or `ipr NAME`; None for any other target. Raises ValueError."""
    kind, slash, rest = words[0].partition("/") if words else ("", "", "")
    if not INPLACE_ROLLOUTS.is_called(kind):
        return None
    names = [rest, *words[1:]] if slash else list(words[1:])
    if len(names) != 1 or selector or not is_object_name(names[0]):
        raise ValueError("name one InPlaceRollout, as ipr/NAME")
    return names[0]
