"""Runs the installed `inplace` as its users do: another process, a kubeconfig, an exit code."""

import signal
import subprocess
import sys
from pathlib import Path

from tests.cluster import Cluster
from tests.cluster.processes import environment
from tests.scenarios.cluster_under_test import Result

PROGRAM = Path(sys.executable).parent / "inplace"


class Background:
    """A running command. Its output goes to files, so that it can be read at any time and never blocks."""

    def __init__(self, args: tuple[str, ...], env: dict[str, str], out: Path) -> None:
        self.was_sent: signal.Signals | None = None
        self._files = out.with_suffix(".stdout"), out.with_suffix(".stderr")
        with self._files[0].open("wb") as stdout, self._files[1].open("wb") as stderr:
            self.process = subprocess.Popen(
                [PROGRAM, *args], env=env, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True
            )

    @property
    def stdout(self) -> str:
        return self._files[0].read_text()

    @property
    def stderr(self) -> str:
        return self._files[1].read_text()

    def send(self, number: signal.Signals) -> None:
        self.was_sent = number
        self.process.send_signal(number)

    def wait(self, timeout: float = 300) -> Result:
        try:
            code = self.process.wait(timeout)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"inplace still runs after {timeout:g} s:\n{self.stdout}\n{self.stderr}") from None
        return Result(code, self.stdout, self.stderr)


class Inplace:
    """`inplace("upgrade", "deploy/web", ...)` runs to the end; `inplace.start(...)` does not wait."""

    def __init__(self, cluster: Cluster, namespace: str, folder: Path) -> None:
        self.cluster, self.namespace, self.folder = cluster, namespace, folder
        self._started: list[Background] = []

    def __call__(self, *args: str, token: str | None = None, env: dict[str, str] | None = None, timeout: float = 300) -> Result:
        return self.start(*args, token=token, env=env).wait(timeout)

    def start(self, *args: str, token: str | None = None, env: dict[str, str] | None = None) -> Background:
        """`token` runs it as another user, for instance `cluster.viewer_token`."""
        stem = self.folder / f"inplace-{len(self._started)}"
        config = self.cluster.kubeconfig_for(token or self.cluster.token, stem.with_suffix(".kubeconfig"), self.namespace)
        settings = {**environment(), "KUBECONFIG": str(config), "CI": "true", **(env or {})}
        command = Background(args, settings, stem)
        self._started.append(command)
        return command

    def stop_all(self) -> None:
        for command in self._started:
            command.process.kill()
            command.process.wait()
