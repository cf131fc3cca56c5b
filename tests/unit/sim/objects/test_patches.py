"""Patches do to JSON what a real 1.36 does (measured where a test says so), and share what they do not touch."""

from typing import Any

import pytest

from inplace.sim.objects.errors import StatusError
from inplace.sim.objects.patches import PatchFailed, json_patch, merge_patch, strategic_merge

POD: dict[str, Any] = {
    "metadata": {"labels": {"a": "1"}},
    "spec": {
        "containers": [
            {"name": "app", "image": "app:1", "args": ["a"], "env": [{"name": "E", "value": "1"}]},
            {"name": "side", "image": "side:1"},
        ],
        "readinessGates": [{"conditionType": "a/x"}],
        "imagePullSecrets": [{"name": "s1"}],
        "tolerations": [{"key": "k1"}],
    },
    "status": {"conditions": [{"type": "Ready", "status": "True"}, {"type": "Gate", "status": "True", "reason": "x"}]},
}


def _names(items: list[dict[str, Any]], key: str = "name") -> list[str]:
    return [item[key] for item in items]


def test_an_image_patch_by_container_name_shares_the_rest() -> None:
    made = strategic_merge(POD, {"spec": {"containers": [{"name": "side", "image": "side:2"}]}})
    assert [c["image"] for c in made["spec"]["containers"]] == ["app:1", "side:2"]
    assert made["spec"]["containers"][0] is POD["spec"]["containers"][0]
    assert made["status"] is POD["status"]
    assert POD["spec"]["containers"][1]["image"] == "side:1"


def test_one_condition_merges_by_type_and_keeps_others_in_order() -> None:
    made = strategic_merge(POD, {"status": {"conditions": [{"type": "Gate", "status": "False"}]}})
    assert made["status"]["conditions"] == [POD["status"]["conditions"][0], {"type": "Gate", "status": "False", "reason": "x"}]


def test_a_doubled_condition_merges_in_its_first_place() -> None:
    """Measured, 1.36.3: the second follows the first to the front, and a condition in the same patch is a new one."""
    ready, first = POD["status"]["conditions"]
    second = {"type": "Gate", "status": "False"}
    doubled = {"status": {"conditions": [ready, first, {"type": "Other"}, second]}}
    new = {"type": "Gate", "status": "Unknown"}
    merged = strategic_merge(doubled, {"status": {"conditions": [new]}})["status"]["conditions"]
    assert merged == [ready, {**first, **new}, second, {"type": "Other"}]
    gone = {"$patch": "delete", "type": "Gate"}
    assert strategic_merge(doubled, {"status": {"conditions": [gone, new]}})["status"]["conditions"] == [
        ready,
        new,
        {"type": "Other"},
    ]
    assert strategic_merge({}, {"status": {"conditions": [gone, new]}}) == {"status": {"conditions": [new]}}


def test_new_items_come_before_what_the_server_has() -> None:
    """Measured: a new container, env variable or condition is put first."""
    made = strategic_merge(
        POD, {"spec": {"containers": [{"name": "new", "image": "n"}, {"name": "app", "env": [{"name": "F"}]}]}}
    )
    assert _names(made["spec"]["containers"]) == ["new", "app", "side"]
    assert _names(made["spec"]["containers"][1]["env"]) == ["F", "E"]


def test_lists_without_a_merge_key_are_replaced() -> None:
    patch = {"readinessGates": [{"conditionType": "b/y"}], "tolerations": [{"key": "k2"}], "imagePullSecrets": [{"name": "s2"}]}
    made = strategic_merge(POD, {"spec": {**patch, "containers": [{"name": "app", "args": ["b"]}]}})["spec"]
    assert (made["readinessGates"], made["tolerations"]) == ([{"conditionType": "b/y"}], [{"key": "k2"}])
    assert _names(made["imagePullSecrets"]) == ["s2", "s1"]
    assert made["containers"][0]["args"] == ["b"]


def test_null_deletes_a_field_and_a_directive_an_item() -> None:
    made = strategic_merge(
        POD, {"metadata": {"labels": {"a": None}}, "spec": {"containers": [{"name": "side", "$patch": "delete"}]}}
    )
    assert made["metadata"]["labels"] == {}
    assert _names(made["spec"]["containers"]) == ["app"]


def test_directives_replace_lists_and_maps_and_give_an_order() -> None:
    whole = [{"$patch": "replace"}, {"name": "s3"}]
    assert strategic_merge(POD, {"spec": {"imagePullSecrets": whole}})["spec"]["imagePullSecrets"] == [{"name": "s3"}]
    assert strategic_merge(POD, {"metadata": {"$patch": "replace", "x": 1}})["metadata"] == {"x": 1}
    kept = {"$retainKeys": ["type"], "type": "Recreate"}
    assert strategic_merge({"strategy": {"type": "R", "rollingUpdate": {}}}, {"strategy": kept})["strategy"] == {
        "type": "Recreate"
    }
    order = {"$setElementOrder/containers": [{"name": "side"}, {"name": "app"}]}
    assert _names(strategic_merge(POD, {"spec": order})["spec"]["containers"]) == ["side", "app"]


def test_an_item_without_its_merge_key_is_refused() -> None:
    with pytest.raises(StatusError, match="does not contain declared merge key: name"):
        strategic_merge(POD, {"spec": {"containers": [{"image": "x"}]}})


def test_a_merge_patch_replaces_lists_and_deletes_with_null() -> None:
    made = merge_patch(POD, {"metadata": {"labels": {"a": None, "b": "2"}}, "spec": {"containers": [{"name": "x"}]}})
    assert made["metadata"] == {"labels": {"b": "2"}}
    assert made["spec"]["containers"] == [{"name": "x"}]
    assert made["status"] is POD["status"]


def test_json_patch_adds_replaces_removes_moves_and_tests() -> None:
    made = json_patch(
        POD,
        [
            {"op": "test", "path": "/metadata/labels/a", "value": "1"},
            {"op": "add", "path": "/metadata/labels/b~1c", "value": "2"},
            {"op": "replace", "path": "/spec/containers/0/image", "value": "app:2"},
            {"op": "remove", "path": "/spec/containers/1"},
            {"op": "add", "path": "/status/conditions/-", "value": {"type": "Gate", "status": "False"}},
            {"op": "move", "from": "/metadata/labels/a", "path": "/metadata/labels/z"},
        ],
    )
    assert made["metadata"]["labels"] == {"b/c": "2", "z": "1"}
    assert [c["image"] for c in made["spec"]["containers"]] == ["app:2"]
    assert [c["status"] for c in made["status"]["conditions"] if c["type"] == "Gate"] == ["True", "False"]
    assert len(POD["status"]["conditions"]) == 2


@pytest.mark.parametrize(
    "operation",
    [
        {"op": "test", "path": "/metadata/labels/a", "value": "2"},
        {"op": "remove", "path": "/metadata/labels/none"},
        {"op": "replace", "path": "/spec/containers/7/image", "value": "x"},
        {"op": "add", "path": "/nothing/here", "value": 1},
        {"op": "jump", "path": "/metadata"},
    ],
)
def test_a_json_patch_that_cannot_be_applied_fails_as_a_whole(operation: dict[str, Any]) -> None:
    with pytest.raises(PatchFailed):
        json_patch(POD, [{"op": "add", "path": "/metadata/labels/b", "value": "2"}, operation])
    assert POD["metadata"]["labels"] == {"a": "1"}
