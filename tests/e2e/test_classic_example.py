"""examples/readiness-gate/README.md tells the truth: its own commands, pasted in order into one shell, print what it says.

The convention: every `sh` block is run; the `text` block right below is its whole output, and no such block means none. Ages,
times, addresses and node names may differ, and so may the width of columns.
"""

import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from os import killpg
from pathlib import Path

from tests.cluster import Cluster
from tests.cluster.paths import binaries
from tests.cluster.processes import environment
from tests.e2e.command import PROGRAM

FOLDER = Path(__file__).parents[2] / "examples" / "readiness-gate"
BLOCK = re.compile(r"^```sh\n(?P<commands>.*?)^```\n(?:```text\n(?P<printed>.*?)^```$)?", re.MULTILINE | re.DOTALL)
MARK = "--- end of block ---"
DIFFERS = (
    (r"\b\d\d:\d\d:\d\d\b", "TIME"),
    (r"\b\d+(\.\d+){3}\b", "IP"),
    (r"\b\d+m?s\b", "AGE"),
    (r"\bnode\d+\b", "NODE"),
)


@dataclass(frozen=True)
class Block:
    commands: str
    printed: str


def blocks(text: str) -> Iterator[Block]:
    for found in BLOCK.finditer(text):
        yield Block(found["commands"], found["printed"] or "")


def comparable(printed: str) -> list[str]:
    for pattern, word in DIFFERS:
        printed = re.sub(pattern, word, printed)
    return [" ".join(line.split()) for line in printed.splitlines() if line.strip()]


def paste(script: str, folder: Path, env: dict[str, str], seconds: float = 120) -> str:
    """Everything that a shell prints, errors too. Whatever it has started is ended."""
    shell = subprocess.Popen(
        ["bash"],
        cwd=folder,
        env=env,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        return shell.communicate(script, seconds)[0]
    finally:
        with suppress(ProcessLookupError):
            killpg(shell.pid, signal.SIGKILL)
        shell.communicate()


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return int(listener.getsockname()[1])


def test_the_readme_prints_what_it_says(cluster: Cluster, ns: str, tmp_path: Path) -> None:
    folder = shutil.copytree(FOLDER, tmp_path / "example")
    env = {
        **environment(),
        "KUBECONFIG": str(cluster.kubeconfig_for(cluster.token, tmp_path / "kubeconfig", ns)),
        "PATH": f"{binaries()}:{PROGRAM.parent}:{environment()['PATH']}",
        "IMAGE": f"{cluster.registry}/app:1",
    }
    readme = (folder / "README.md").read_text()
    told = list(blocks(readme))
    assert len(told) == readme.count("```sh")
    script = "".join(f"{block.commands}\necho '{MARK}'\n" for block in told)
    script = script.replace("8001", str(free_port()))
    printed = paste(script, folder, env).replace(ns, "default").split(f"{MARK}\n")
    for block, output in zip(told, printed, strict=False):
        assert comparable(output) == comparable(block.printed), f"after:\n{block.commands}"
    assert comparable(printed[-1]) == []
    assert len(printed) == len(told) + 1
