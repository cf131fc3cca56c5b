"""What the API server sends, decoded."""

import msgspec
import pytest

from inplace.model.objects.meta import HasMetadata, OwnerReference
from inplace.model.objects.network import EndpointSlice, Service
from inplace.model.objects.pods import Pod
from inplace.model.objects.policy import PodDisruptionBudget
from inplace.model.objects.workloads import Deployment, ReplicaSet
from inplace.model.refs import TargetRef
from tests.builders import NS, budget, container, pod, status

POD = b"""{"metadata": {"name": "web-a", "uid": "u", "resourceVersion": "7", "generation": 2, "managedFields": [{}],
 "ownerReferences": [{"kind": "Foo", "name": "f", "uid": "1"},
 {"kind": "ReplicaSet", "name": "r", "uid": "2", "controller": true}]},
 "spec": {"initContainers": null, "hostNetwork": true, "containers": [{"name": "app", "image": "app:1",
 "env": [{"name": "A"}]}],
 "readinessGates": [{"conditionType": "inplace.dev/ready"}]},
 "status": {"podIP": "10.0.0.1", "podIPs": [{"ip": "10.0.0.1"}, {"ip": "fd00::1"}], "observedGeneration": 1, "phase": "Running",
 "conditions": [{"type": "Ready", "status": "True"}, {"type": "inplace.dev/ready", "status": "Unknown"}],
 "containerStatuses": [{"name": "app", "imageID": "sha", "containerID": "c", "started": true, "state": {"running": {}}}]}}"""


def test_a_pod_as_the_server_writes_it() -> None:
    decoded = msgspec.json.decode(POD, type=Pod)
    assert decoded.is_ready
    assert not decoded.condition_is_true("inplace.dev/ready")
    assert decoded.spec.has_gate("inplace.dev/ready")
    assert decoded.spec.all_containers() == decoded.spec.containers
    assert decoded.ips() == {"10.0.0.1", "fd00::1"}
    assert decoded.container_ids(["app", "other"]) == {"app": "c", "other": ""}
    assert decoded.spec.host_network
    owner = decoded.metadata.controller()
    assert owner is not None
    assert owner.name == "r"
    assert decoded.metadata.owned_by("2")
    assert not decoded.metadata.owned_by("1")


def test_a_bare_minimum_of_each_kind() -> None:
    kinds: tuple[type[HasMetadata], ...] = (Pod, Deployment, ReplicaSet, EndpointSlice, Service, PodDisruptionBudget)
    for kind in kinds:
        assert msgspec.json.decode(b'{"metadata": {}}', type=kind).metadata.name == ""


def test_finished_and_terminating_pods() -> None:
    assert [pod(phase=p).is_terminal for p in ("Running", "Pending", "Succeeded", "Failed")] == [False, False, True, True]
    assert pod(deleting=True).is_terminating
    assert not pod().is_terminating


def test_a_sidecar_is_a_container_and_has_a_status() -> None:
    p = pod(sidecars=[container("mesh", "mesh:1", restart_policy="Always")])
    assert p.spec.images() == {"mesh": "mesh:1", "app": "repo/app:1"}
    shown = msgspec.structs.replace(p, status=msgspec.structs.replace(p.status, init_container_statuses=(status("mesh"),)))
    assert shown.container_status("mesh") == status("mesh")


def test_an_owner_that_does_not_control_is_no_controller() -> None:
    assert pod(owner=OwnerReference("Node", "n", "1")).metadata.controller() is None
    assert pod(owner=None).metadata.controller() is None


def test_nil_ready_means_true() -> None:
    data = b'{"metadata":{"labels":{"kubernetes.io/service-name":"web"}},'
    data += b'"endpoints":[{"conditions":{}},{},{"conditions":{"ready":false}}]}'
    decoded = msgspec.json.decode(data, type=EndpointSlice)
    assert decoded.service == "web"
    assert [e.is_ready for e in decoded.endpoints or ()] == [True, True, False]


@pytest.mark.parametrize(("text", "headless"), [('"None"', True), ('""', False), ('"10.0.0.1"', False)])
def test_headless_is_cluster_ip_none(text: str, headless: bool) -> None:
    data = f'{{"metadata":{{}},"spec":{{"clusterIP":{text}}}}}'
    assert msgspec.json.decode(data, type=Service).is_headless is headless


def test_a_budget_without_selector_covers_none_an_empty_one_all() -> None:
    def with_selector(text: str) -> PodDisruptionBudget:
        return msgspec.json.decode(f'{{"metadata":{{}},"spec":{{{text}}}}}', type=PodDisruptionBudget)

    assert not with_selector("").selects({"a": "1"})
    assert with_selector('"selector":{}').selects({"a": "1"})
    assert budget().selects({"app": "web"})
    assert not budget().selects({"app": "db"})


@pytest.mark.parametrize(("text", "revision"), [("3", 3), ("", 0), ("x", 0)])
def test_a_revision_that_is_no_number_is_none(text: str, revision: int) -> None:
    data = f'{{"metadata":{{"annotations":{{"deployment.kubernetes.io/revision":"{text}"}}}}}}'
    assert msgspec.json.decode(data, type=ReplicaSet).revision == revision


def test_targets_are_named_as_people_name_them() -> None:
    assert str(TargetRef(kind="Deployment", namespace=NS, name="web")) == "deploy/web"
    assert str(TargetRef(kind="ReplicaSet", namespace=NS, name="web")) == "rs/web"
    assert str(TargetRef(kind="Pods", namespace=NS, selector="a=b")) == "pods -l a=b"
    assert str(TargetRef(kind="Pods", namespace=NS, pod_names=("a", "b"))) == "pod/a pod/b"
