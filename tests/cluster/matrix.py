"""Runs the e2e suite on every supported release of Kubernetes, or on those that are named, one after the other.

Each release is built once and kept. A release whose cluster does not even start counts as failed, and the others go on. The
whole output of a release is in a log of its own; what is printed is a line for each, with the runner's own closing words.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

from tests.cluster.paths import cache

RELEASES = ("1.34.4", "1.35.4", "1.36.3", "1.37.2")
SUITE = ("-m", "e2e", "-n", "9", "--dist=worksteal", "-o", "timeout=600", "tests/scenarios", "tests/e2e")


def main() -> int:
    verdicts = [passes(release) for release in sys.argv[1:] or RELEASES]
    return 0 if all(verdicts) else 1


def passes(release: str) -> bool:
    log = cache() / "matrix" / f"{release}.log"
    log.parent.mkdir(parents=True, exist_ok=True)
    environment = {**os.environ, "K8S_VERSION": release}
    with log.open("wb") as out:
        for command in (("tests.cluster", "build"), ("pytest", *SUITE)):
            words = [sys.executable, "-m", *command]
            code = subprocess.run(words, env=environment, stdout=out, stderr=out, check=False).returncode
            if code:
                break
    print(f"{release}: {closing_line(log)} ({log})", flush=True)
    return code == 0


def closing_line(log: Path) -> str:
    """What pytest said last, or else the last line that there is."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] or ["nothing was said"]
    ended = [line for line in lines if re.search(r"\d+ (passed|failed|error)", line)]
    return (ended or lines)[-1].strip("= ")


if __name__ == "__main__":
    sys.exit(main())
