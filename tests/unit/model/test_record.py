"""The record that a pod carries, and the holds beside it: what is written is read back, and what cannot be read is said."""

import msgspec
import pytest

from inplace.model.constants import HOLDS_ANNOTATION, RECORD_ANNOTATION
from inplace.model.history import decode_history
from inplace.model.record import (
    PreviousContainer,
    UnreadableRecord,
    UpgradeRecord,
    encode_holds,
    encode_record,
    read_holds,
    read_record,
)
from inplace.model.run import decode_run
from tests.builders import NEW, OLD, patched, pod, record


@pytest.mark.parametrize(
    "written",
    [
        record(),
        record(gate_before="False", since="2026-01-01T00:00:00Z"),
        record(gate_before="Missing", from_images={}),
        patched("containerd://abc", "registry.example/app@sha256:1"),
        record(before={"app": PreviousContainer(), "side": PreviousContainer(container_id="x")}),
    ],
)
def test_a_record_comes_back_as_it_was_written(written: UpgradeRecord) -> None:
    assert read_record(pod(record=written)) == written


def test_the_record_is_readable_json_with_kubernetes_names() -> None:
    assert msgspec.json.decode(encode_record(patched())) == {
        "run": "run-1",
        "lease": "inplace-deployment-web",
        "fromImages": OLD,
        "toImages": NEW,
        "before": {"app": {"containerID": "c1", "imageID": "sha-1", "image": OLD["app"], "restartCount": 0}},
    }


def test_no_annotation_is_no_record() -> None:
    assert read_record(pod()) is None


def test_fields_of_later_versions_are_passed_over() -> None:
    text = encode_record(record())[:-1] + ',"later":1}'
    assert read_record(pod(record=text)) == record()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "[]",
        "{}",
        "null",
        '{"run":1}',
        encode_record(record()).replace('"run-1"', "null"),
        encode_record(record())[:-5],
    ],
)
def test_garbage_is_not_ours_to_touch(text: str) -> None:
    found = read_record(pod(record=text))
    assert isinstance(found, UnreadableRecord)
    assert RECORD_ANNOTATION in found.problem


def test_an_unknown_gate_before_is_garbage() -> None:
    text = encode_record(record(gate_before="False")).replace("False", "Perhaps")
    assert isinstance(read_record(pod(record=text)), UnreadableRecord)


def test_a_record_of_another_version_names_both() -> None:
    text = encode_record(record(v=2))
    found = read_record(pod(record=text))
    assert isinstance(found, UnreadableRecord)
    assert found.problem == f"annotation {RECORD_ANNOTATION} has version 2; this inplace knows version 1"


@pytest.mark.parametrize("holds", [{}, {"label": "closed by hand"}, {"b": "2", "a": "1"}])
def test_holds_come_back_as_they_were_written(holds: dict[str, str]) -> None:
    assert read_holds(pod(holds=encode_holds(holds))) == holds


def test_no_holds_remove_the_annotation_and_order_is_irrelevant() -> None:
    assert encode_holds({}) is None
    assert encode_holds({"b": "2", "a": "1"}) == '{"a":"1","b":"2"}'


@pytest.mark.parametrize("text", ["x", "[]", '{"a":1}'])
def test_holds_that_cannot_be_read_hold(text: str) -> None:
    assert list(read_holds(pod(holds=text))) == ["unreadable"]
    assert HOLDS_ANNOTATION in read_holds(pod(holds=text))["unreadable"]


DEEP = "[" * 3000 + "]" * 3000


def test_a_record_nested_too_deep_is_garbage_like_any_other() -> None:
    assert isinstance(read_record(pod(record=encode_record(record())[:-1] + f',"x":{DEEP}}}')), UnreadableRecord)
    assert list(read_holds(pod(holds=f'{{"a":{DEEP}}}'))) == ["unreadable"]
    assert decode_history(DEEP) == ()
    with pytest.raises(ValueError, match="the stored run cannot be read"):
        decode_run(DEEP)
