"""Who opens the gates of new pods: plan, upgrade and status say so, and what they may not read is unknown."""

from __future__ import annotations

import json

import msgspec
import pytest

from inplace.model.objects.meta import ObjectMeta
from tests.builders import NS, pod
from tests.cli.fakes import Command, FakeServer, opener, web

PLAN = ("plan", "deploy/web", "app=repo/app:2")
NOBODY = "nobody living opens gate inplace.dev/ready in namespace default"
START = "start `inplace gate run -n default` and keep it running, or install the controller"


def alone(server: FakeServer) -> None:
    web(server)
    del server.objects["leases"]["inplace-gate"]


def lease_reads(server: FakeServer) -> list[str]:
    """Those that look for openers, without the target's own Lease."""
    own = "/inplace-deployment-web"
    return [r.path for r in server.requests if r.method == "GET" and "/leases" in r.path and not r.path.endswith(own)]


def test_somebody_living_is_no_warning_and_one_read(command: Command, server: FakeServer) -> None:
    web(server)
    ran = command(*PLAN)
    assert (ran.code, ran.stderr) == (0, "")
    status = command("status", "deploy/web")
    line = "  gate       inplace.dev/ready: opened on new pods by inplace gate run opener-1 (Lease default/inplace-gate)\n"
    assert line in status.stdout
    assert lease_reads(server).count("/apis/coordination.k8s.io/v1/leases") == 0


@pytest.mark.parametrize("words", [PLAN, ("plan", "deploy/web", "app=repo/app:1"), ("plan", "deploy/web")])
def test_that_nobody_does_is_a_warning_of_every_plan(command: Command, server: FakeServer, words: tuple[str, ...]) -> None:
    alone(server)
    ran = command(*words)
    assert ran.code == 0
    assert ran.stderr == f"warning: new pods of deploy/web will stay out of service: {NOBODY}: {START}\n"
    assert len(lease_reads(server)) <= 4  # one of them is the watch of the target's own


def test_the_claim_of_a_budget_is_no_opener(command: Command, server: FakeServer) -> None:
    """Its Lease carries the same label, and is alive as long as a run."""
    alone(server)
    labels = {"app.kubernetes.io/part-of": "inplace", "app.kubernetes.io/component": "budget"}
    meta = ObjectMeta(name="inplace-pdb-web", namespace=NS, labels=labels)
    server.put("leases", msgspec.structs.replace(opener(), metadata=meta))
    assert NOBODY in command(*PLAN).stderr


def test_an_upgrade_says_so_too(command: Command, server: FakeServer) -> None:
    alone(server)
    ran = command("upgrade", "deploy/web", "app=repo/app:1")
    assert (ran.code, ran.stdout) == (0, "deploy/web runs app=repo/app:1 already\n")
    assert ran.stderr == f"warning: new pods of deploy/web will stay out of service: {NOBODY}: {START}\n"


def test_machines_get_one_word(command: Command, server: FakeServer) -> None:
    alone(server)
    found = json.loads(command(*PLAN, "-o", "json").stdout)
    assert [caution["reason"] for caution in found["cautions"]] == ["NobodyOpensGate"]
    stands = json.loads(command("status", "deploy/web", "-o", "json").stdout)["newPods"]
    assert (stands["type"], stands["opener"], stands["waiting"]) == ("inplace.dev/ready", "Nobody", [])


def test_one_that_has_died_is_named(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", opener(renewed="2026-01-01T11:58:00.000000Z"))
    dead = "inplace gate run opener-1 (Lease default/inplace-gate) seems dead: it renewed its Lease 120s ago"
    assert f"{NOBODY} ({dead}): {START}" in command(*PLAN).stderr
    server.put("leases", opener(holder=None))
    assert f"{NOBODY} (inplace gate run (Lease default/inplace-gate) has stopped): {START}" in command(*PLAN).stderr


def test_who_may_not_look_is_told_that_it_is_unknown(command: Command, server: FakeServer) -> None:
    web(server)
    server.hidden = {"leases"}
    shown = command("status", "deploy/web").stdout
    assert "nobody living" not in shown
    unknown = "whether somebody living opens gate inplace.dev/ready in namespace default is unknown"
    assert f"{unknown} (you may not list Leases in namespace default); if nobody does, {START}" in shown


def test_status_says_who_waits_and_in_words(command: Command, server: FakeServer) -> None:
    alone(server)
    server.put("pods", pod("web-b", gate=None, ready=False, containers_ready=True))
    ran = command("status", "deploy/web")
    assert (
        f"inplace.dev/ready: 1 pod waits (web-b) for somebody to open it, and nobody living opens it: {START}\n" in ran.stdout
    )
    row = next(line for line in ran.stdout.splitlines() if "─ web-b " in line)
    assert "   not opened yet   " in row
    assert row.endswith("   waits for somebody to open its gate")
    waiting = json.loads(command("status", "deploy/web", "-o", "json").stdout)
    assert waiting["newPods"]["waiting"] == ["web-b"]
    assert [pod_["gate"] for pod_ in waiting["pods"]] == ["Open", "Missing", "Open"]


def test_what_a_lease_says_is_shown_safely(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", opener(holder="\x1b]0;owned\x07"))
    assert "\x1b" not in command("status", "deploy/web").stdout
