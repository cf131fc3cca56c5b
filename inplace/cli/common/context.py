"""What a command reaches the outside with: the API server, the clock, and the words it was called by.

Tests put their own in; nothing that costs time is imported before it is needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inplace.cli.common.signals import InterruptHandler
    from inplace.kube.api import ApiClient
    from inplace.kube.connection.config import Connection, ConnectOptions
    from inplace.kube.protocols import Clock
    from inplace.model.refs import TargetRef
    from inplace.runtime.caller import Caller
    from inplace.runtime.controller.backend import ControllerBackend
    from inplace.runtime.controller.manager import Manager
    from inplace.runtime.gates.reconciler import GateController
    from inplace.runtime.run.backend import RunBackend


def _connect(options: ConnectOptions) -> Connection:
    from inplace.kube.connection.config import connect

    return connect(options)


def _clock() -> Clock:
    from inplace.kube.clock import SystemClock

    return SystemClock()


def _stopper(timeout_seconds: float | None) -> InterruptHandler:
    from inplace.cli.common.signals import SignalStopper

    return SignalStopper(timeout_seconds)


def _keep_gates(controller: GateController) -> None:
    from inplace.cli.common.signals import run_until_signal

    run_until_signal(controller.stop, controller.run)


def _run_manager(manager: Manager) -> None:
    from inplace.cli.common.signals import run_until_signal

    run_until_signal(manager.stop, manager.run)


@dataclass
class CliContext:
    """`prog` is `inplace`, or `kubectl inplace` for the plugin; `args` is what followed it.

    Sessions run on threads where `make_host` makes None, controllers where `make_controller_backend` does. `keep_gates` runs a
    gate controller until it is told to stop, `run_manager` a whole controller.
    """

    prog: str = "inplace"
    args: tuple[str, ...] = ()
    connect: Callable[[ConnectOptions], Connection] = _connect
    make_clock: Callable[[], Clock] = field(default=_clock)
    make_host: Callable[[], RunBackend | None] = lambda: None
    make_stopper: Callable[[float | None], InterruptHandler] = _stopper
    keep_gates: Callable[[GateController], None] = _keep_gates
    run_manager: Callable[[Manager], None] = _run_manager
    make_controller_backend: Callable[[], ControllerBackend | None] = lambda: None
    is_debugging: bool = False
    flags: tuple[str, ...] = ()
    """Those that name the cluster, once they are known; kubectl has the same."""

    def same_command(self) -> str:
        """This very command line, to be typed again: without --timeout, which would run out again; a token is not shown."""
        return self.command(*_redacted_args(self.args))

    def command(self, *words: str) -> str:
        return shlex.join([*self.prog.split(), *words])


@dataclass(frozen=True)
class ClusterContext:
    """An API server, as the connection flags name it. `flags` repeat those that were given, but no secrets."""

    api: ApiClient
    namespace: str
    host: str
    flags: tuple[str, ...]
    world: CliContext

    @cached_property
    def who(self) -> Caller:
        """Who gives this command. Raises `ApiError`."""
        from inplace.runtime.caller import identify_caller

        return identify_caller(self.api)

    def command(self, verb: str, target: TargetRef, *words: str) -> str:
        """A command on the same cluster, to be typed next."""
        return self.world.command(verb, *target.words, "-n", target.namespace, *self.flags, *words)


def _redacted_args(args: Sequence[str]) -> list[str]:
    shown: list[str] = []
    for before, arg in zip(("", *args), args, strict=False):
        if "--timeout" in (before, arg) or arg.startswith("--timeout="):
            continue
        shown.append("TOKEN" if before == "--token" else "--token=TOKEN" if arg.startswith("--token=") else arg)
    return shown
