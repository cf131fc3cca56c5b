"""What waits for a thread: pods are freed first and closed last, and namespaces take turns."""

from __future__ import annotations

import threading

from inplace.engine.actions import Action, CloseGate, ListPods, OpenGate, PatchImages, RemoveRecord
from inplace.model.record import UpgradeRecord
from inplace.model.refs import PodRef
from inplace.runtime.run.lanes import LanePool, lane_of

POD = PodRef("shop", "web-1", "u-1", "1")
RECORD = UpgradeRecord(run="one", lease="l", from_images={}, to_images={})
CLOSE, OPEN = CloseGate(POD, "inplace.dev/ready", RECORD), OpenGate(POD, "inplace.dev/ready", "Upgraded")


def order(*waiting: tuple[Action, str, str]) -> list[str]:
    """In which these go, by their names, that have come while the only thread was busy."""
    pool, begun, busy, went = LanePool(1), threading.Event(), threading.Event(), list[str]()

    def first() -> None:
        begun.set()
        busy.wait(30)

    pool.submit(lane_of(CLOSE), "any", first)
    assert begun.wait(30)
    for action, namespace, name in waiting:
        pool.submit(lane_of(action), namespace, lambda name=name: went.append(name))  # type: ignore[misc]
    last = threading.Event()
    pool.submit(lane_of(CLOSE), "zzz", last.set)
    busy.set()
    assert last.wait(30)
    pool.shutdown(wait=True)
    return went


def test_what_frees_a_pod_goes_first_and_closes_last() -> None:
    patch = PatchImages(POD, {"app": "app:2"}, RECORD)
    waiting = [(CLOSE, "close"), (ListPods(), "read"), (patch, "image"), (RemoveRecord(POD), "drop"), (OPEN, "open")]
    assert order(*[(action, "shop", name) for action, name in waiting]) == ["drop", "open", "image", "read", "close"]


def test_namespaces_take_turns_within_a_lane() -> None:
    evil = [(OPEN, "evil", f"evil-{n}") for n in range(4)]
    assert order(*evil, (OPEN, "shop", "shop")) == ["evil-0", "shop", "evil-1", "evil-2", "evil-3"]
