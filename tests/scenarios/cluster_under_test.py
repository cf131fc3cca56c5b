"""What a scenario needs of a cluster: a namespace in it, the command `inplace` against it, a witness, and time.

Two clusters implement it: a real one (`real`), on the wall clock, and the embedded one (`virtual`), where waiting takes no
time. Whatever can be said with these few words is said once, in `Scene`; a scenario never asks which of the two it is on.
"""

from __future__ import annotations

import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Literal, Protocol, TypeVar

from tests.recorder import Object, Witness
from tests.scenarios.policies import Policy

T = TypeVar("T")
Moment = Literal["before", "after"]

JSON = "application/json"
MERGE = "application/merge-patch+json"
STRATEGIC = "application/strategic-merge-patch+json"
JSON_PATCH = "application/json-patch+json"
APPLY = "application/apply-patch+yaml"


@dataclass(frozen=True)
class Result:
    """`code` is as a shell's parent sees it: minus the signal where one killed it."""

    code: int
    stdout: str
    stderr: str


class Running(Protocol):
    """A command that was started. What it has written can be read at any time."""

    @property
    def stdout(self) -> str: ...

    @property
    def stderr(self) -> str: ...

    def send(self, number: signal.Signals) -> None: ...

    def wait(self, timeout: float = 300) -> Result: ...


def kill(command: Running) -> None:
    """With no chance to say or free anything; it is gone when this returns."""
    command.send(signal.SIGKILL)
    command.wait()


OnWrite = Callable[[Running, str, Moment], None]
"""Told of each write of a command, as `PATCH /api/... {body}`: before the API server gets it, and after it has answered, before
the command hears of it. Where the command was killed meanwhile nothing more is passed on."""


@dataclass(frozen=True)
class Probe:
    """One request of a client. `at` is by the stage's clock; `body` is what answered, or the error."""

    at: float
    ok: bool
    body: str


class Client(AbstractContextManager["Client"], Protocol):
    """Sends requests, each on a new connection, while its `with` block runs."""

    probes: list[Probe]

    @property
    def failures(self) -> list[Probe]: ...

    @property
    def bodies(self) -> set[str]:
        """All versions that ever answered."""
        ...


class LateRegistry(Protocol):
    """Nobody answers at `name` before `come`; then it has what the stage's own registry has."""

    name: str

    def come(self) -> None: ...


class ClusterUnderTest(Protocol):
    @property
    def registry(self) -> str:
        """What image names begin with. It has `app:1` to `app:4`, `app:2b` (the same digest as 2), `side:1`, `side:2`,
        `app:crash`, `app:mute` (runs, never listens), `app:nocommand` and `app:badcommand` (cannot be run), and no
        `app:missing`."""
        ...

    @property
    def namespace(self) -> str: ...

    @property
    def witness(self) -> Witness: ...

    @property
    def quiet_seconds(self) -> float:
        """How long a workload at rest is watched."""
        ...

    def request(self, method: str, path: str, body: Any = None, content_type: str = JSON, **query: str) -> tuple[int, Object]:
        """To the API server, as some client; the status code and what came with it."""
        ...

    def now(self) -> float:
        """Seconds, by the clock of the witness's arrivals."""
        ...

    def let_pass(self, seconds: float) -> None: ...

    def until(self, predicate: Callable[[], T], what: str, seconds: float = 120, every: float = 0.1) -> T:
        """The first truthy value. Assertion errors count as "not yet"."""
        ...

    def start(self, *args: str, on_write: OnWrite | None = None) -> Running:
        """`inplace` with these arguments."""
        ...

    def enforce(self, policy: Policy) -> Callable[[], None]:
        """In this namespace, until the test ends or what is returned is called. Sooner or later: `Scene.enforce` waits."""
        ...

    def digest(self, ref: str) -> str:
        """Of an image in the registry: `sha256:...`."""
        ...

    def push(self, ref: str, version: str) -> None:
        """One more image."""
        ...

    def late_registry(self) -> LateRegistry: ...

    def client_of_service(self, service: str, interval: float) -> Client: ...

    def client_of_pod(self, pod: Object, interval: float) -> Client: ...
