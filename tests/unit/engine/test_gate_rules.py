"""A gate that follows a label: never opened while anything holds it, one write per change, else none."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from inplace.engine.gate_rules import GateRule, GateUpdate, desired_update
from inplace.model.constants import HOLDS_ANNOTATION, RECORD_ANNOTATION
from inplace.model.objects.pods import Pod, PodCondition
from inplace.model.record import UpgradeRecord, encode_holds, encode_record, read_holds
from inplace.model.validation import condition_type, qualified_name
from tests import builders
from tests.builders import GATE

LABEL = "example"
OPEN, CLOSED = GateRule(GATE, LABEL, "open"), GateRule(GATE, LABEL, "closed")
OURS = {OPEN.hold: "label example is false"}
ELSEWHERE = {"label@www.example.com/feature-2": "label other is false"}
RECORDS = (
    encode_record(UpgradeRecord(run="r1", lease="l", from_images={"app": "app:1"}, to_images={"app": "app:2"})),
    "not a record",
)


def make_pod(
    *,
    label: str | None = None,
    status: str | None = None,
    holds: dict[str, str] | str | None = None,
    record: str | None = None,
    second: str | None = None,
    **fields: Any,
) -> Pod:
    """`status` is that of the gate's condition, `second` that of one more of its type; `holds` as a string is the annotation's
    raw text."""
    text = holds if isinstance(holds, str) else encode_holds(holds or {})
    labels = {} if label is None else {LABEL: label}
    made = builders.pod(gate=status, labels=labels, holds=text, record=record, version=7, **fields)
    more = (PodCondition(GATE, second),) if second is not None else ()
    conditions = (*(made.status.conditions or ()), *more)
    return msgspec.structs.replace(made, status=msgspec.structs.replace(made.status, conditions=conditions))


def written(pod: Pod, wanted: GateUpdate) -> Pod:
    """The pod as the API server leaves it: conditions are merged by type."""
    notes = dict(pod.metadata.annotations or {})
    if wanted.holds is not None:
        text = encode_holds(wanted.holds)
        notes = (
            {**notes, HOLDS_ANNOTATION: text} if text else {key: old for key, old in notes.items() if key != HOLDS_ANNOTATION}
        )
    conditions = pod.status.conditions or ()
    if wanted.status is not None:
        others = tuple(c for c in conditions if c.type != wanted.gate)
        conditions = (*others, PodCondition(wanted.gate, str(wanted.status)))
    meta = msgspec.structs.replace(pod.metadata, annotations=notes, resource_version="8")
    return msgspec.structs.replace(pod, metadata=meta, status=msgspec.structs.replace(pod.status, conditions=conditions))


def labelled(pod: Pod, label: str | None) -> Pod:
    labels = {} if label is None else {LABEL: label}
    return msgspec.structs.replace(pod, metadata=msgspec.structs.replace(pod.metadata, labels=labels))


def is_held_by_others(pod: Pod) -> bool:
    return any(name not in (*OURS, *ELSEWHERE) for name in read_holds(pod)) or RECORD_ANNOTATION in (
        pod.metadata.annotations or {}
    )


@pytest.mark.parametrize("both", [("True", "False"), ("False", "True"), ("True", "True"), ("False", "False")])
@pytest.mark.parametrize("label", ["true", "false"])
def test_of_a_doubled_condition_one_is_left_as_the_label_says(both: tuple[str, str], label: str) -> None:
    """As whoever appends them by JSON Patch leaves them. The kubelet believes the first."""
    pod = make_pod(label=label, status=both[0], second=both[1])
    wanted = desired_update(pod, OPEN)
    assert wanted is not None
    after = written(pod, wanted)
    assert [c.status for c in after.status.conditions or () if c.type == GATE] == ["True" if label == "true" else "False"]
    assert desired_update(after, OPEN) is None


LABELS = st.sampled_from([None, "true", "false", "", "True", "no"])
HOLDINGS = st.one_of(
    st.sampled_from(["{", "[]", '{"label": 1}', ""]),
    st.sets(st.sampled_from([*OURS, *ELSEWHERE, "dependency", "label", f"manual@{GATE}"])).map(
        lambda names: dict.fromkeys(names, "because")
    ),
)
RULES = st.sampled_from([OPEN, CLOSED])
PODS = st.builds(
    make_pod,
    label=LABELS,
    status=st.sampled_from([None, "True", "False", "Unknown"]),
    holds=HOLDINGS,
    record=st.sampled_from([None, *RECORDS]),
    second=st.sampled_from([None, None, "True", "False"]),
)


@given(PODS, RULES)
def test_after_the_write_there_is_nothing_to_do(pod: Pod, rule: GateRule) -> None:
    wanted = desired_update(pod, rule)
    if wanted is not None:
        assert wanted.status is not None or wanted.holds is not None
        assert desired_update(written(pod, wanted), rule) is None


@given(PODS, RULES)
def test_a_gate_is_never_opened_while_anything_holds_it(pod: Pod, rule: GateRule) -> None:
    wanted = desired_update(pod, rule)
    if wanted is not None and wanted.status:
        assert not is_held_by_others(pod)
        assert rule.hold not in read_holds(written(pod, wanted))


@given(PODS, RULES)
def test_the_holds_of_others_are_kept(pod: Pod, rule: GateRule) -> None:
    wanted = desired_update(pod, rule)
    after = read_holds(written(pod, wanted)) if wanted else read_holds(pod)
    assert {k: v for k, v in after.items() if k != rule.hold} == {k: v for k, v in read_holds(pod).items() if k != rule.hold}


@given(PODS, RULES)
def test_a_condition_that_is_missing_is_added(pod: Pod, rule: GateRule) -> None:
    wanted = desired_update(pod, rule)
    after = written(pod, wanted) if wanted else pod
    condition = after.condition(GATE)
    assert condition is not None
    assert condition.status in ("True", "False")


@given(PODS, RULES, st.lists(st.sampled_from(["true", "false"]), max_size=6))
def test_every_label_flip_costs_exactly_one_write(pod: Pod, rule: GateRule, flips: list[str]) -> None:
    pod = labelled(pod, "true")
    while (wanted := desired_update(pod, rule)) is not None:
        pod = written(pod, wanted)
    label = "true"
    for flip in flips:
        pod, writes = labelled(pod, flip), 0
        while (wanted := desired_update(pod, rule)) is not None:
            pod, writes = written(pod, wanted), writes + 1
        # Without a readable annotation there is no hold to write: the gate is closed already and stays so.
        expected = int(flip != label) if "unreadable" not in read_holds(pod) else 0
        assert writes == expected
        label = flip


@given(LABELS, HOLDINGS, st.sampled_from([None, *RECORDS]))
def test_rules_for_two_gates_of_a_pod_come_to_rest(label: str | None, holds: Any, record: str | None) -> None:
    pod = make_pod(label=label, holds=holds, record=record, gates=(GATE, "other"))
    rules = (OPEN, GateRule("other", "unset", "closed"))
    for rule in rules:
        if (wanted := desired_update(pod, rule)) is not None:
            pod = written(pod, wanted)
    assert [desired_update(pod, rule) for rule in rules] == [None, None]


@given(PODS, RULES)
def test_the_pod_that_was_judged_is_the_precondition(pod: Pod, rule: GateRule) -> None:
    wanted = desired_update(pod, rule)
    if wanted is not None:
        assert (wanted.pod.uid, wanted.pod.resource_version) == ("uid-web-a", "7")


@pytest.mark.parametrize(
    ("label", "rule", "is_open"),
    [
        ("true", OPEN, True),
        ("true", CLOSED, True),
        ("false", OPEN, False),
        ("false", CLOSED, False),
        (None, OPEN, True),
        (None, CLOSED, False),
        ("maybe", OPEN, True),
        ("maybe", CLOSED, False),
    ],
)
def test_what_a_label_means(label: str | None, rule: GateRule, is_open: bool) -> None:
    wanted = desired_update(make_pod(label=label), rule)
    assert wanted is not None
    assert wanted.status is is_open
    assert (rule.hold in (wanted.holds or {})) is not is_open


@pytest.mark.parametrize(
    "pod",
    [
        make_pod(label="false", gates=()),
        make_pod(label="false", gates=("another",)),
        make_pod(label="false", deleting=True),
        make_pod(label="false", phase="Succeeded"),
        make_pod(label="false", phase="Failed"),
    ],
)
def test_pods_that_are_not_ours_to_judge_are_left_alone(pod: Pod) -> None:
    assert desired_update(pod, OPEN) is None


@pytest.mark.parametrize("record", RECORDS)
def test_a_label_flip_during_an_upgrade_changes_the_hold_only(record: str) -> None:
    closed = make_pod(label="false", status="False", record=record)
    added = desired_update(closed, OPEN)
    assert added is not None
    assert (added.status, added.holds) == (None, OURS)
    removed = desired_update(labelled(written(closed, added), "true"), OPEN)
    assert removed is not None
    assert (removed.status, removed.holds) == (None, {})
    assert removed.why == "label example is true, but held by an upgrade"


def test_an_open_gate_is_left_to_the_upgrade() -> None:
    assert desired_update(make_pod(status="True", record=RECORDS[0]), OPEN) is None


def test_removing_the_last_hold_opens_the_gate() -> None:
    wanted = desired_update(make_pod(label="true", status="False", holds=OURS), OPEN)
    assert wanted is not None
    assert (wanted.status, wanted.holds) == (True, {})


def test_a_hold_for_another_gate_of_the_pod_holds_nothing_here() -> None:
    wanted = desired_update(make_pod(holds=ELSEWHERE), OPEN)
    assert wanted is not None
    assert (wanted.status, wanted.holds) == (True, None)


def test_an_open_gate_that_another_hold_forbids_is_closed() -> None:
    wanted = desired_update(make_pod(label="true", status="True", holds={"dependency": "db"}), OPEN)
    assert wanted is not None
    assert (wanted.status, wanted.holds, wanted.reason) == (False, None, "Held")
    assert wanted.why == "label example is true, but held by dependency"


@pytest.mark.parametrize(
    "name", ["example", "www.example.com/feature-1", "a/B_c.d", "x" * 63, "a" * 63 + "." + "b" * 63 + "/x"]
)
def test_names_that_kubernetes_takes(name: str) -> None:
    assert qualified_name(name) == name
    assert condition_type(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "/", "a/", "/a", "a/b/c", "-a", "a-", "a b", "A.com/x", "a..b/x", "a.-b/x", "x" * 64, "é", "a\n", "a" * 254 + "/x"],
)
def test_names_that_it_does_not(name: str) -> None:
    with pytest.raises(ValueError, match="is not a name"):
        qualified_name(name)


def test_conditions_of_the_kubelet_are_not_ours() -> None:
    with pytest.raises(ValueError, match="belongs to Kubernetes"):
        condition_type("Ready")
