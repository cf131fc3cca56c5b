"""What a command reaches the outside with: the API server, the clock, and the words it was called by.

Tests put their own in; nothing that costs time is imported before it is needed.
"""

from __future__ import annotations

import shlex
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from inplace.kube.api import Api
    from inplace.kube.config import Connection, ConnectOptions
    from inplace.kube.seam import Clock
    from inplace.model.names import TargetRef


def _connect(options: ConnectOptions) -> Connection:
    from inplace.kube.config import connect

    return connect(options)


def _clock() -> Clock:
    from inplace.kube.clock import SystemClock

    return SystemClock()


@dataclass
class World:
    """`prog` is `inplace`, or `kubectl inplace` for the plugin; `args` is what followed it."""

    prog: str = "inplace"
    args: tuple[str, ...] = ()
    connect: Callable[[ConnectOptions], Connection] = _connect
    make_clock: Callable[[], Clock] = field(default=_clock)
    is_debugging: bool = False

    def same_command(self) -> str:
        """This very command line, to be typed again; a token is not shown."""
        return self.command(*_without_secrets(self.args))

    def command(self, *words: str) -> str:
        return shlex.join([*self.prog.split(), *words])


@dataclass(frozen=True)
class Cluster:
    """An API server, as the connection flags name it. `flags` repeat those that were given, but no secrets."""

    api: Api
    namespace: str
    host: str
    flags: tuple[str, ...]
    world: World

    def command(self, verb: str, target: TargetRef, *words: str) -> str:
        """A command on the same cluster, to be typed next."""
        from inplace.cli.targets import words_of

        return self.world.command(verb, *words_of(target), "-n", target.namespace, *self.flags, *words)


def _without_secrets(args: Sequence[str]) -> list[str]:
    shown: list[str] = []
    for i, arg in enumerate(args):
        hidden = i > 0 and args[i - 1] == "--token"
        shown.append("TOKEN" if hidden else "--token=TOKEN" if arg.startswith("--token=") else arg)
    return shown
