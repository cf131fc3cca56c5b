"""Draws a target as a tree: the workload, its ReplicaSets or revisions, their pods, and their containers' images. Pure.

Each pod is one row with its whole name, so that one can search for it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import msgspec

from inplace.cli.output.text import gate_text, images_text
from inplace.runtime.foreground.target_status import PodState, TargetStatus

HEAD = ("NAME", "NODE", "STAGE", "READY", "GATE", "IMAGES", "NOTE")
MANY_PODS = 20
"""With more pods than this, containers that the run does not change are left out; `-o wide` shows them."""


class Node(msgspec.Struct, frozen=True):
    """`cells` are the columns after the name."""

    name: str
    cells: tuple[str, ...] = ("", "", "", "", "", "")
    children: tuple[Node, ...] = ()


def rows(status: TargetStatus) -> list[tuple[str, ...]]:
    return list(_drawn(tree(status), "", ""))


def tree(status: TargetStatus) -> Node:
    groups: dict[str, list[PodState]] = {}
    for pod in status.pods:
        groups.setdefault(pod.owner, []).append(pod)
    state = status.state
    run_containers = set(state.run.images) if state is not None and state.run is not None else set()
    children: list[Node] = []
    for owner, pods in sorted(groups.items(), key=lambda group: (-group[1][0].revision, group[0])):
        nodes = tuple(_pod(pod, run_containers, is_many=len(status.pods) > MANY_PODS) for pod in pods)
        revision = f"revision {pods[0].revision}" if pods[0].revision else ""
        children += [Node(owner, ("", "", _ready(pods), "", "", revision), nodes)] if owner else nodes
    standing = state.standing if state is not None else ""
    return Node(status.target, ("", standing, _ready(status.pods), "", "", ""), tuple(children))


def _ready(pods: Sequence[PodState]) -> str:
    return f"{sum(pod.ready for pod in pods)}/{len(pods)}"


def _pod(pod: PodState, run_containers: set[str], *, is_many: bool) -> Node:
    images = pod.images
    if is_many and run_containers & images.keys():
        images = {name: image for name, image in images.items() if name in run_containers}
    containers: tuple[Node, ...] = ()
    if len(images) > 1 and not is_many:
        containers = tuple(Node(name, ("", "", "", "", image, "")) for name, image in sorted(images.items()))
        images = {}
    return Node(pod.name, cells(pod, images), containers)


def cells(pod: PodState, images: dict[str, str]) -> tuple[str, ...]:
    """Returns the columns after the name of a pod."""
    notes = (pod.words, f"out of service: {pod.closed_by}" if pod.closed_by else "")
    ready = "yes" if pod.ready else "no"
    return (pod.node, pod.stage, ready, gate_text(pod.gate), images_text(images), "; ".join(filter(None, notes)))


def _drawn(node: Node, first: str, more: str) -> Iterator[tuple[str, ...]]:
    """Yields the rows of a node. `first` comes before its own name, `more` before the names of its children."""
    yield (first + node.name, *node.cells)
    for child, (branch, below) in zip(node.children, _branches(node.children), strict=True):
        yield from _drawn(child, more + branch, more + below)


def _branches(children: Iterable[Node]) -> Iterator[tuple[str, str]]:
    count = len(tuple(children))
    for number in range(count):
        yield ("└─ ", "   ") if number == count - 1 else ("├─ ", "│  ")
