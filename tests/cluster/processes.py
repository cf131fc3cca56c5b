"""Start the cluster's programs and stop exactly those again, also from a later process."""

import os
import signal
import subprocess
from pathlib import Path

from tests.cluster.paths import Instance, write

# Kept, so that Python neither warns about children that still run nor leaves zombies after `stop`.
_children: dict[int, "subprocess.Popen[bytes]"] = {}


class ClusterError(Exception):
    """Something the person who started the cluster can act on."""


def run(*command: str | Path, cwd: Path | None = None, env: dict[str, str] | None = None, check: bool = True) -> str:
    """Run a helper program to its end; its output matters only if it fails."""
    done = subprocess.run([str(c) for c in command], cwd=cwd, env=env, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if check and done.returncode:
        raise ClusterError(f"{' '.join(map(str, command))}: exit code {done.returncode}\n{done.stderr.strip()}")
    return done.stdout


def environment() -> dict[str, str]:
    """Without proxies: cluster traffic must never be sent to one."""
    return {k: v for k, v in os.environ.items() if not k.lower().endswith("_proxy") and not k.startswith("GO")}


def start(instance: Instance, name: str, *command: str | Path, keep: tuple[int, ...] = ()) -> None:
    """Start a daemon that outlives us; `keep` are file descriptors it inherits."""
    instance.run.mkdir(parents=True, exist_ok=True)
    log = instance.state / "logs" / f"{name}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as out:
        child = subprocess.Popen(
            [str(c) for c in command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=instance.state,
            env=environment(),
            start_new_session=True,
            pass_fds=keep,
        )
    _children[child.pid] = child
    write(instance.run / f"{name}.pid", f"{child.pid} {born(child.pid)}")


def born(pid: int) -> str | None:
    """The start time of a living process: a recorded id may by now be somebody else's."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return None if fields[0] == "Z" else fields[19]


def recorded(instance: Instance) -> list[int]:
    """The ids of this instance's daemons that still live."""
    alive = []
    for file in instance.run.glob("*.pid"):
        pid, _, start_time = file.read_text().partition(" ")
        if start_time and born(int(pid)) == start_time:
            alive.append(int(pid))
    return alive


def kill(pid: int) -> None:
    """SIGKILL: everything here is thrown away anyway, and a graceful API server takes seconds."""
    try:
        os.kill(pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    if child := _children.pop(pid, None):
        child.wait()
