"""`inplace demo`: the same change of image twice, in place and as a classic rollout, on a simulated cluster; then side by side.

The first is the product as it is, over HTTP; the second is a patch of the template, carried out by the controllers. Everything
that is shown here is simulated, and says so.
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
from inplace.cli.common.options import STEPS, output_option
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
from inplace.runtime.foreground.followed_run import FinishedUnseen
from inplace.runtime.foreground.session import Result, Session, identity
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
    """Where the demo speaks: `view` for the run in place, `watching` for the rollout, `say` for a line between them."""

    def __init__(self, *, is_quiet: bool, is_json: bool) -> None:
        self._is_quiet = is_quiet
        self._err = is_json
        self._stream: IO[str] = sys.stderr if is_json else sys.stdout
        self.is_live = not is_quiet and is_terminal(self._stream)

    def say(self, line: str = "") -> None:
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
        """Yields what is to be called whenever something may have changed."""
        if self._is_quiet:
            yield lambda: None
        elif self.is_live:
            with RolloutLive(cluster, TWIN, pods, self._stream, lambda: traffic_text(traffic)) as view:
                yield view.look
        else:
            yield RolloutLines(cluster, TWIN, pods, err=self._err).look


@click.command()
@click.option("--pods", type=click.IntRange(2, 50), default=10, show_default=True, help="Pods of each of the two apps.")
@click.option("--steps", type=STEPS, default="20%,50%,100%", show_default=True, metavar="LIST", help="Steps, as for `upgrade`.")
@click.option(
    "--speed",
    type=click.FloatRange(0.5, 10),
    default=3,
    show_default=True,
    help="Simulated seconds per second; 1 takes a minute.",
)
@click.option("--seed", type=int, default=1, show_default=True, help="Seed of the simulated delays.")
@click.option("--controller", "with_controller", is_flag=True, help="Run it with a controller, as an InPlaceRollout.")
@click.option("--keep", is_flag=True, help="Keep the cluster running until Ctrl-C, for kubectl and inplace.")
@output_option("json")
@click.option("-q", "--quiet", is_flag=True, help="No progress, only the result.")
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

    Needs no cluster and no root: a small model of Kubernetes runs inside this process, with its API on a loopback port, and two
    apps under traffic. One gets its new image by `inplace upgrade`, the other by a rollout that recreates its pods.

    \b
      inplace demo
      inplace demo --keep
    """
    if any(isinstance(step, PauseStep) and step.seconds is None for step in steps):
        raise click.UsageError("a demo cannot be resumed: give each pause a time, as in pause:5s", click.get_current_context())
    asked, is_json = DemoOptions(pods, speed, seed, steps, with_controller), output == "json"
    stage, is_over = DemoOutput(is_quiet=quiet, is_json=is_json), False
    with _ends_cleanly():
        try:
            _introduce(stage, asked)
            with embedded(speed, seed) as cluster:
                compared = _show(stage, cluster, asked)
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


def _introduce(stage: DemoOutput, asked: DemoOptions) -> None:
    pace = "" if asked.speed == 1 else f"; its clock runs {asked.speed:g} times as fast"
    stage.say(f"Simulated: a cluster inside this process{pace}.")
    stage.say()
    stage.say(f"1. {asked.pods} pods each of deploy/{WEB} and deploy/{TWIN} start: {OLD} boots {BOOT_SECONDS}s")


def _show(stage: DemoOutput, cluster: DemoCluster, asked: DemoOptions) -> DemoReport:
    cluster.create_app(WEB, asked.pods, gated=True)
    cluster.create_app(TWIN, asked.pods, gated=False)
    cluster.wait(lambda: all(cluster.is_rolled_out(name, asked.pods) for name in (WEB, TWIN)), "starting both apps")
    in_place = _in_place(stage, cluster, asked)
    classic = _classic(stage, cluster, asked)
    stage.say()
    return DemoReport(asked.pods, asked.speed, asked.seed, in_place, classic)


def _in_place(stage: DemoOutput, cluster: DemoCluster, asked: DemoOptions) -> MethodResult:
    steps = ",".join(
        str(step.amount) if not isinstance(step, PauseStep) else f"pause:{step.seconds:g}s" for step in asked.steps
    )
    left = " --controller" if asked.with_controller else ""
    stage.say(f"2. inplace upgrade deploy/{WEB} app={NEW} --settle {SETTLE_SECONDS:g}s --steps {steps}{left}")
    target = TargetRef(kind="Deployment", namespace="demo", name=WEB)
    given: dict[str, Any] = {"steps": asked.steps, "settle_seconds": SETTLE_SECONDS}
    started_at = format_time(cluster.clock.utcnow())
    run = Run(
        id="demo", target=target, images={"app": NEW}, options=RunOptions(**given), created_by="demo", started_at=started_at
    )
    with cluster.traffic(WEB) as traffic:
        view = stage.view(target, cluster.clock, traffic)
        gauge = cluster.gauge(WEB, asked.pods)
        try:
            with ExitStack() as stack:
                if asked.with_controller:
                    stack.enter_context(controlled(cluster, target.namespace))
                session = stack.enter_context(Session(cluster.product, target, identity(), "upgrade", view.note, cluster.host))
                if asked.with_controller:
                    result: Result | FinishedUnseen = follow(cluster, session, run, view.update)
                else:
                    result = session.upgrade(run, given, view.update)
        finally:
            with suppress(Exception):
                view.close()
        measured = cluster.measured(gauge)
    if not isinstance(result, Summary) or result.outcome != "Succeeded":
        text = summary_lines(result)[0] if isinstance(result, Summary) else "it had nothing to do"
        raise DemoError(text)
    stage.say(f"   done in {measured.seconds:.1f}s: {traffic_text(traffic)}")
    return MethodResult(measured, counted(traffic.short), counted(traffic.kept), traffic.kept.dropped, cluster.transport.writes)


def _classic(stage: DemoOutput, cluster: DemoCluster, asked: DemoOptions) -> MethodResult:
    stage.say(f"3. kubectl set image deploy/{TWIN} app={NEW}")
    with cluster.traffic(TWIN) as traffic, stage.watching(cluster, asked.pods, traffic) as look:
        gauge = cluster.gauge(TWIN, asked.pods)
        cluster.set_image(TWIN, NEW)
        cluster.wait(lambda: cluster.is_rolled_out(TWIN, asked.pods), "the classic rollout", look)
        measured = cluster.measured(gauge)
    stage.say(f"   done in {measured.seconds:.1f}s: {traffic_text(traffic)}")
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
    """Until interrupted."""
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
    """SIGTERM and SIGHUP end it as Ctrl-C does."""
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
