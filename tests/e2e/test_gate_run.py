"""`inplace gate run` on the real cluster: what the label says is what the condition becomes, once, and never against a hold."""

import json
import signal
import time
from datetime import datetime

import pytest

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Background, Inplace
from tests.e2e.support import Object, eventually

GATE, LABEL = "www.example.com/feature-1", "example"
HOLD, RECORD = "inplace.dev/holds", "inplace.dev/upgrade"
RESYNC_SECONDS = 1
PERSON = "gatekeeper"


def start(inplace: Inplace, *args: str) -> Background:
    """A controller that watches."""
    rule = ("--condition", GATE, "--label", LABEL, "--resync", f"{RESYNC_SECONDS}s")
    started = inplace.start("gate", "run", *rule, *args)
    eventually(lambda: "watching pods" in started.stdout, "the controller watches", 30)
    return started


def changes(*controllers: Background) -> list[Object]:
    lines = [json.loads(line) for each in controllers for line in each.stdout.splitlines()]
    return [line for line in lines if line["event"] != "watching pods"]


def make_pod(cluster: Cluster, name: str, **labels: str) -> Object:
    made = support.pod(name, f"{cluster.registry}/app:1", gate=GATE)
    return {**made, "metadata": {**made["metadata"], "labels": labels}}


def gate_of(cluster: Cluster, ns: str, name: str) -> str | None:
    return support.condition(support.get(cluster, ns, f"pod/{name}"), GATE)


def holds_of(cluster: Cluster, ns: str, name: str) -> dict[str, str]:
    annotations = support.get(cluster, ns, f"pod/{name}")["metadata"].get("annotations", {})
    held: dict[str, str] = json.loads(annotations.get(HOLD, "{}"))
    return held


def version_of(cluster: Cluster, ns: str, name: str) -> str:
    return str(support.get(cluster, ns, f"pod/{name}")["metadata"]["resourceVersion"])


def until_gate(cluster: Cluster, ns: str, name: str, status: str, seconds: float = 10) -> None:
    eventually(lambda: gate_of(cluster, ns, name) == status, f"the gate of {name} {status}", seconds)


def until_ready(cluster: Cluster, ns: str, name: str) -> None:
    eventually(lambda: support.condition(support.get(cluster, ns, f"pod/{name}"), "Ready") == "True", f"{name} Ready", 60)


def let_pass(resyncs: int) -> None:
    end = time.monotonic() + (resyncs + 0.5) * RESYNC_SECONDS
    eventually(lambda: time.monotonic() >= end, f"{resyncs} resyncs")


def label(cluster: Cluster, ns: str, name: str, value: str) -> None:
    cluster.kubectl("-n", ns, "label", "pod", name, f"{LABEL}={value}", "--overwrite")


def patch_status(cluster: Cluster, ns: str, name: str, status: str, **annotations: str | None) -> None:
    body = {"metadata": {"annotations": annotations}, "status": {"conditions": [{"type": GATE, "status": status}]}}
    cluster.kubectl("-n", ns, "patch", "pod", name, "--subresource=status", "-p", json.dumps(body))


@pytest.mark.parametrize(("default", "expected"), [("open", "True"), ("closed", "False")])
def test_what_the_label_says_the_condition_becomes(
    cluster: Cluster, ns: str, inplace: Inplace, default: str, expected: str
) -> None:
    ungated = support.pod("ungated", f"{cluster.registry}/app:1", gate=None)
    wanted = {"none": expected, "yes": "True", "no": "False", "other": expected}
    pods = [make_pod(cluster, "none")]
    pods += [
        make_pod(cluster, name, **{LABEL: value}) for name, value in (("yes", "true"), ("no", "false"), ("other", "maybe"))
    ]
    support.apply(cluster, ns, *pods, ungated)
    controller = start(inplace, "--default", default)
    for name, status in wanted.items():
        until_gate(cluster, ns, name, status)
        assert bool(holds_of(cluster, ns, name)) == (status == "False")
    assert gate_of(cluster, ns, "ungated") is None
    let_pass(resyncs=2)
    assert sorted(line["pod"] for line in changes(controller)) == sorted(f"{ns}/{name}" for name in wanted)


def test_a_new_pod_gets_its_condition_within_a_second(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    start(inplace)
    support.apply(cluster, ns, make_pod(cluster, "web"))
    until_gate(cluster, ns, "web", "True")
    pod = support.get(cluster, ns, "pod/web")
    added = next(c["lastTransitionTime"] for c in pod["status"]["conditions"] if c["type"] == GATE)
    waited = datetime.fromisoformat(added) - datetime.fromisoformat(pod["metadata"]["creationTimestamp"])
    assert waited.total_seconds() <= 1
    until_ready(cluster, ns, "web")


def test_a_wrong_condition_is_replaced_and_a_right_one_not_touched(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    support.apply(cluster, ns, make_pod(cluster, "web", **{LABEL: "true"}))
    controller = start(inplace)
    until_ready(cluster, ns, "web")
    before = version_of(cluster, ns, "web")
    let_pass(resyncs=2)
    assert version_of(cluster, ns, "web") == before
    patch_status(cluster, ns, "web", "False")
    until_gate(cluster, ns, "web", "True")
    assert [(line["from"], line["to"]) for line in changes(controller)] == [("missing", "True"), ("False", "True")]
    types = [c["type"] for c in support.get(cluster, ns, "pod/web")["status"]["conditions"]]
    assert len(types) == len(set(types))


def test_every_flip_is_one_write(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    support.apply(cluster, ns, make_pod(cluster, "web"))
    controller = start(inplace)
    until_ready(cluster, ns, "web")
    for value, status in (("false", "False"), ("true", "True")) * 3:
        label(cluster, ns, "web", value)
        until_gate(cluster, ns, "web", status)
        assert bool(holds_of(cluster, ns, "web")) == (status == "False")
    let_pass(resyncs=2)
    assert [line["to"] for line in changes(controller)] == ["True", *["False", "True"] * 3]


@pytest.mark.parametrize("record", ['{"run":"r1","lease":"l","fromImages":{},"toImages":{}}', "nobody can read this"])
def test_a_flip_during_an_upgrade_changes_the_hold_only(cluster: Cluster, ns: str, inplace: Inplace, record: str) -> None:
    support.apply(cluster, ns, make_pod(cluster, "web"))
    controller = start(inplace)
    until_ready(cluster, ns, "web")
    patch_status(cluster, ns, "web", "False", **{RECORD: record})
    label(cluster, ns, "web", "false")
    eventually(lambda: holds_of(cluster, ns, "web"), "our hold", 10)
    label(cluster, ns, "web", "true")
    eventually(lambda: not holds_of(cluster, ns, "web"), "no hold", 10)
    let_pass(resyncs=2)
    assert gate_of(cluster, ns, "web") == "False"
    assert [line["event"] for line in changes(controller)] == ["gate opened", "holds changed", "holds changed"]
    cluster.kubectl("-n", ns, "annotate", "pod", "web", f"{RECORD}-")
    until_gate(cluster, ns, "web", "True")


def test_a_hold_of_somebody_else_keeps_the_gate_closed(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    support.apply(cluster, ns, make_pod(cluster, "web", **{LABEL: "false"}))
    start(inplace)
    until_gate(cluster, ns, "web", "False")
    ours = holds_of(cluster, ns, "web")
    cluster.kubectl("-n", ns, "annotate", "pod", "web", "--overwrite", f"{HOLD}={json.dumps({**ours, 'dependency': 'db'})}")
    label(cluster, ns, "web", "true")
    eventually(lambda: holds_of(cluster, ns, "web") == {"dependency": "db"}, "only the other hold", 10)
    let_pass(resyncs=2)
    assert gate_of(cluster, ns, "web") == "False"
    cluster.kubectl("-n", ns, "annotate", "pod", "web", f"{HOLD}-")
    until_gate(cluster, ns, "web", "True")


def test_two_controllers_do_not_fight(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    names = [f"web-{i}" for i in range(4)]
    both = start(inplace), start(inplace)
    support.apply(cluster, ns, *(make_pod(cluster, name) for name in names))
    for value, status in ((None, "True"), ("false", "False"), ("true", "True")):
        for name in names:
            if value is not None:
                label(cluster, ns, name, value)
        for name in names:
            until_gate(cluster, ns, name, status)
    for name in names:
        until_ready(cluster, ns, name)
    let_pass(resyncs=2)
    told = changes(*both)
    assert {line["event"] for line in told} == {"gate opened", "gate closed"}
    assert len(told) == 3 * len(names)


def test_two_gates_of_one_pod_follow_two_labels(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    web = make_pod(cluster, "web", **{LABEL: "false", "other": "true"})
    web["spec"]["readinessGates"] = [{"conditionType": GATE}, {"conditionType": "other"}]
    both = start(inplace), inplace.start("gate", "run", "--condition", "other", "--label", "other", "--resync", "1s")
    support.apply(cluster, ns, web)
    until_gate(cluster, ns, "web", "False")
    eventually(lambda: support.condition(support.get(cluster, ns, "pod/web"), "other") == "True", "the other gate", 10)
    let_pass(resyncs=2)
    assert len(changes(*both)) == 2


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_stops_when_told(cluster: Cluster, ns: str, inplace: Inplace, number: signal.Signals) -> None:
    support.apply(cluster, ns, make_pod(cluster, "web"))
    controller = start(inplace)
    until_gate(cluster, ns, "web", "True")
    controller.send(number)
    assert controller.wait(10).code == 0
    assert controller.stderr == ""


def test_what_cannot_work_is_one_line_and_writes_nothing(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    support.apply(cluster, ns, make_pod(cluster, "web"))
    for code, words, args in (
        (2, "belongs to Kubernetes", ["--condition", "Ready"]),
        (2, "is not a name", ["--condition", "a b"]),
        (2, "is not a name", ["--label", "-x"]),
        (2, "is not a duration", ["--resync", "soon"]),
        (2, "no label selector", ["-l", "a=b=c"]),
        (5, "Connection refused", ["--server", "https://127.0.0.1:1"]),
    ):
        ended = inplace("gate", "run", *args)
        assert (ended.code, ended.stdout) == (code, "")
        assert words in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    allow(cluster, ns, "look", "list,watch", "pods")
    refusal = eventually(lambda: refused_for_patching_only(inplace, ns), "only the right to patch is missing", 30)
    assert refusal == f"error: you may not patch pods/status in namespace {ns}: ask for a Role that allows it\n"
    assert gate_of(cluster, ns, "web") is None


def allow(cluster: Cluster, ns: str, name: str, verbs: str, resource: str) -> None:
    cluster.kubectl("-n", ns, "create", "role", name, f"--verb={verbs}", f"--resource={resource}")
    cluster.kubectl("-n", ns, "create", "rolebinding", name, f"--role={name}", f"--user={PERSON}")


def refused_for_patching_only(inplace: Inplace, ns: str) -> str:
    """Empty as long as the API server has not heard of the other rights."""
    ended = inplace("gate", "run", "-n", ns, "--as", PERSON)
    assert ended.code == 5
    return "" if "list pods" in ended.stderr or "watch pods" in ended.stderr else ended.stderr


def test_a_right_that_is_taken_away_is_missed_once(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    support.apply(cluster, ns, make_pod(cluster, "web"), make_pod(cluster, "other"))
    allow(cluster, ns, "look", "list,watch", "pods")
    allow(cluster, ns, "set", "patch", "pods/status")
    can = ("-n", ns, "auth", "can-i", "--as", PERSON, "patch", "pods", "--subresource=status")
    eventually(lambda: cluster.kubectl(*can, check=False).strip() == "yes", "the right is there", 30)
    controller = start(inplace, "--as", PERSON)
    until_gate(cluster, ns, "web", "True")
    until_gate(cluster, ns, "other", "True")
    cluster.kubectl("-n", ns, "delete", "rolebinding/set", "role/set")
    eventually(lambda: cluster.kubectl(*can, check=False).strip() == "no", "the right is gone", 30)
    for name in ("web", "other"):
        label(cluster, ns, name, "false")
    let_pass(resyncs=3)
    refusals = [line for line in changes(controller) if line["event"] == "refused"]
    assert [line["level"] for line in refusals] == ["error"]
    assert f"you may not patch pods/status in namespace {ns}" in refusals[0]["why"]
    allow(cluster, ns, "set", "patch", "pods/status")
    for name in ("web", "other"):
        until_gate(cluster, ns, name, "False", seconds=40)


def test_a_real_upgrade_and_the_controller_do_not_fight(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    """The gate of a pod that is labelled `false` in the middle of its restart is opened by nobody until the label goes."""
    app = [f"{cluster.registry}/app:{version}" for version in (1, 2)]
    controller = start(inplace)
    support.apply(cluster, ns, support.deployment("web", app[0], replicas=3, gate=GATE), support.service("web"))
    names = eventually(lambda: len(found := support.uids(cluster, ns)) == 3 and found, "3 pods")
    assert names
    for name in names:
        until_ready(cluster, ns, name)
    upgrade = inplace.start(
        "upgrade", "deploy/web", f"app={app[1]}", "--gate", GATE, "--settle", "2s", "--max-unavailable", "1"
    )
    first = eventually(lambda: next((name for name in names if gate_of(cluster, ns, name) == "False"), ""), "a closed gate", 60)
    label(cluster, ns, first, "false")
    eventually(lambda: holds_of(cluster, ns, first), "our hold", 10)
    eventually(
        lambda: RECORD not in support.get(cluster, ns, f"pod/{first}")["metadata"]["annotations"], "its upgrade done", 60
    )
    let_pass(resyncs=2)
    assert gate_of(cluster, ns, first) == "False"
    label(cluster, ns, first, "true")
    until_gate(cluster, ns, first, "True")
    ended = upgrade.wait()
    assert ended.code == 0, ended.stderr
    assert support.uids(cluster, ns) == names
    assert [each["app"] for each in support.restarts(cluster, ns).values()] == [1, 1, 1]
    mine = [line["event"] for line in changes(controller) if line["pod"] == f"{ns}/{first}"]
    assert mine == ["gate opened", "holds changed", "gate opened"]
    others = [line["event"] for line in changes(controller) if line["pod"] != f"{ns}/{first}"]
    assert others == ["gate opened"] * 2
