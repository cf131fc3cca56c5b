"""The CRD on a real API server, which alone evaluates its rules: every rule, bound, default and column, and what `kubectl wait`
makes of the status. The CRD belongs to the whole cluster: it is applied, never deleted."""

from __future__ import annotations

import json
import re
from typing import Any

import msgspec
import pytest

from inplace.engine.planning.plan import Plan, PodProgress, Progress
from inplace.engine.runs.rollout_status import build_status
from inplace.engine.runs.rollouts import FinishedState, PendingState, RunningState, run_from_rollout
from inplace.model.rollout import InPlaceRollout, RolloutSpec, RolloutStatus
from inplace.model.run import PodFailure
from tests.cluster import Cluster
from tests.cluster.wait import eventually
from tests.e2e.crd_cases import ACCEPTED, CRD, IMAGES, REFUSED, WEB, WHOLE, Json, listed, rollout, stepped

NAME = "inplacerollouts.inplace.dev"
NOW = "2026-11-25T01:02:03Z"


@pytest.fixture(scope="module", autouse=True)
def crd(cluster: Cluster) -> None:
    cluster.kubectl("apply", "--server-side", "--force-conflicts", "-f", str(CRD))
    cluster.kubectl("wait", "--for=condition=Established", f"crd/{NAME}", "--timeout=60s")
    eventually(lambda: "ipr" in cluster.kubectl("api-resources", "--api-group=inplace.dev"), "the rollouts' discovery", 60)


def create(cluster: Cluster, ns: str, *objects: Json, flags: tuple[str, ...] = ()) -> str:
    """What one kubectl says of all."""
    return said(cluster, "-n", ns, "create", *flags, "-f-", stdin=listed(objects))


def said(cluster: Cluster, *args: str, stdin: str | None = None) -> str:
    """What kubectl says, good or bad."""
    try:
        return cluster.kubectl(*args, input=stdin)
    except Exception as error:
        return str(error)


def test_what_is_refused_and_why(cluster: Cluster, ns: str) -> None:
    """Each of these breaks one rule; the message is for the person who wrote it. kubectl's own validation is not asked."""
    flags = ("--dry-run=server", "--validate=false")
    told = create(cluster, ns, *(rollout(f"case-{i}", **spec) for i, (spec, _) in enumerate(REFUSED)), flags=flags)
    about = dict(re.findall(r'"case-(\d+)" is invalid:(.*?)(?=InPlaceRollout.inplace.dev|\Z)', told, re.DOTALL))
    missed = [(spec, why, about.get(str(i))) for i, (spec, why) in enumerate(REFUSED) if why not in about.get(str(i), "")]
    assert missed == []


def test_what_is_accepted(cluster: Cluster, ns: str) -> None:
    told = create(cluster, ns, *(rollout(f"case-{i}", **spec) for i, spec in enumerate(ACCEPTED)), flags=("--dry-run=server",))
    assert told.splitlines() == [
        f"inplacerollout.inplace.dev/case-{i} created (server dry run)" for i in range(len(ACCEPTED))
    ]  # and nothing else
    assert 'unknown field "stratgy"' in create(cluster, ns, rollout("typo", stratgy={}))


def test_what_is_fixed_and_what_may_be_edited(cluster: Cluster, ns: str) -> None:
    create(cluster, ns, rollout("a"), rollout("back", images=None, undo={"toRevision": 2}))

    def patch(spec: Json, name: str = "a") -> str:
        return said(cluster, "-n", ns, "patch", "ipr", name, "--type=merge", "-p", json.dumps({"spec": spec}))

    for spec, why in (
        ({"target": {"name": "other"}}, "spec.target: Forbidden: the target is fixed: make another InPlaceRollout"),
        ({"images": [{"container": "app", "image": "x:3"}]}, "spec.images: Forbidden: images are fixed"),
        ({"images": None}, "spec.images: Forbidden: images are fixed"),
        ({"gate": "other/gate"}, "spec.gate: Forbidden: the gate is fixed"),
        ({"withoutGate": True}, "spec.withoutGate: Forbidden: withoutGate is fixed"),
        ({"undo": {}, "images": None}, "spec.undo: Forbidden: undo is fixed"),
    ):
        assert why in patch(spec)
    assert "undo is fixed" in patch({"undo": {"toRevision": 3}}, "back")
    assert "undo is fixed" in patch({"undo": None, "images": IMAGES}, "back")
    edits: list[Json] = [
        {"strategy": {"maxUnavailable": 3, "steps": [{"pods": 1}, WHOLE]}},
        {"drain": {"settleSeconds": 9, "timeoutSeconds": 9}, "restart": {"timeoutSeconds": 9}, "minReadySeconds": 9},
        {"failure": {"maxFailed": 2, "action": "Rollback"}, "paused": True, "onBusy": "Refuse", "onDelete": "Abort"},
        {"ttlSecondsAfterFinished": 9, "acceptUndrainable": ["x"]},
    ]
    for spec in edits:
        assert patch(spec) == "inplacerollout.inplace.dev/a patched\n"


def test_defaults_are_those_of_our_structs(cluster: Cluster, ns: str) -> None:
    create(cluster, ns, rollout("plain"), rollout("undo", images=None, undo={}))
    stored = json.loads(cluster.kubectl("-n", ns, "get", "ipr", "plain", "-o=json"))["spec"]
    assert stored == {
        "target": WEB,
        "images": IMAGES,
        "gate": "inplace.dev/ready",
        "withoutGate": False,
        "strategy": {},
        "drain": {"settleSeconds": 5, "timeoutSeconds": 60},
        "restart": {"timeoutSeconds": 300},
        "failure": {"maxFailed": 0, "action": "Pause"},
        "allowOutage": False,
        "paused": False,
        "onBusy": "Wait",
        "onDelete": "Release",
    }
    assert msgspec.convert(stored, RolloutSpec) == msgspec.convert({"target": WEB, "images": IMAGES}, RolloutSpec)
    assert cluster.kubectl("-n", ns, "get", "ipr", "undo", "-o=jsonpath={.spec.undo.toRevision}") == "0"


class Written:
    """A rollout on the cluster, whose status is written as its controller would."""

    def __init__(self, cluster: Cluster, ns: str, **spec: Any) -> None:
        self._cluster, self._ns = cluster, ns
        create(cluster, ns, rollout("web", **spec))
        self.status = RolloutStatus()

    def kubectl(self, *args: str) -> str:
        return said(self._cluster, "-n", self._ns, *args)

    def read(self) -> InPlaceRollout:
        return msgspec.json.decode(self.kubectl("get", "ipr", "web", "-o=json"), type=InPlaceRollout)

    def say(self, state: Any) -> None:
        self.status = build_status(self.read(), state, self.status, NOW)
        body = msgspec.json.encode([{"op": "add", "path": "/status", "value": self.status}]).decode()
        assert "patched" in self.kubectl("patch", "ipr", "web", "--subresource=status", "--type=json", "-p", body)
        assert self.read().status == self.status


def test_the_largest_status_fits(cluster: Cluster, ns: str) -> None:
    """Ten thousand pods, everything at its longest, as `build_status` says it."""
    steps = [{"pods": i + 1} for i in range(19)]
    written = Written(cluster, ns, **stepped(*steps, WHOLE))
    name = "p" * 240
    failures = tuple(PodFailure(pod=f"{name}{i}", uid=f"{i}", reason="InvalidImageName", message="m" * 999) for i in range(50))
    run = msgspec.structs.replace(
        run_from_rollout(written.read()),
        failures=failures,
        steps_passed=19,
        from_images={f"{'c' * 60}{i}": "i" * 1024 for i in range(30)},
        message="w" * 999,
    )
    pods = tuple(PodProgress(f"{name}{i}", f"u{i}", "n", "Restarting", "r" * 999, "i") for i in range(10_000))
    progress = Progress(10_000, 9_999, 10_000, 1, 50, step="s" * 999, waiting="w" * 999, ready=9_999)
    written.say(RunningState(run, Plan(run=run, pods=pods, progress=progress), {pod.uid: NOW for pod in pods}))
    assert len(written.kubectl("get", "ipr", "web", "-o=json")) < 60_000


def test_columns_and_category(cluster: Cluster, ns: str) -> None:
    written = Written(cluster, ns, **stepped({"pods": "50%"}, {"pause": {}}, WHOLE))
    run = run_from_rollout(written.read())
    pods = (PodProgress("a", "ua", "n", "Closing", "", "i"), PodProgress("b", "ub", "n", "Restarting", "", "i"))
    progress = Progress(10, 0, 2, 2, 0, step="step 1 of 3: up to 50%", ready=8)
    written.say(RunningState(run, Plan(run=run, pods=pods, progress=progress)))

    def rows(*args: str) -> list[list[str]]:
        return [re.split(r" {2,}", line.strip()) for line in written.kubectl("get", *args).splitlines()]

    narrow = ["NAME", "TARGET", "IMAGE", "DESIRED", "UPDATED", "READY", "DRAINING", "STATUS", "MESSAGE", "AGE"]
    shown = ["web", "deploy/web", "app:2", "10", "0", "8", "1", "Progressing", "step 1 of 3: up to 50%"]
    for words in (("ipr",), ("inplacerollouts",), ("inplacerollout", "web"), ("inplace",)):
        head, row = rows(*words)
        assert (head, row[:-1]) == (narrow, shown), words
    head, row = rows("ipr", "-o=wide")
    assert (head[10:], row[10:]) == (["STEP", "FAILED"], ["up to 50%", "0"])
    assert "settleSeconds" in written.kubectl("explain", "ipr.spec.drain")


def test_generations_and_waits(cluster: Cluster, ns: str) -> None:
    """`kubectl wait` believes a condition only if it is about the spec as it is now."""
    written = Written(cluster, ns)

    def waited(what: str) -> bool:
        return "condition met" in written.kubectl("wait", "ipr/web", f"--for={what}", "--timeout=0")

    assert not waited("condition=Ready")
    written.say(PendingState())
    assert (written.read().metadata.generation, written.status.observed_generation) == (1, 1)
    assert waited("condition=Reconciling")
    assert not waited("condition=Ready")
    run = run_from_rollout(written.read())
    written.say(FinishedState(msgspec.structs.replace(run, outcome="Paused")))
    assert waited("condition=Paused")
    assert waited("condition=Stalled")
    assert waited("condition=Reconciling=false")
    written.say(FinishedState(msgspec.structs.replace(run, outcome="Succeeded")))
    assert waited("condition=Ready")
    assert waited("jsonpath={.status.phase}=Succeeded")
    assert written.read().metadata.generation == 1
    written.kubectl("patch", "ipr", "web", "--type=merge", '-p={"spec":{"paused":true},"status":{"phase":"Failed"}}')
    seen = written.read()
    assert (seen.metadata.generation, seen.status.phase) == (2, "Succeeded")
    assert not waited("condition=Ready")
    written.say(FinishedState(msgspec.structs.replace(run, outcome="Succeeded")))
    assert waited("condition=Ready")


def test_a_status_written_as_such_leaves_the_spec_alone(cluster: Cluster, ns: str) -> None:
    written = Written(cluster, ns)
    body = json.dumps({"spec": {"paused": True}, "status": {"phase": "Waiting"}})
    written.kubectl("patch", "ipr", "web", "--subresource=status", "--type=merge", f"-p={body}")
    seen = written.read()
    assert (seen.spec.paused, seen.status.phase, seen.metadata.generation) == (False, "Waiting", 1)
    refused = written.kubectl("patch", "ipr", "web", "--subresource=status", "--type=merge", '-p={"status":{"phase":"Lost"}}')
    assert 'Unsupported value: "Lost"' in refused
