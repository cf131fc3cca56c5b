"""Holds what a command needs of the outside: its command line, the API server, the clock, the signals.

Tests pass their own. Nothing that takes time to import is imported before it is needed.
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
    from inplace.runtime.controller.manager import Manager
    from inplace.runtime.gates.controller import GateController
    from inplace.runtime.run.backend import ControllerBackend, RunBackend


def _connect(options: ConnectOptions) -> Connection:
    from inplace.kube.connection.config import connect

    return connect(options)


def _clock() -> Clock:
    from inplace.kube.clock import SystemClock

    return SystemClock()


def _interrupt_handler(timeout_seconds: float | None) -> InterruptHandler:
    from inplace.cli.common.signals import SignalInterruptHandler

    return SignalInterruptHandler(timeout_seconds)


def _run_gate_controller(controller: GateController) -> None:
    from inplace.cli.common.signals import run_until_signal

    run_until_signal(controller.stop, controller.run)


def _run_manager(manager: Manager) -> None:
    from inplace.cli.common.signals import run_until_signal

    run_until_signal(manager.stop, manager.run)


@dataclass
class CliContext:
    """`prog` is `inplace`, or `kubectl inplace` for the plugin; `args` are its arguments.

    If `make_backend` returns None, sessions run on threads, and if `make_controller_backend` does, controllers do.
    `run_gate_controller` and `run_manager` run a gate controller or the whole controller until a signal comes.
    """

    prog: str = "inplace"
    args: tuple[str, ...] = ()
    connect: Callable[[ConnectOptions], Connection] = _connect
    make_clock: Callable[[], Clock] = field(default=_clock)
    make_backend: Callable[[], RunBackend | None] = lambda: None
    make_interrupt_handler: Callable[[float | None], InterruptHandler] = _interrupt_handler
    run_gate_controller: Callable[[GateController], None] = _run_gate_controller
    run_manager: Callable[[Manager], None] = _run_manager
    make_controller_backend: Callable[[], ControllerBackend | None] = lambda: None
    is_debugging: bool = False
    flags: tuple[str, ...] = ()
    """The flags that name the cluster, once they are parsed; kubectl has the same ones."""

    def same_command(self) -> str:
        """Returns this command line, to be typed again: without --timeout, which would expire again, and without the token."""
        return self.command(*_redacted_args(self.args))

    def command(self, *words: str) -> str:
        return shlex.join([*self.prog.split(), *words])


@dataclass(frozen=True)
class ClusterContext:
    """The API server that the connection flags name. `flags` repeats those flags, without secrets."""

    api: ApiClient
    namespace: str
    host: str
    flags: tuple[str, ...]
    context: CliContext

    @cached_property
    def caller(self) -> Caller:
        """The user who runs this command. Raises `ApiError`."""
        from inplace.runtime.caller import identify_caller

        return identify_caller(self.api)

    def command(self, verb: str, target: TargetRef, *words: str) -> str:
        """Returns a command line for the same cluster, to be typed next."""
        return self.context.command(verb, *target.cli_args, "-n", target.namespace, *self.flags, *words)


def _redacted_args(args: Sequence[str]) -> list[str]:
    shown: list[str] = []
    for before, arg in zip(("", *args), args, strict=False):
        if "--timeout" in (before, arg) or arg.startswith("--timeout="):
            continue
        shown.append("TOKEN" if before == "--token" else "--token=TOKEN" if arg.startswith("--token=") else arg)
    return shown
