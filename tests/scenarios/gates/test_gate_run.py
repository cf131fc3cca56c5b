"""`inplace gate run`: what the label says is what the condition becomes, once, and never against a hold."""

import json
from datetime import datetime

import pytest

from tests.recorder.log import HOLDS, RECORD, condition
from tests.scenarios.gates.steps import (
    GATE,
    LABEL,
    changes,
    gate_of,
    holds_of,
    label,
    let_pass,
    make_pod,
    start,
    until_gate,
    until_ready,
)
from tests.scenarios.manifests import deployment, pod, service
from tests.scenarios.scene import Scene


@pytest.mark.parametrize(("default", "expected"), [("open", "True"), ("closed", "False")])
def test_what_the_label_says_the_condition_becomes(scene: Scene, default: str, expected: str) -> None:
    wanted = {"none": expected, "yes": "True", "no": "False", "other": expected}
    labelled = (("yes", "true"), ("no", "false"), ("other", "maybe"))
    pods = [make_pod(scene, "none"), *(make_pod(scene, name, **{LABEL: value}) for name, value in labelled)]
    scene.create(*pods, pod("ungated", scene.image("app:1"), gate=None))
    controller = start(scene, "--default", default)
    for name, status in wanted.items():
        until_gate(scene, name, status)
        assert bool(holds_of(scene, name)) == (status == "False")
    assert gate_of(scene, "ungated") is None
    let_pass(scene, resyncs=2)
    assert sorted(line["pod"] for line in changes(controller)) == sorted(f"{scene.ns}/{name}" for name in wanted)


def test_a_new_pod_gets_its_condition_within_a_second(scene: Scene) -> None:
    start(scene)
    scene.create(make_pod(scene, "web"))
    until_gate(scene, "web", "True")
    made = scene.get("pod/web")
    added = next(c["lastTransitionTime"] for c in made["status"]["conditions"] if c["type"] == GATE)
    waited = datetime.fromisoformat(added) - datetime.fromisoformat(made["metadata"]["creationTimestamp"])
    assert waited.total_seconds() <= 1
    until_ready(scene, "web")


def test_a_wrong_condition_is_replaced_a_right_one_is_left_alone(scene: Scene) -> None:
    scene.create(make_pod(scene, "web", **{LABEL: "true"}))
    controller = start(scene)
    until_ready(scene, "web")
    let_pass(scene, resyncs=2)  # until the kubelet has had its say
    before = scene.get("pod/web")["metadata"]["resourceVersion"]
    let_pass(scene, resyncs=2)
    assert scene.get("pod/web")["metadata"]["resourceVersion"] == before
    scene.set_gate("web", "False", GATE)
    until_gate(scene, "web", "True")
    assert [(line["from"], line["to"]) for line in changes(controller)] == [("missing", "True"), ("False", "True")]
    types = [c["type"] for c in scene.get("pod/web")["status"]["conditions"]]
    assert len(types) == len(set(types))


def test_every_flip_is_one_write(scene: Scene) -> None:
    scene.create(make_pod(scene, "web"))
    controller = start(scene)
    until_ready(scene, "web")
    for value, status in (("false", "False"), ("true", "True")) * 3:
        label(scene, "web", value)
        until_gate(scene, "web", status)
        assert bool(holds_of(scene, "web")) == (status == "False")
    let_pass(scene, resyncs=2)
    assert [line["to"] for line in changes(controller)] == ["True", *["False", "True"] * 3]


@pytest.mark.parametrize("record", ['{"run":"r1","lease":"l","fromImages":{},"toImages":{}}', "nobody can read this"])
def test_a_flip_during_an_upgrade_changes_the_hold_only(scene: Scene, record: str) -> None:
    scene.create(make_pod(scene, "web"))
    controller = start(scene)
    until_ready(scene, "web")
    scene.set_gate("web", "False", GATE, **{RECORD: record})
    label(scene, "web", "false")
    scene.until(lambda: holds_of(scene, "web"), "our hold", 10)
    label(scene, "web", "true")
    scene.until(lambda: not holds_of(scene, "web"), "no hold", 10)
    let_pass(scene, resyncs=2)
    assert gate_of(scene, "web") == "False"
    assert [line["event"] for line in changes(controller)] == ["gate opened", "holds changed", "holds changed"]
    scene.annotate("pod/web", {RECORD: None})
    until_gate(scene, "web", "True")


def test_a_hold_of_somebody_else_keeps_the_gate_closed(scene: Scene) -> None:
    scene.create(make_pod(scene, "web", **{LABEL: "false"}))
    start(scene)
    until_gate(scene, "web", "False")
    ours = holds_of(scene, "web")
    scene.annotate("pod/web", {HOLDS: json.dumps({**ours, "dependency": "db"})})
    label(scene, "web", "true")
    scene.until(lambda: holds_of(scene, "web") == {"dependency": "db"}, "only the other hold", 10)
    let_pass(scene, resyncs=2)
    assert gate_of(scene, "web") == "False"
    scene.annotate("pod/web", {HOLDS: None})
    until_gate(scene, "web", "True")


def test_two_controllers_do_not_fight(scene: Scene) -> None:
    names = [f"web-{i}" for i in range(4)]
    both = start(scene), start(scene)
    scene.create(*(make_pod(scene, name) for name in names))
    for value, status in ((None, "True"), ("false", "False"), ("true", "True")):
        for name in names:
            if value is not None:
                label(scene, name, value)
        for name in names:
            until_gate(scene, name, status)
    for name in names:
        until_ready(scene, name)
    let_pass(scene, resyncs=2)
    told = changes(*both)
    assert {line["event"] for line in told} == {"gate opened", "gate closed"}
    assert len(told) == 3 * len(names)


def test_two_gates_of_one_pod_follow_two_labels(scene: Scene) -> None:
    web = make_pod(scene, "web", **{LABEL: "false", "other": "true"})
    web["spec"]["readinessGates"] = [{"conditionType": GATE}, {"conditionType": "other"}]
    both = start(scene), scene.run_gates("other", "other", "--resync", "1s")
    scene.create(web)
    until_gate(scene, "web", "False")
    scene.until(lambda: condition(scene.get("pod/web"), "other") == "True", "the other gate", 10)
    let_pass(scene, resyncs=2)
    assert len(changes(*both)) == 2


def test_an_upgrade_and_the_controller_do_not_fight(scene: Scene) -> None:
    """The gate of a pod that is labelled `false` in the middle of its restart is opened by nobody until the label goes."""
    controller = start(scene)
    scene.deploy(deployment("web", scene.image("app:1"), replicas=3, gate=GATE), service("web"), count=3, gate=None)
    names = scene.before
    upgrade = scene.start("--gate", GATE, "--max-unavailable", "1", settle="2s", app="app:2")
    first = scene.until(
        lambda: next((name for name in names if gate_of(scene, name) == "False"), ""), "a closed gate", 60, every=0.05
    )
    label(scene, first, "false")
    scene.until(lambda: holds_of(scene, first), "our hold", 10)
    scene.until(lambda: RECORD not in scene.get(f"pod/{first}")["metadata"]["annotations"], "its upgrade done", 60)
    let_pass(scene, resyncs=2)
    assert gate_of(scene, first) == "False"
    label(scene, first, "true")
    until_gate(scene, first, "True")
    scene.end(upgrade)
    scene.check_same_pods()
    scene.check_restarts(*[{"app": 1}] * 3)
    mine = [line["event"] for line in changes(controller) if line["pod"] == f"{scene.ns}/{first}"]
    assert mine == ["gate opened", "holds changed", "gate opened"]
    others = [line["event"] for line in changes(controller) if line["pod"] != f"{scene.ns}/{first}"]
    assert others == ["gate opened"] * 2
