"""One instance at a time on a machine: kube-proxy's nft table and the sink for cluster addresses exist only once.

A lock that dies with its holder, never a file that must be removed. An instance that a person starts is held by its
kube-proxy, which inherits the descriptor; an instance that a test session owns is held by that session alone, so a killed
session frees it at once. Hence who holds the lock may sweep away every other instance: it can only be a leftover.
"""

import fcntl
import os
import sys

from tests.cluster.paths import RUN

_held: dict[str, int] = {}


def acquire(name: str) -> int:
    """Wait until no other instance runs; the descriptor that is returned holds the lock."""
    RUN.mkdir(parents=True, exist_ok=True)
    fd = os.open(RUN / "lock", os.O_RDWR | os.O_CREAT, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        print(f"cluster: waiting until instance {holder()!r} goes down", file=sys.stderr, flush=True)
        fcntl.flock(fd, fcntl.LOCK_EX)
    _held[name] = fd
    os.ftruncate(fd, 0)
    os.pwrite(fd, name.encode(), 0)
    return fd


def holder() -> str:
    """Who holds the lock or last did, only to be told to people."""
    return (RUN / "lock").read_text()


def release(name: str) -> None:
    """Close our descriptor; a kube-proxy that inherited it keeps the lock."""
    if (fd := _held.pop(name, None)) is not None:
        os.close(fd)
