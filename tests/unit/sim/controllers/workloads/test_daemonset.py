"""DaemonSets, as upgrades under OnDelete rely on them (design, section 5). Each was seen so on a real 1.36.3."""

from typing import Any

import pytest

from tests.unit.sim.support import MERGE, STRATEGIC, Client

Json = dict[str, Any]
LABEL, GENERATION = "controller-revision-hash", "pod-template-generation"
ANNOTATION = "deprecated.daemonset.template.generation"
PATH = "daemonsets/agent"


def _status(client: Client) -> Json:
    found: Json = client.get(PATH)["status"]
    return found


def _by_node(client: Client) -> dict[str, list[str]]:
    """Images of the living pods."""
    found: dict[str, list[str]] = {}
    for pod in sorted(client.live(), key=lambda pod: str(pod["spec"]["containers"][0]["image"])):
        found.setdefault(pod["spec"]["nodeName"], []).append(pod["spec"]["containers"][0]["image"])
    return found


def _revisions(client: Client) -> dict[str, tuple[str, int]]:
    """Hash and number by image."""
    return {
        each["data"]["spec"]["template"]["spec"]["containers"][0]["image"]: (
            each["metadata"]["labels"][LABEL],
            each["revision"],
        )
        for each in client.all("controllerrevisions")
    }


def _set_gates(client: Client, status: str) -> None:
    for pod in client.live():
        client.set_gate(pod["metadata"]["name"], status)


def _uids(client: Client) -> set[str]:
    return {pod["metadata"]["uid"] for pod in client.live()}


def test_every_node_has_one_pod_with_the_bare_hash() -> None:
    client = Client(events=True)
    client.daemon_set()
    client.run(4)
    assert _by_node(client) == {"node1": ["reg/app:1"], "node2": ["reg/app:1"]}
    [revision] = client.all("controllerrevisions")
    digest = revision["metadata"]["labels"][LABEL]
    assert (revision["metadata"]["name"], revision["revision"]) == (f"agent-{digest}", 1)
    assert revision["metadata"]["annotations"] == {ANNOTATION: "1"}
    for pod in client.live():
        assert pod["metadata"]["labels"] == {"app": "agent", LABEL: digest, GENERATION: "1"}
        assert pod["metadata"]["generateName"] == "agent-"
    assert _status(client) == {
        "currentNumberScheduled": 2,
        "numberMisscheduled": 0,
        "desiredNumberScheduled": 2,
        "numberReady": 2,
        "observedGeneration": 1,
        "updatedNumberScheduled": 2,
        "numberAvailable": 2,
    }
    strategy = client.get(PATH)["spec"]["updateStrategy"]
    assert strategy == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 1, "maxSurge": 0}}
    assert any(event["message"].startswith("Created pod: agent-") for event in client.all("events"))


def test_the_template_generation_is_the_servers() -> None:
    client = Client()
    client.daemon_set()
    client.ok("PATCH", PATH, {"metadata": {"annotations": {ANNOTATION: "7"}}}, MERGE)
    assert client.get(PATH)["metadata"]["annotations"][ANNOTATION] == "1"
    strategy = {"spec": {"updateStrategy": {"type": "OnDelete"}}}
    made = client.ok("PATCH", PATH, strategy, MERGE)
    assert (made["metadata"]["generation"], made["metadata"]["annotations"][ANNOTATION]) == (2, "1")
    made = client.set_image(PATH, "reg/app:2")
    assert (made["metadata"]["generation"], made["metadata"]["annotations"][ANNOTATION]) == (3, "2")


def test_a_rolling_update_keeps_to_max_unavailable() -> None:
    client = Client(nodes=4)
    client.daemon_set(gate=True)
    client.run(3)
    _set_gates(client, "True")
    client.run(3)
    client.set_image(PATH, "reg/app:2")
    client.run(6)
    images = sorted(image for images in _by_node(client).values() for image in images)
    assert images == ["reg/app:1"] * 3 + ["reg/app:2"]  # the new one is closed, so the others wait
    for _ in range(4):
        _set_gates(client, "True")
        client.run(6)
    assert set(map(tuple, _by_node(client).values())) == {("reg/app:2",)}
    assert _status(client)["numberAvailable"] == 4


def test_closed_old_pods_are_replaced_beyond_max_unavailable() -> None:
    client = Client(nodes=4)
    client.daemon_set(gate=True)
    client.run(3)
    _set_gates(client, "True")
    client.run(3)
    before = _uids(client)
    _set_gates(client, "False")
    client.run(2)
    client.set_image(PATH, "reg/app:2")
    client.run(1)
    assert not before & _uids(client)


def test_on_delete_touches_nothing_and_makes_new_ones() -> None:
    client = Client()
    client.daemon_set(updateStrategy={"type": "OnDelete"}, gate=True)
    client.run(3)
    _set_gates(client, "False")
    client.set_image(PATH, "reg/app:2")
    client.run(3)
    assert _by_node(client) == {"node1": ["reg/app:1"], "node2": ["reg/app:1"]}
    assert "updatedNumberScheduled" not in _status(client)
    victim = next(pod for pod in client.live() if pod["spec"]["nodeName"] == "node1")
    client.ok("DELETE", f"pods/{victim['metadata']['name']}")
    client.run(3)
    assert _by_node(client) == {"node1": ["reg/app:2"], "node2": ["reg/app:1"]}
    assert _status(client)["updatedNumberScheduled"] == 1


def test_relabelled_pods_are_left_alone_by_the_old_strategy() -> None:
    client = Client()
    client.daemon_set(updateStrategy={"type": "OnDelete"})
    client.run(3)
    client.set_image(PATH, "reg/app:2")
    client.run(1)
    before, digest = _uids(client), _revisions(client)["reg/app:2"][0]
    for pod in client.live():
        spec = {"containers": [{"name": "app", "image": "reg/app:2"}]}
        body = {"metadata": {"labels": {LABEL: digest}}, "spec": spec}
        client.ok("PATCH", f"pods/{pod['metadata']['name']}", body, STRATEGIC)
    client.run(4)
    client.ok("PATCH", PATH, {"spec": {"updateStrategy": {"type": "RollingUpdate"}}}, MERGE)
    client.run(5)
    assert _uids(client) == before
    assert (_status(client)["updatedNumberScheduled"], _status(client)["numberAvailable"]) == (2, 2)


def test_surging_puts_the_new_pod_beside_the_old_one() -> None:
    client = Client()
    client.daemon_set(gate=True, updateStrategy={"rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}})
    client.run(3)
    _set_gates(client, "True")
    client.run(3)
    client.set_image(PATH, "reg/app:2")
    client.run(4)
    assert sorted(map(len, _by_node(client).values())) == [1, 2]
    assert _status(client)["numberAvailable"] == 2
    for _ in range(3):
        _set_gates(client, "True")
        client.run(4)
    assert _by_node(client) == {"node1": ["reg/app:2"], "node2": ["reg/app:2"]}


def test_history_is_cut_and_numbers_rise_on_a_return() -> None:
    client = Client()
    client.daemon_set(revisionHistoryLimit=1, updateStrategy={"rollingUpdate": {"maxUnavailable": "100%"}})
    client.run(3)
    first = _revisions(client)["reg/app:1"][0]
    for image in ("reg/app:2", "reg/app:1", "reg/app:3"):
        client.set_image(PATH, image)
        client.run(6)
    assert {image: number for image, (_, number) in _revisions(client).items()} == {"reg/app:1": 3, "reg/app:3": 4}
    assert _revisions(client)["reg/app:1"][0] == first
    client.ok("PATCH", PATH, {"spec": {"revisionHistoryLimit": 0}}, MERGE)
    client.run(1)
    assert list(_revisions(client)) == ["reg/app:3"]


def test_a_daemon_set_obeys_its_node_selector_ignoring_cordons() -> None:
    client = Client()
    client.ok("PATCH", "/api/v1/nodes/node1", {"spec": {"unschedulable": True}}, MERGE)
    client.daemon_set()
    client.run(3)
    assert set(_by_node(client)) == {"node1", "node2"}
    spec = {"template": {"spec": {"nodeSelector": {"kubernetes.io/hostname": "node2"}}}}
    client.ok("PATCH", PATH, {"spec": spec}, MERGE)
    client.run(8)
    assert set(_by_node(client)) == {"node2"}
    assert _status(client)["desiredNumberScheduled"] == 1


def test_minimum_ready_seconds_delay_availability() -> None:
    client = Client()
    client.daemon_set(minReadySeconds=10)
    client.run(6)
    assert (_status(client)["numberReady"], _status(client)["numberUnavailable"]) == (2, 2)
    client.run(10)
    assert _status(client)["numberAvailable"] == 2


@pytest.mark.parametrize("limit", [{"maxUnavailable": 1}, {"minAvailable": "50%"}])
def test_a_budget_that_asks_for_a_share_fails_and_allows_nothing(limit: Json) -> None:
    client = Client()
    client.daemon_set()
    selector = {"matchLabels": {"app": "agent"}}
    client.ok("POST", "poddisruptionbudgets", {"metadata": {"name": "b"}, "spec": {**limit, "selector": selector}})
    client.run(4)
    status = client.get("poddisruptionbudgets/b")["status"]
    [condition] = status.pop("conditions")
    assert status == {"currentHealthy": 0, "desiredHealthy": 0, "disruptionsAllowed": 0, "expectedPods": 0}
    assert (condition["status"], condition["reason"]) == ("False", "SyncFailed")
    assert condition["message"] == "daemonsets.apps does not implement the scale subresource"


def test_a_budget_in_pods_counts() -> None:
    client = Client()
    client.daemon_set()
    spec = {"minAvailable": 1, "selector": {"matchLabels": {"app": "agent"}}}
    client.ok("POST", "poddisruptionbudgets", {"metadata": {"name": "b"}, "spec": spec})
    client.run(4)
    assert client.get("poddisruptionbudgets/b")["status"]["disruptionsAllowed"] == 1


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        (
            {"updateStrategy": {"rollingUpdate": {"maxSurge": 1}}},
            "spec.updateStrategy.rollingUpdate.maxSurge: Invalid value: 1: may not be set when maxUnavailable is non-zero",
        ),
        (
            {"updateStrategy": {"rollingUpdate": {"maxUnavailable": 0}}},
            "spec.updateStrategy.rollingUpdate.maxUnavailable: Required value: cannot be 0 when maxSurge is 0",
        ),
    ],
)
def test_refused_changes(spec: Json, words: str) -> None:
    client = Client()
    client.daemon_set()
    code, message = client.refused("PATCH", PATH, {"spec": spec}, MERGE)
    assert (code, message) == (422, f'DaemonSet.apps "agent" is invalid: {words}')


def test_the_selector_is_immutable() -> None:
    client = Client()
    client.daemon_set()
    body = {"spec": {"selector": {"matchLabels": {"app": "agent", "b": "c"}}}}
    code, message = client.refused("PATCH", PATH, body, MERGE)
    assert code == 422
    assert 'spec.selector: Invalid value: {"matchLabels":{"app":"agent","b":"c"}}: field is immutable' in message
