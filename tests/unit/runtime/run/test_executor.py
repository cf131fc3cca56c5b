"""Each action is one request, with the preconditions that its plan was judged on, and touches only what is ours."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.engine.actions import (
    Action,
    CloseGate,
    CreateHistoryReplicaSet,
    DeleteDuplicateReplicaSet,
    OpenGate,
    PatchImages,
    PatchTemplate,
    PodAction,
    RemoveRecord,
    RestoreFieldOwners,
    SetPaused,
)
from inplace.kube.errors import AlreadyExists, ConnectionFailed, Invalid, NotFound
from inplace.kube.retry import RetryPolicy
from inplace.model.constants import RECORD_ANNOTATION
from inplace.model.record import UpgradeRecord, encode_record
from inplace.model.refs import PodRef, TargetRef
from inplace.model.run import FieldOwner
from inplace.runtime.informers.inbox import ThreadInbox
from inplace.runtime.informers.target_informers import TargetInformers
from inplace.runtime.run.executor import Executor
from tests.unit.kube.fakes import FakeClock, ok
from tests.unit.runtime.fakes import Server, api

POD = "/api/v1/namespaces/shop/pods/web-1"
DEPLOYMENT = "/apis/apps/v1/namespaces/shop/deployments/web"
REPLICA_SET = "/apis/apps/v1/namespaces/shop/replicasets/web-abc"
RECORD_ONE = UpgradeRecord(run="one", lease="l", from_images={"app": "app:1"}, to_images={"app": "app:2"})
GATE = "inplace.dev/ready"


class World:
    """An executor over a server that has one of each."""

    def __init__(self, *, dry_run: bool = False) -> None:
        self.server, self.clock = Server(), FakeClock()
        self.server.put(POD, {"metadata": {"name": "web-1", "namespace": "shop", "uid": "u-1"}})
        self.server.put(DEPLOYMENT, {"metadata": {"name": "web", "namespace": "shop", "uid": "d-1"}})
        self.server.put(REPLICA_SET, {"metadata": {"name": "web-abc", "namespace": "shop", "uid": "rs-1"}})
        client = api(self.server, self.clock)
        target = TargetRef("Deployment", "shop", "web")
        self.watches = TargetInformers(client, ThreadInbox(self.clock), target, "app=web", "lease")
        self.executor = Executor(client.replace(policy=RetryPolicy()), "shop", self.watches, dry_run=dry_run)

    def pod(self) -> PodRef:
        return PodRef("shop", "web-1", "u-1", self.version(POD))

    def version(self, path: str) -> str:
        return str(self.server.objects[path]["metadata"]["resourceVersion"])

    def perform(self, action: Action) -> tuple[str, str, Any]:
        self.executor.perform(action)
        (write,) = self.server.writes
        return write


def test_closing_is_one_status_write_of_gate_and_record() -> None:
    world = World()
    method, path, body = world.perform(CloseGate(world.pod(), GATE, RECORD_ONE))
    assert (method, path) == ("PATCH", f"{POD}/status")
    assert body["metadata"] == {"uid": "u-1", "annotations": {RECORD_ANNOTATION: encode_record(RECORD_ONE)}}
    gone, condition = body["status"]["conditions"]
    assert gone == {"$patch": "delete", "type": GATE}
    assert (condition["type"], condition["status"]) == (GATE, "False")


def test_closing_a_bare_pod_carries_the_version_too() -> None:
    world = World()
    ref = world.pod()
    _, _, body = world.perform(CloseGate(ref, GATE, RECORD_ONE, require_resource_version=True))
    assert body["metadata"]["resourceVersion"] == ref.resource_version


def test_images_and_record_are_one_write_on_the_version_judged() -> None:
    world = World()
    ref = world.pod()
    method, path, body = world.perform(PatchImages(ref, {"side": "side:2", "app": "app:2"}, RECORD_ONE))
    assert (method, path) == ("PATCH", POD)
    assert body["metadata"]["resourceVersion"] == ref.resource_version
    assert body["metadata"]["annotations"] == {RECORD_ANNOTATION: encode_record(RECORD_ONE)}
    assert body["spec"] == {"containers": [{"name": "app", "image": "app:2"}, {"name": "side", "image": "side:2"}]}


def test_a_sidecar_is_patched_where_it_stands() -> None:
    """Under `containers` its name would be one more container: 422."""
    world, images = World(), {"side": "side:2", "app": "app:2"}
    _, _, body = world.perform(PatchImages(world.pod(), images, RECORD_ONE, frozenset({"side"})))
    assert body["spec"] == {
        "containers": [{"name": "app", "image": "app:2"}],
        "initContainers": [{"name": "side", "image": "side:2"}],
    }


def test_opening_removes_the_record_and_is_judged_on_the_version() -> None:
    world = World()
    ref = world.pod()
    method, path, body = world.perform(OpenGate(ref, GATE, "Upgraded"))
    assert (method, path) == ("PATCH", f"{POD}/status")
    assert body["metadata"] == {"uid": "u-1", "resourceVersion": ref.resource_version, "annotations": {RECORD_ANNOTATION: None}}
    assert body["status"]["conditions"][1]["status"] == "True"


@pytest.mark.parametrize("action", [OpenGate, RemoveRecord, PatchImages, CloseGate])
def test_what_carries_a_version_is_never_repeated_blindly(action: type[PodAction]) -> None:
    """Done and unanswered, its repetition would be refused as stale, and hide that the first was done."""
    world = World()
    world.server.deaf = True
    fields: dict[type[PodAction], tuple[Any, ...]] = {
        OpenGate: (GATE, "Upgraded"),
        PatchImages: ({"app": "app:2"}, RECORD_ONE),
        CloseGate: (GATE, RECORD_ONE, True),
    }
    with pytest.raises(ConnectionFailed):
        world.executor.perform(action(world.pod(), *fields.get(action, ())))
    assert len(world.server.writes) == 1


def test_closing_a_pod_whatever_its_version_may_be_repeated() -> None:
    world = World()
    world.server.deaf = True
    with pytest.raises(ConnectionFailed):
        world.executor.perform(CloseGate(world.pod(), GATE, RECORD_ONE))
    assert len(world.server.writes) > 1


def test_a_pod_recreated_under_the_same_name_is_not_touched() -> None:
    world = World()
    with pytest.raises(Invalid):
        world.executor.perform(CloseGate(PodRef("shop", "web-1", "another", "1"), GATE, RECORD_ONE))


def test_a_kept_gate_loses_only_the_record() -> None:
    world = World()
    method, path, body = world.perform(RemoveRecord(world.pod()))
    assert (method, path) == ("PATCH", POD)
    assert "status" not in body
    assert body["metadata"]["annotations"] == {RECORD_ANNOTATION: None}


@pytest.mark.parametrize(("paused", "written"), [(True, True), (False, None)])
def test_pausing_writes_only_paused_and_leaves_no_false_behind(paused: bool, written: bool | None) -> None:
    world = World()
    version = world.version(DEPLOYMENT)
    _, path, body = world.perform(SetPaused("web", "d-1", version, paused=paused))
    assert path == DEPLOYMENT
    assert body == {"metadata": {"uid": "d-1", "resourceVersion": version}, "spec": {"paused": written}}


TEMPLATES = [
    (PatchTemplate("web", "d-1", "102", "Deployment", {"app": "app:2"}), DEPLOYMENT),
    (PatchTemplate("web-abc", "rs-1", "103", "ReplicaSet", {"app": "app:2"}), REPLICA_SET),
]


@pytest.mark.parametrize(("action", "path"), TEMPLATES)
def test_templates_get_images_and_nothing_else(action: Action, path: str) -> None:
    _, written_path, body = World().perform(action)
    assert written_path == path
    assert body["spec"] == {"template": {"spec": {"containers": [{"name": "app", "image": "app:2"}]}}}


def test_a_twin_is_deleted_only_as_it_was_judged() -> None:
    world = World()
    _, path, body = world.perform(DeleteDuplicateReplicaSet("web-abc", "rs-1", world.version(REPLICA_SET)))
    assert path == REPLICA_SET
    assert body["preconditions"]["uid"] == "rs-1"


def test_an_action_done_already_is_not_retried_at_once() -> None:
    world = World()
    world.perform(DeleteDuplicateReplicaSet("web-abc", "rs-1", world.version(REPLICA_SET)))
    with pytest.raises(NotFound):
        world.executor.perform(DeleteDuplicateReplicaSet("web-abc", "rs-1", "1"))
    manifest = {"metadata": {"name": "web-tomb", "namespace": "shop"}, "spec": {"replicas": 0}}
    world.executor.perform(CreateHistoryReplicaSet("web-tomb", manifest))
    with pytest.raises(AlreadyExists):
        world.executor.perform(CreateHistoryReplicaSet("web-tomb", manifest))
    assert sum(path.endswith("/web-tomb") for path in world.server.objects) == 1


def test_fields_are_returned_on_the_version_that_was_read() -> None:
    world = World()
    image: dict[str, Any] = {"f:spec": {"f:template": {"f:spec": {"f:containers": {'k:{"name":"app"}': {"f:image": {}}}}}}}
    ours = {"manager": "inplace", "operation": "Update", "apiVersion": "apps/v1", "fieldsV1": image}
    world.server.objects[DEPLOYMENT]["metadata"]["managedFields"] = [ours]
    owner = FieldOwner(manager="flux", operation="Apply", api_version="apps/v1", containers=("app",))
    _, path, body = world.perform(RestoreFieldOwners("web", "d-1", "1", kind="Deployment", owners=(owner,)))
    assert path == DEPLOYMENT
    assert [step["op"] for step in body] == ["test", "test", "replace"]
    assert [entry["manager"] for entry in body[-1]["value"]] == ["flux"]
    world.executor.perform(RestoreFieldOwners("web", "d-1", "1", kind="Deployment", owners=(owner,)))
    assert len(world.server.writes) == 1


def test_an_answer_is_in_the_cache_before_the_action_has_ended() -> None:
    world = World()
    world.executor.perform(CloseGate(world.pod(), GATE, RECORD_ONE))
    cached = world.watches.pods.get("u-1")
    assert cached is not None
    assert cached.metadata.annotation(RECORD_ANNOTATION) == encode_record(RECORD_ONE)


def test_a_dry_run_reaches_the_server_and_leaves_the_cache_alone() -> None:
    world = World(dry_run=True)
    world.executor.perform(CloseGate(world.pod(), GATE, RECORD_ONE))
    assert ("dryRun", "All") in world.server.requests[-1].query
    assert world.watches.pods.get("u-1") is None


def test_every_write_names_its_field_manager() -> None:
    world = World()
    world.server.refuse = ok(world.server.objects[POD])
    world.executor.perform(CloseGate(world.pod(), GATE, RECORD_ONE))
    assert ("fieldManager", "inplace") in world.server.requests[-1].query
