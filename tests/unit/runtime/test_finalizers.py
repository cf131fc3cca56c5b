"""The finalizer comes off the very rollout that was read, and off nothing else."""

from __future__ import annotations

from typing import Any

import msgspec

from inplace.kube.resources import INPLACE_ROLLOUTS
from inplace.model.constants import FINALIZER
from inplace.model.rollout import InPlaceRollout
from inplace.runtime.finalizers import as_deleted, has_finalizer, remove_finalizer, with_finalizer, without_finalizer
from tests.unit.kube.fakes import FakeClock
from tests.unit.runtime.fakes import Server, api

PATH = "/apis/inplace.dev/v1alpha1/namespaces/shop/inplacerollouts/up"
OTHER = "example.com/other"


def stored(server: Server) -> InPlaceRollout:
    body: dict[str, Any] = {
        "metadata": {"name": "up", "uid": "r1", "finalizers": [OTHER, FINALIZER]},
        "spec": {"target": {"kind": "Deployment", "name": "web"}},
    }
    server.put(PATH, body)
    return api(server, FakeClock()).get(INPLACE_ROLLOUTS, "shop", "up")


def test_freeing_leaves_the_finalizers_of_others() -> None:
    server = Server()
    rollout = stored(server)
    assert has_finalizer(rollout)
    assert remove_finalizer(api(server, FakeClock()), rollout)
    assert server.objects[PATH]["metadata"]["finalizers"] == [OTHER]


def test_a_rollout_that_changed_meanwhile_is_not_freed() -> None:
    server = Server()
    rollout = stored(server)
    server.put(PATH, server.objects[PATH])
    assert not remove_finalizer(api(server, FakeClock()), rollout)
    assert FINALIZER in server.objects[PATH]["metadata"]["finalizers"]


def test_a_rollout_that_is_gone_needs_no_freeing() -> None:
    server = Server()
    rollout = stored(server)
    del server.objects[PATH]
    assert not remove_finalizer(api(server, FakeClock()), rollout)


def test_lists_with_and_without_it() -> None:
    rollout = stored(Server())
    bare = msgspec.structs.replace(rollout, metadata=msgspec.structs.replace(rollout.metadata, finalizers=None))
    assert with_finalizer(bare) == [FINALIZER]
    assert without_finalizer(rollout) == [OTHER]
    assert not has_finalizer(bare)


def test_a_rollout_that_is_gone_counts_as_being_deleted() -> None:
    rollout = stored(Server())
    assert as_deleted(rollout).metadata.deletion_timestamp
    dying = msgspec.structs.replace(rollout, metadata=msgspec.structs.replace(rollout.metadata, deletion_timestamp="t"))
    assert as_deleted(dying).metadata.deletion_timestamp == "t"
