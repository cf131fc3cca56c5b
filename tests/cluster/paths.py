"""Where an instance keeps its things and which ports it uses.

Bulky state lies in the cache, outside any clone. What a later process needs to find a killed run's leftovers lies
machine-wide in RUN: it must be found whatever cache that run used, and must be gone after a reboot, as processes are.
"""

import os
import re
from dataclasses import dataclass
from pathlib import Path

RUN = Path("/run/inplace-test")
RELEASE = "1.36.3"
"""What the tests run on unless $K8S_VERSION names another one."""


def cache() -> Path:
    return Path(os.environ.get("INPLACE_CLUSTER_CACHE") or Path.home() / ".cache" / "inplace-cluster")


def release() -> str:
    """The Kubernetes release of this process. Raises ValueError for what is none."""
    wanted = os.environ.get("K8S_VERSION") or RELEASE
    if not re.fullmatch(r"1\.\d+\.\d+", wanted):
        raise ValueError(f"K8S_VERSION {wanted!r}: write a release such as {RELEASE}")
    return wanted


def minor() -> int:
    return int(release().split(".")[1])


def binaries() -> Path:
    """Each release is built once, beside the others."""
    return cache() / ("bin" if release() == RELEASE else f"bin-{release()}")


def write(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    return path


@dataclass(frozen=True)
class Instance:
    """The names of one instance. Only one runs at a time (see lock.py); the index serves to avoid other people's ports."""

    name: str
    index: int = 0

    def __post_init__(self) -> None:
        if not re.fullmatch(r"[a-z0-9-]{1,16}", self.name):
            raise ValueError(f"instance name {self.name!r}: up to 16 of a-z, 0-9 and - (unix socket paths are short)")

    @property
    def run(self) -> Path:
        """Process ids, sockets, and a link to the state."""
        return RUN / self.name

    @property
    def state(self) -> Path:
        return cache() / "instances" / self.name

    @property
    def registry(self) -> str:
        return f"127.0.0.1:{self.port(4)}"

    def cgroup(self, node: int | str) -> str:
        return f"inplace-test-{self.name}-node{node}"

    def port(self, offset: int) -> int:
        """1 API server, 2 and 3 etcd, 4 registry, 5 and 6 kube-proxy, from 10 on two per kubelet."""
        return 20000 + 100 * self.index + offset
