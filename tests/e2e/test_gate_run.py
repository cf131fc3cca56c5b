"""`inplace gate run` where it takes a real process with signals, or an authorizer that changes its mind."""

import signal

import pytest

from tests.cluster import Cluster
from tests.e2e.command import Inplace
from tests.scenarios.gates.steps import changes, gate_of, label, let_pass, make_pod, start, until_gate
from tests.scenarios.scene import Scene

PERSON = "gatekeeper"


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_gate_run_stops_on_a_signal(scene: Scene, number: signal.Signals) -> None:
    scene.create(make_pod(scene, "web"))
    controller = start(scene)
    until_gate(scene, "web", "True")
    controller.send(number)
    assert controller.wait(10).code == 0
    assert controller.stderr.startswith("no -n given: syncing the gates of namespace ")
    assert len(controller.stderr.splitlines()) == 1


def test_what_cannot_work_is_one_line_and_writes_nothing(cluster: Cluster, scene: Scene, inplace: Inplace) -> None:
    scene.create(make_pod(scene, "web"))
    for code, words, args in (
        (2, "belongs to Kubernetes", ["--condition", "Ready"]),
        (2, "is not a name", ["--condition", "a b"]),
        (2, "is not a name", ["--label", "-x"]),
        (2, "is not a duration", ["--resync", "soon"]),
        (2, "no label selector", ["-l", "a=b=c"]),
        (5, "Connection refused", ["--server", "https://127.0.0.1:1"]),
    ):
        ended = inplace("gate", "run", "-n", scene.ns, *args)
        assert (ended.code, ended.stdout) == (code, "")
        assert words in ended.stderr
        assert len(ended.stderr.splitlines()) == 1
    allow(cluster, scene.ns, "look", "list,watch", "pods")
    refusal = scene.until(lambda: refused_for_patching_only(inplace, scene.ns), "only the right to patch is missing", 30)
    assert refusal.startswith(f"error: you may not patch pods/status in namespace {scene.ns}: ask for a Role that allows it")
    assert gate_of(scene, "web") is None


def allow(cluster: Cluster, ns: str, name: str, verbs: str, resource: str) -> None:
    cluster.kubectl("-n", ns, "create", "role", name, f"--verb={verbs}", f"--resource={resource}")
    cluster.kubectl("-n", ns, "create", "rolebinding", name, f"--role={name}", f"--user={PERSON}")


def refused_for_patching_only(inplace: Inplace, ns: str) -> str:
    """Empty as long as the API server has not heard of the other rights."""
    ended = inplace("gate", "run", "-n", ns, "--as", PERSON)
    assert ended.code == 5
    return "" if "list pods" in ended.stderr or "watch pods" in ended.stderr else ended.stderr


def test_a_right_that_is_taken_away_is_missed_once(cluster: Cluster, scene: Scene, inplace: Inplace) -> None:
    scene.create(make_pod(scene, "web"), make_pod(scene, "other"))
    allow(cluster, scene.ns, "look", "list,watch", "pods")
    allow(cluster, scene.ns, "set", "patch", "pods/status")
    can = ("-n", scene.ns, "auth", "can-i", "--as", PERSON, "patch", "pods", "--subresource=status")
    scene.until(lambda: cluster.kubectl(*can, check=False).strip() == "yes", "the right is there", 30)
    controller = start(scene, "--as", PERSON)
    until_gate(scene, "web", "True")
    until_gate(scene, "other", "True")
    cluster.kubectl("-n", scene.ns, "delete", "rolebinding/set", "role/set")
    scene.until(lambda: cluster.kubectl(*can, check=False).strip() == "no", "the right is gone", 30)
    for name in ("web", "other"):
        label(scene, name, "false")
    let_pass(scene, resyncs=3)
    refusals = [line for line in changes(controller) if line["event"] == "refused"]
    assert [line["level"] for line in refusals] == ["error"]
    assert f" may not patch pods/status in namespace {scene.ns}: ask for a Role that" in refusals[0]["why"]
    allow(cluster, scene.ns, "set", "patch", "pods/status")
    for name in ("web", "other"):
        until_gate(scene, name, "False", seconds=40)
