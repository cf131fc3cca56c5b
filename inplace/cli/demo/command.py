"""`inplace demo`: changes an image in place and by a classic rollout, on a simulated cluster, and compares the two.

The upgrade in place is the unchanged product over HTTP; the rollout is a patch of the template, which the cluster's controllers
carry out. All output says that it is simulated.
"""

from __future__ import annotations

import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from typing import IO, Any

import click
import msgspec
from rich.console import Console
from rich.text import Text

from inplace.cli.common.context import CliContext
from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.options import STEPS, output_option, quiet_option
from inplace.cli.common.sections import command, option
from inplace.cli.demo.cluster import BOOT_SECONDS, NEW, OLD, DemoCluster, DemoError, embedded
from inplace.cli.demo.comparison import DemoReport, MethodResult, as_lines
from inplace.cli.demo.controller import controlled, follow
from inplace.cli.demo.meter import counted, traffic_text
from inplace.cli.demo.views import RolloutLines, RolloutLive
from inplace.cli.output import streams
from inplace.cli.output.streams import is_terminal
from inplace.cli.progress.lines import LineProgress
from inplace.cli.progress.live import LiveView
from inplace.cli.progress.views import ProgressView, Quiet
from inplace.cli.running.summary import summary_lines
from inplace.kube.clock import format_time
from inplace.kube.protocols import Clock
from inplace.model.refs import TargetRef
from inplace.model.run import PauseStep, Run, RunOptions
from inplace.runtime.caller import new_identity
from inplace.runtime.foreground.followed_run import FinishedUnseen
from inplace.runtime.foreground.session import Result, Session
from inplace.runtime.observability.statistics import Summary
from inplace.sim.traffic import Traffic

WEB, TWIN = "web", "twin"
SETTLE_SECONDS = 1.0


class DemoOptions(msgspec.Struct, frozen=True):
    pods: int
    speed: float
    seed: int
    steps: tuple[Any, ...]
    with_controller: bool


class DemoOutput:
    """Prints the demo: `view` shows the run in place, `watching` the rollout, `print` a line between them."""

    def __init__(self, *, is_quiet: bool, is_json: bool) -> None:
        self._is_quiet = is_quiet
        self._err = is_json
        self._stream: IO[str] = sys.stderr if is_json else sys.stdout
        self.is_live = not is_quiet and is_terminal(self._stream)

    def print(self, line: str = "") -> None:
        if not self._is_quiet:
            streams.lines([line], err=self._err)

    def view(self, target: TargetRef, clock: Clock, traffic: Traffic) -> ProgressView:
        if self._is_quiet:
            return Quiet()
        if self.is_live:
            return LiveView(target, self._stream, clock, lambda: traffic_text(traffic))
        return LineProgress(err=self._err, utcnow=clock.utcnow)

    @contextmanager
    def watching(self, cluster: DemoCluster, pods: int, traffic: Traffic) -> Iterator[Callable[[], None]]:
        """Yields a function to call whenever something may have changed."""
        if self._is_quiet:
            yield lambda: None
        elif self.is_live:
            with RolloutLive(cluster, TWIN, pods, self._stream, lambda: traffic_text(traffic)) as view:
                yield view.refresh
        else:
            yield RolloutLines(cluster, TWIN, pods, err=self._err).refresh


@command()
@option("--pods", type=click.IntRange(2, 50), default=10, metavar="N", help="Pods of each of the two apps (default: 10).")
@option("--steps", type=STEPS, default="20%,50%,100%", metavar="LIST", help="Steps, as for `upgrade` (default: 20%,50%,100%).")
@option(
    "--speed",
    type=click.FloatRange(0.5, 10),
    default=3,
    metavar="N",
    help="Simulated seconds per second (default: 3). At 1, the demo takes a minute.",
)
@option("--seed", type=int, default=1, metavar="N", help="Random seed of the simulated delays (default: 1).")
@option("--controller", "with_controller", is_flag=True, help="Let a controller carry out the upgrade, as an InPlaceRollout.")
@option("--keep", is_flag=True, help="Keep the cluster running until Ctrl-C, for kubectl and inplace.")
@output_option("json")
@quiet_option
@click.pass_obj
def demo(
    context: CliContext,
    pods: int,
    steps: tuple[Any, ...],
    speed: float,
    seed: int,
    with_controller: bool,
    keep: bool,
    output: str | None,
    quiet: bool,
) -> int:
    """Show an upgrade beside a classic rollout, on a simulated cluster.

    Needs no cluster and no root: a small model of Kubernetes runs inside this process, with its API on a loopback port. It runs
    two apps under traffic. `inplace upgrade` upgrades one of them, and a rollout that recreates the pods upgrades the other.

    \b
      inplace demo
      inplace demo --keep
    """
    if any(isinstance(step, PauseStep) and step.seconds is None for step in steps):
        raise click.UsageError("a demo cannot be resumed: give each pause a time, as in pause:5s", click.get_current_context())
    options, is_json = DemoOptions(pods, speed, seed, steps, with_controller), output == "json"
    shown, is_over = DemoOutput(is_quiet=quiet, is_json=is_json), False
    with _ends_cleanly():
        try:
            _introduce(shown, options)
            with embedded(speed, seed) as cluster:
                compared = _show(shown, cluster, options)
                _print(compared, is_json=is_json)
                is_over = True
                if keep:
                    _keep(cluster, context, is_json=is_json)
        except KeyboardInterrupt:
            if is_over:
                return ExitCode.DONE
            raise CommandExit("interrupted; the simulated cluster is gone", ExitCode.INTERRUPTED) from None
        except DemoError as error:
            raise CommandExit(f"the demo failed: {error}", ExitCode.FAILED) from None
    return ExitCode.DONE


def _introduce(output: DemoOutput, options: DemoOptions) -> None:
    pace = "" if options.speed == 1 else f"; its clock runs {options.speed:g} times as fast"
    output.print(f"Simulated: a cluster inside this process{pace}.")
    output.print()
    output.print(f"1. {options.pods} pods each of deploy/{WEB} and deploy/{TWIN} start: {OLD} boots {BOOT_SECONDS}s")


def _show(output: DemoOutput, cluster: DemoCluster, options: DemoOptions) -> DemoReport:
    cluster.create_app(WEB, options.pods, gated=True)
    cluster.create_app(TWIN, options.pods, gated=False)
    cluster.wait(lambda: all(cluster.is_rolled_out(name, options.pods) for name in (WEB, TWIN)), "starting both apps")
    in_place = _in_place(output, cluster, options)
    classic = _classic(output, cluster, options)
    output.print()
    return DemoReport(options.pods, options.speed, options.seed, in_place, classic)


def _in_place(output: DemoOutput, cluster: DemoCluster, options: DemoOptions) -> MethodResult:
    steps = ",".join(
        str(step.amount) if not isinstance(step, PauseStep) else f"pause:{step.seconds:g}s" for step in options.steps
    )
    left = " --controller" if options.with_controller else ""
    output.print(f"2. inplace upgrade deploy/{WEB} app={NEW} --settle {SETTLE_SECONDS:g}s --steps {steps}{left}")
    target = TargetRef(kind="Deployment", namespace="demo", name=WEB)
    overrides: dict[str, Any] = {"steps": options.steps, "settle_seconds": SETTLE_SECONDS}
    started_at = format_time(cluster.clock.utcnow())
    run = Run(
        id="demo", target=target, images={"app": NEW}, options=RunOptions(**overrides), created_by="demo", started_at=started_at
    )
    with cluster.traffic(WEB) as traffic:
        view = output.view(target, cluster.clock, traffic)
        meter = cluster.start_meter(WEB, options.pods)
        try:
            with ExitStack() as stack:
                if options.with_controller:
                    stack.enter_context(controlled(cluster, target.namespace))
                session = stack.enter_context(
                    Session(cluster.product, target, new_identity(), "upgrade", view.note, cluster.host)
                )
                if options.with_controller:
                    result: Result | FinishedUnseen = follow(cluster, session, run, view.update)
                else:
                    result = session.upgrade(run, overrides, view.update)
        finally:
            with suppress(Exception):
                view.close()
        measured = cluster.stop_meter(meter)
    if not isinstance(result, Summary) or result.outcome != "Succeeded":
        text = summary_lines(result)[0] if isinstance(result, Summary) else "it had nothing to do"
        raise DemoError(text)
    output.print(f"   done in {measured.seconds:.1f}s: {traffic_text(traffic)}")
    return MethodResult(measured, counted(traffic.short), counted(traffic.kept), traffic.kept.dropped, cluster.transport.writes)


def _classic(output: DemoOutput, cluster: DemoCluster, options: DemoOptions) -> MethodResult:
    output.print(f"3. kubectl set image deploy/{TWIN} app={NEW}")
    with cluster.traffic(TWIN) as traffic, output.watching(cluster, options.pods, traffic) as refresh:
        meter = cluster.start_meter(TWIN, options.pods)
        cluster.set_image(TWIN, NEW)
        cluster.wait(lambda: cluster.is_rolled_out(TWIN, options.pods), "the classic rollout", refresh)
        measured = cluster.stop_meter(meter)
    output.print(f"   done in {measured.seconds:.1f}s: {traffic_text(traffic)}")
    return MethodResult(measured, counted(traffic.short), counted(traffic.kept), traffic.kept.dropped, 1)


def _print(compared: DemoReport, *, is_json: bool) -> None:
    if is_json:
        streams.as_json(compared)
        return
    lines = as_lines(compared)
    if not is_terminal(sys.stdout):
        streams.lines(lines)
        return
    console = Console(highlight=False, markup=False, emoji=False)
    for number, line in enumerate(lines):
        console.print(Text(line, style="bold" if number == 0 else "", no_wrap=True, overflow="ellipsis"))


def _keep(cluster: DemoCluster, context: CliContext, *, is_json: bool) -> None:
    """Keeps the cluster running until interrupted."""
    pace = "" if cluster.speed == 1 else f", {cluster.speed:g} times as fast as your clock"
    streams.lines(
        [
            "",
            f"The simulated cluster keeps running until Ctrl-C{pace}. In another shell:",
            f"  export KUBECONFIG={cluster.kubeconfig}",
            "  kubectl get pods -o wide",
            f"  {context.command('upgrade', f'deploy/{WEB}', 'app=demo/app:3')}",
        ],
        err=is_json,
    )
    threading.Event().wait()


@contextmanager
def _ends_cleanly() -> Iterator[None]:
    """Ends the demo on SIGTERM and SIGHUP as on Ctrl-C."""
    before = {}

    def end(_number: int, _frame: Any) -> None:
        raise KeyboardInterrupt

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is not signal.SIG_IGN:
            before[number] = signal.signal(number, end)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
