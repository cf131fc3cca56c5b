"""StatefulSets, as upgrades behind the partition rely on them (design, section 5). Each was seen so on a real 1.36.3."""

from typing import Any

import pytest

from tests.unit.sim.support import MERGE, STRATEGIC, Client, condition

Json = dict[str, Any]
LABEL = "controller-revision-hash"


def _status(client: Client) -> Json:
    found: Json = client.get("statefulsets/db")["status"]
    return found


def _images(client: Client) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["spec"]["containers"][0]["image"] for pod in client.live()}


def _revisions(client: Client) -> dict[str, tuple[str, int]]:
    """Name and number by image."""
    return {
        each["data"]["spec"]["template"]["spec"]["containers"][0]["image"]: (each["metadata"]["name"], each["revision"])
        for each in client.all("controllerrevisions")
    }


def _roll_to(client: Client, partition: int) -> None:
    client.ok("PATCH", "statefulsets/db", {"spec": {"updateStrategy": {"rollingUpdate": {"partition": partition}}}}, MERGE)


def _behind(partition: int) -> Json:
    return {"type": "RollingUpdate", "rollingUpdate": {"partition": partition}}


def _uids(client: Client) -> dict[str, str]:
    return {pod["metadata"]["name"]: pod["metadata"]["uid"] for pod in client.live()}


def test_pods_come_up_in_order_with_names_labels_and_a_revision() -> None:
    client = Client(events=True)
    client.stateful_set(replicas=2)
    client.run(0.05)
    assert list(_images(client)) == ["db-0"]
    client.run(6)
    [revision] = client.all("controllerrevisions")
    digest = revision["metadata"]["labels"]["controller.kubernetes.io/hash"]
    assert revision["metadata"]["name"] == f"db-{digest}"
    assert revision["revision"] == 1
    assert revision["data"]["spec"]["template"]["$patch"] == "replace"
    pod = client.get("pods/db-1")
    assert pod["metadata"]["labels"] == {
        "app": "db",
        "apps.kubernetes.io/pod-index": "1",
        LABEL: f"db-{digest}",
        "statefulset.kubernetes.io/pod-name": "db-1",
    }
    assert (pod["spec"]["hostname"], pod["spec"]["subdomain"]) == ("db-1", "db")
    assert _status(client) == {
        "observedGeneration": 1,
        "replicas": 2,
        "readyReplicas": 2,
        "availableReplicas": 2,
        "currentReplicas": 2,
        "updatedReplicas": 2,
        "currentRevision": f"db-{digest}",
        "updateRevision": f"db-{digest}",
        "collisionCount": 0,
    }
    assert "Create Pod db-0 in StatefulSet db successful" in {event["message"] for event in client.all("events")}


def test_defaults() -> None:
    client = Client()
    made = client.stateful_set(updateStrategy={"rollingUpdate": {"maxUnavailable": 2}})["spec"]
    assert made["updateStrategy"] == {"type": "RollingUpdate", "rollingUpdate": {"partition": 0}}
    assert (made["podManagementPolicy"], made["revisionHistoryLimit"]) == ("OrderedReady", 10)
    bare = client.stateful_set("bare", updateStrategy={"type": "RollingUpdate"})["spec"]
    assert bare["updateStrategy"] == {"type": "RollingUpdate"}


def test_an_update_goes_from_the_highest_ordinal_one_at_a_time() -> None:
    client = Client()
    client.stateful_set(podManagementPolicy="Parallel")
    client.run(4)
    before = _uids(client)
    client.set_image("statefulsets/db", "reg/app:2")
    seen: list[list[str]] = []
    ends_at = client.scheduler.now + 30
    while client.scheduler.now < ends_at and client.scheduler.run_next():
        new = sorted(name for name, uid in _uids(client).items() if uid != before[name])
        down = [pod for pod in client.all("pods") if condition(pod, "Ready") != "True"]
        assert len(down) <= 1
        seen += [new] if new not in seen else []
    assert seen == [[], ["db-2"], ["db-1", "db-2"], ["db-0", "db-1", "db-2"]]
    assert _status(client)["currentRevision"] == _revisions(client)["reg/app:2"][0]


def test_behind_the_partition_dead_pods_return_as_before() -> None:
    client = Client()
    client.stateful_set(ordinals={"start": 5}, updateStrategy=_behind(1))
    client.run(8)
    client.set_image("statefulsets/db", "reg/app:2")
    client.run(12)
    assert _images(client) == {"db-5": "reg/app:1", "db-6": "reg/app:2", "db-7": "reg/app:2"}
    for name in ("db-5", "db-6"):
        client.ok("DELETE", f"pods/{name}")
        client.run(6)
    assert _images(client) == {"db-5": "reg/app:1", "db-6": "reg/app:2", "db-7": "reg/app:2"}
    assert _status(client)["currentRevision"] != _status(client)["updateRevision"]


def test_relabelled_pods_count_as_updated_without_recreation() -> None:
    """currentRevision turns when the last pod is relabelled and ready, though the partition is not lowered yet."""
    client = Client()
    client.stateful_set(replicas=2, updateStrategy=_behind(9))
    client.run(6)
    before = _uids(client)
    client.set_image("statefulsets/db", "reg/app:2")
    client.run(1)
    name = _revisions(client)["reg/app:2"][0]
    for pod in ("db-1", "db-0"):
        assert _status(client)["currentRevision"] != name
        spec = {"containers": [{"name": "app", "image": "reg/app:2"}]}
        client.ok("PATCH", f"pods/{pod}", {"metadata": {"labels": {LABEL: name}}, "spec": spec}, STRATEGIC)
        client.run(5)
    assert (_status(client)["currentRevision"], _status(client)["updatedReplicas"]) == (name, 2)
    _roll_to(client, 0)
    client.run(5)
    assert _uids(client) == before


def test_on_delete_replaces_no_pod_and_no_current_revision() -> None:
    client = Client()
    client.stateful_set(replicas=2, updateStrategy={"type": "OnDelete"})
    client.run(6)
    client.set_image("statefulsets/db", "reg/app:2")
    client.run(5)
    assert set(_images(client).values()) == {"reg/app:1"}
    for name in ("db-1", "db-0"):
        client.ok("DELETE", f"pods/{name}")
        client.run(6)
    assert set(_images(client).values()) == {"reg/app:2"}
    assert _status(client)["currentRevision"] == _revisions(client)["reg/app:1"][0]
    client.ok("PATCH", "statefulsets/db", {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}, MERGE)
    client.run(2)
    assert _status(client)["currentRevision"] == _revisions(client)["reg/app:2"][0]


def test_without_rolling_parameters_the_partition_is_current() -> None:
    client = Client()
    client.stateful_set(gate=True, updateStrategy={"type": "RollingUpdate"})
    for name in ("db-0", "db-1", "db-2"):
        client.run(3)
        client.set_gate(name, "True")
    client.run(3)
    client.set_gate("db-0", "False")
    client.run(2)
    client.set_image("statefulsets/db", "reg/app:2")
    client.run(2)
    client.ok("DELETE", "pods/db-1")
    client.run(3)
    assert "db-1" not in _images(client)  # db-0 is closed: nothing above it is created
    client.set_gate("db-0", "True")
    client.run(3)
    assert _images(client)["db-1"] == "reg/app:1"


def test_ordered_ready_a_closed_pod_blocks_scaling_and_update() -> None:
    client = Client()
    client.stateful_set(gate=True)
    for name in ("db-0", "db-1", "db-2"):
        client.run(3)
        assert len(client.live()) == int(name[-1]) + 1
        client.set_gate(name, "True")
    client.run(3)
    client.set_gate("db-0", "False")
    client.run(2)
    before = _uids(client)
    for replicas in (5, 2):
        client.ok("PATCH", "statefulsets/db/scale", {"spec": {"replicas": replicas}}, MERGE)
        client.set_image("statefulsets/db", "reg/app:2")
        client.run(4)
        assert _uids(client) == before
    client.set_gate("db-0", "True")
    client.run(1.5)
    assert "db-2" not in _uids(client)


def test_parallel_creates_and_scales_at_once() -> None:
    client = Client()
    client.stateful_set(replicas=4, podManagementPolicy="Parallel", gate=True)
    client.run(0.2)
    assert len(client.live()) == 4
    client.ok("PATCH", "statefulsets/db/scale", {"spec": {"replicas": 1}}, MERGE)
    client.run(0.2)
    assert set(_uids(client)) == {"db-0"}


def test_scaling_down_in_order_takes_the_highest_first() -> None:
    client = Client()
    client.stateful_set(replicas=3)
    client.run(8)
    client.ok("PATCH", "statefulsets/db/scale", {"spec": {"replicas": 1}}, MERGE)
    seen: list[list[str]] = []
    ends_at = client.scheduler.now + 10
    while client.scheduler.now < ends_at and client.scheduler.run_next():
        names = sorted(pod["metadata"]["name"] for pod in client.all("pods"))
        seen += [names] if names not in seen else []
    assert seen == [["db-0", "db-1", "db-2"], ["db-0", "db-1"], ["db-0"]]


def test_min_ready_seconds_delay_availability_and_the_next_pod() -> None:
    client = Client()
    client.stateful_set(replicas=2, minReadySeconds=10)
    client.run(6)
    assert (_status(client)["readyReplicas"], _status(client)["availableReplicas"]) == (1, 0)
    client.run(24)
    assert _status(client)["availableReplicas"] == 2


def test_returning_to_a_template_reuses_its_revision_renumbered() -> None:
    client = Client()
    client.stateful_set(replicas=1, revisionHistoryLimit=1)
    client.run(4)
    first = _revisions(client)["reg/app:1"][0]
    for image in ("reg/app:2", "reg/app:1", "reg/app:3"):
        client.set_image("statefulsets/db", image)
        client.run(6)
    assert _revisions(client) == {
        "reg/app:1": (first, 3),
        "reg/app:3": (_status(client)["updateRevision"], 4),
    }


def test_undo_sends_the_data_of_a_revision_as_a_patch() -> None:
    client = Client()
    client.stateful_set(replicas=1)
    client.run(4)
    [first] = client.all("controllerrevisions")
    client.set_image("statefulsets/db", "reg/app:2")
    client.run(6)
    client.ok("PATCH", "statefulsets/db", first["data"], STRATEGIC)
    client.run(6)
    assert _images(client) == {"db-0": "reg/app:1"}
    assert _revisions(client)["reg/app:1"] == (first["metadata"]["name"], 3)


def test_orphaned_pods_and_revisions_are_adopted_by_the_namesake() -> None:
    client = Client()
    client.stateful_set(replicas=2)
    client.run(6)
    before = _uids(client)
    client.ok("DELETE", "statefulsets/db", propagationPolicy="Orphan")
    client.run(2)
    assert not any(pod["metadata"].get("ownerReferences") for pod in client.live())
    owner = client.stateful_set(replicas=2)
    client.run(2)
    assert _uids(client) == before
    owned = [*client.live(), *client.all("controllerrevisions")]
    assert {each["metadata"]["ownerReferences"][0]["uid"] for each in owned} == {owner["metadata"]["uid"]}
    assert len(client.all("controllerrevisions")) == 1


def test_deleting_it_takes_pods_and_revisions() -> None:
    client = Client()
    client.stateful_set(replicas=2)
    client.run(6)
    client.ok("DELETE", "statefulsets/db")
    client.run(5)
    assert client.all("pods") == client.all("controllerrevisions") == []


FORBIDDEN = (
    "spec: Forbidden: updates to statefulset spec for fields other than 'replicas', 'ordinals', 'template', 'updateStrategy', "
    "'revisionHistoryLimit', 'persistentVolumeClaimRetentionPolicy' and 'minReadySeconds' are forbidden"
)
ROLLING = '{"Partition":0,"MaxUnavailable":null}'
WRONG_TYPE = (
    f'spec.updateStrategy: Invalid value: {{"Type":"Foo","RollingUpdate":{ROLLING}}}: must be \'RollingUpdate\' or \'OnDelete\''
)


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ({"serviceName": "x"}, FORBIDDEN),
        ({"podManagementPolicy": "Parallel"}, FORBIDDEN),
        (
            {"updateStrategy": {"type": "OnDelete"}},
            f"spec.updateStrategy.rollingUpdate: Invalid value: {ROLLING}: only allowed for updateStrategy 'RollingUpdate'",
        ),
        (
            {"updateStrategy": {"type": "Foo"}},
            WRONG_TYPE,
        ),
        (
            {"updateStrategy": {"rollingUpdate": {"partition": -1}}},
            "spec.updateStrategy.rollingUpdate.partition: Invalid value: -1: must be greater than or equal to 0",
        ),
        ({"ordinals": {"start": -1}}, "spec.ordinals.start: Invalid value: -1: must be greater than or equal to 0"),
        ({"replicas": -1}, "spec.replicas: Invalid value: -1: must be greater than or equal to 0"),
        (
            {"template": {"spec": {"restartPolicy": "Never"}}},
            'spec.template.spec.restartPolicy: Unsupported value: "Never": supported values: "Always"',
        ),
    ],
)
def test_refused_changes(spec: Json, words: str) -> None:
    client = Client()
    client.stateful_set()
    code, message = client.refused("PATCH", "statefulsets/db", {"spec": spec}, MERGE)
    assert (code, message) == (422, f'StatefulSet.apps "db" is invalid: {words}')


def test_the_data_of_a_revision_never_change() -> None:
    client = Client()
    client.stateful_set()
    client.run(1)
    [revision] = client.all("controllerrevisions")
    path = f"controllerrevisions/{revision['metadata']['name']}"
    code, message = client.refused("PATCH", path, {"data": {"a": "b"}}, MERGE)
    assert code == 422
    assert message.endswith(": field is immutable")
    assert client.ok("PATCH", path, {"revision": 7}, MERGE)["revision"] == 7


def test_a_budget_in_percent_counts_what_it_asks_for() -> None:
    client = Client()
    client.stateful_set(replicas=4, podManagementPolicy="Parallel")
    body = {"maxUnavailable": "50%", "selector": {"matchLabels": {"app": "db"}}}
    client.ok("POST", "poddisruptionbudgets", {"metadata": {"name": "db"}, "spec": body})
    client.run(5)
    assert client.get("poddisruptionbudgets/db")["status"]["disruptionsAllowed"] == 2
