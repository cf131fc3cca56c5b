"""`python -m inplace.sim`: serves an embedded cluster until Ctrl-C, and says how to reach it."""

from __future__ import annotations

import argparse
import signal
import sys
import tempfile
import threading
from pathlib import Path

from inplace.sim.kubeconfig import write_kubeconfig
from inplace.sim.serving import serve


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m inplace.sim", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="on 127.0.0.1; 0 takes a free one")
    parser.add_argument("--speed", type=float, default=1.0, help="how much faster than the wall clock")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--kubeconfig", type=Path, help="where to write it; a temporary file by default")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="inplace-sim-") as folder:
        path = asked.kubeconfig or Path(folder) / "kubeconfig"
        with serve(port=asked.port, speed=asked.speed, nodes=asked.nodes, seed=asked.seed) as served:
            write_kubeconfig(path, served.url)
            sys.stdout.write(f"export KUBECONFIG={path}\n")
            sys.stdout.flush()
            ended = threading.Event()
            for each in (signal.SIGINT, signal.SIGTERM):
                signal.signal(each, lambda *_: ended.set())
            ended.wait()
    return 0


if __name__ == "__main__":
    sys.exit(main())
