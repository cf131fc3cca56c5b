"""plan, status and list: what they show, and that they write nothing."""

import json

import msgspec
import pytest
from syrupy.assertion import SnapshotAssertion

from inplace.model.constants import HISTORY_ANNOTATION
from inplace.model.history import PastRun, append_history
from inplace.model.objects.coordination import Lease
from inplace.model.objects.meta import ObjectMeta
from inplace.model.refs import TargetRef
from inplace.model.run import Outcome, PodFailure, Run
from tests.builders import NEW, NS, budget, deployment, patched, pod, run
from tests.cli.fakes import Command, FakeServer, web
from tests.cli.leases import lease, paused

PLAN = ("plan", "deploy/web", "app=repo/app:2")


def test_plan_shows_every_pod_in_the_order_of_work(command: Command, server: FakeServer, snapshot: SnapshotAssertion) -> None:
    web(server, replicas=5)
    server.put("pods", pod("web-e", ready=False, node="node-2"), pod("web-b", images=NEW))
    ran = command(*PLAN, "--steps", "25%,pause,100%", "--max-unavailable", "2")
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout == snapshot
    assert all(request.is_dry_run for request in server.writes)


def test_plan_as_json(command: Command, server: FakeServer, snapshot: SnapshotAssertion) -> None:
    web(server, replicas=2)
    ran = command(*PLAN, "-o", "json")
    assert (ran.code, ran.stderr) == (0, "")
    assert json.loads(ran.stdout) == snapshot


def test_plan_says_why_a_pod_has_to_wait(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("poddisruptionbudgets", budget(desired_healthy=2, expected=3, healthy=2))
    server.put("pods", pod("web-c", ready=False))
    lines = command(*PLAN).stdout.splitlines()
    assert lines[-3].split(maxsplit=3) == ["web-c", "node-1", "upgrade", "not Ready: goes first, and uses none of the budget"]
    assert lines[-2].split(maxsplit=3)[3] == "waits for PodDisruptionBudget pdb, which allows no disruption now"


@pytest.mark.parametrize(("image", "code"), [("repo/app:1", 0), ("repo/app:2", 1)])
def test_exit_code_tells_whether_there_is_something_to_do(command: Command, server: FakeServer, image: str, code: int) -> None:
    web(server)
    assert command("plan", "deploy/web", f"app={image}").code == 0
    assert command("plan", "deploy/web", f"app={image}", "--exit-code").code == code


def test_nothing_to_do(command: Command, server: FakeServer) -> None:
    web(server, NEW)
    ran = command(*PLAN)
    assert (ran.code, ran.stdout) == (0, "deploy/web in default already runs app=repo/app:2: nothing to do\n")


def test_a_plan_without_images_is_for_a_template_that_went_ahead(command: Command, server: FakeServer) -> None:
    web(server)
    ran = command("plan", "deploy/web")
    assert (ran.code, ran.stdout) == (0, "the pods of deploy/web in default run what its template says: nothing to do\n")
    server.put("deployments", deployment(NEW, paused=True))
    ahead = command("plan", "deploy/web")
    assert ahead.stdout.startswith("deploy/web in default: 3 of 3 pods would be restarted in place\n"), ahead.stderr
    assert "repo/app:1 -> repo/app:2" in ahead.stdout
    assert command("plan", "pod/web-a").code == 2
    assert all(request.is_dry_run for request in server.writes)


MET = run(superseded_images=({"app": "repo/app:9"},))
UNDOING = msgspec.structs.replace(MET, operation="Undo")
HELD = [
    ("plan", "deploy/web app=repo/app:3", run(), "host-1", "refused while that process is alive"),
    ("plan", "deploy/web app=repo/app:2", run(), "controller/sys/inplace/me", "refused while that process is alive"),
    ("upgrade", "deploy/web app=repo/app:3 --dry-run=client", run(), "host-1", "refused while that process is alive"),
    ("upgrade", "deploy/web app=repo/app:3 --dry-run=server", run(), "host-1", "refused while that process is alive"),
    (
        "upgrade",
        "deploy/web app=repo/app:3 --dry-run=client --controller",
        run(),
        "host-1",
        "starts when that run has ended",
    ),
    ("undo", "deploy/web --dry-run=client", MET, "host-1", "pauses that run, and takes over its pods"),
    ("undo", "deploy/web --dry-run=client", MET, "controller/sys/inplace/me", "refused while that process is alive"),
    ("undo", "deploy/web --dry-run=client", UNDOING, "host-1", "refused while that process is alive"),
]


@pytest.mark.parametrize(("verb", "words", "stored", "holder", "says"), HELD)
def test_a_lock_that_is_held_is_told(
    command: Command, server: FakeServer, verb: str, words: str, stored: Run, holder: str, says: str
) -> None:
    """Whether its holder lives nobody can see at once, so it is no refusal yet."""
    web(server, images={"app": "repo/app:9"})
    server.put("leases", lease(stored, holder, "2026-01-01T12:00:00.000000Z"))
    ran = command(verb, *words.split())
    assert ran.code == 0, ran.stderr
    assert f"  is being upgraded by {holder}: {says}\n" in ran.stdout
    assert "takes the pods over from the run before" not in ran.stdout
    assert command.clock.now == 1000.0


def test_what_would_be_refused_is_refused(command: Command, server: FakeServer) -> None:
    web(server)
    ran = command("plan", "deploy/web", "ap=repo/app:2")
    assert (ran.code, ran.stdout) == (5, "")
    assert ran.error == "deploy/web has no container 'ap'; it has: app"


def test_warnings_are_notes(command: Command, server: FakeServer) -> None:
    web(server, replicas=1)
    server.denied = {"patch pods/status", "create leases"}
    words = ("plan", "deploy/web", "app=repo/app:latest")
    only = "Service web has no other endpoint than pod/web-a"
    assert only in command(*words).error
    ran = command(*words, "--allow-outage")
    assert ran.code == 0
    replicas, mutable, rights = ran.stderr.splitlines()
    assert replicas == f"warning: {only}: its requests fail while that restarts"
    assert mutable.startswith("warning: repo/app:latest (app) is a mutable tag")
    assert rights == (
        "warning: you may not patch pods/status; create leases in namespace default, so the upgrade itself would be refused"
    )


def test_a_client_dry_run_is_a_plan(command: Command, server: FakeServer) -> None:
    web(server)
    ran = command("upgrade", *PLAN[1:], "--dry-run", "client")
    first, _, rest = ran.stdout.partition("\n")
    assert first == "deploy/web in default: 3 of 3 pods would be restarted in place (dry run)"
    assert server.writes == [], "it asks nothing of the server either"
    assert rest == command(*PLAN).stdout.partition("\n")[2]


def test_a_server_dry_run_sends_each_kind_of_write_once(command: Command, server: FakeServer) -> None:
    web(server)
    ran = command("upgrade", *PLAN[1:], "--dry-run", "server")
    assert ran.code == 0, ran.stderr
    assert ran.stdout.startswith("deploy/web in default: 3 of 3 pods would be restarted in place (server dry run)\n")
    assert all(request.is_dry_run for request in server.writes)
    assert [(r.method, r.path.split(f"/{NS}/")[1]) for r in server.writes] == [
        ("PATCH", "deployments/web"),
        ("PATCH", "pods/web-a/status"),
        ("PATCH", "pods/web-a"),
        ("PATCH", "pods/web-a/status"),
        ("PATCH", "deployments/web"),
        ("PATCH", "replicasets/web-1"),
        ("POST", "replicasets"),
    ]


def test_what_the_server_would_refuse_is_told_in_one_line(command: Command, server: FakeServer) -> None:
    web(server)
    server.refuse = {"pods/web-a": "admission webhook says no", "/deployments/web": "it is frozen"}
    ran = command("upgrade", *PLAN[1:], "--dry-run", "server")
    assert (ran.code, ran.stdout) == (5, "")
    assert ran.error == (
        "the API server refuses (server dry run) to change the template of deploy/web: it is frozen;"
        " change the images of pod/web-a: admission webhook says no; pause deploy/web: it is frozen"
    )


def test_a_history_that_cannot_be_kept_is_a_warning(command: Command, server: FakeServer) -> None:
    web(server)
    server.refuse = {"/replicasets": "exceeded quota"}
    ran = command(*PLAN)
    assert ran.code == 0, ran.stderr
    assert "exceeded quota" in ran.stderr
    assert ran.stderr.startswith("warning: ")


def test_status_of_a_paused_run(command: Command, server: FakeServer, snapshot: SnapshotAssertion) -> None:
    web(server)
    server.put("pods", pod("web-a", images=NEW), pod("web-c", gate="False", ready=False, holds='{"label":"asked"}'))
    server.put("leases", lease(paused()))
    ran = command("status", "deploy/web")
    assert ran.code == 0
    assert ran.stdout == snapshot
    assert ran.stderr.splitlines() == [
        "promote:  inplace promote deploy/web -n default",
        "go back:  inplace abort deploy/web -n default",
    ]
    assert server.writes == []


def test_status_of_a_run_that_somebody_overtook_proposes_to_begin_anew(command: Command, server: FakeServer) -> None:
    """To go on or to abort would meet the same change."""
    web(server)
    server.put("deployments", deployment({"app": "repo/app:9"}))
    server.put("leases", lease(run(outcome="Failed", message="somebody set container app of deploy/web to repo/app:9")))
    ran = command("status", "deploy/web")
    assert ran.code == 0
    assert ran.stderr.splitlines() == [
        f"start over:  inplace upgrade deploy/web app={NEW['app']} -n default",
        "go back:     inplace undo deploy/web -n default",
    ]


def test_status_as_json(command: Command, server: FakeServer) -> None:
    web(server, replicas=1)
    server.put("leases", lease(paused()))
    shown = json.loads(command("status", "deploy/web", "-o", "json").stdout)
    assert shown["v"] == 1
    assert shown["state"]["run"]["outcome"] == "Paused"
    assert shown["pods"][0]["name"] == "web-a"
    assert shown["pods"][0]["closedBy"] == ""


@pytest.mark.parametrize(
    ("renewed", "first", "holder"),
    [
        ("2026-01-01T11:59:57.000000Z", "Running", "renewed 3s ago"),
        ("2026-01-01T11:55:00.000000Z", "BrokenOff: nobody drives it now", "seems dead: last renewed 5m ago"),
        ("", "BrokenOff: nobody drives it now", "never renewed its Lease"),
    ],
)
def test_status_tells_a_living_holder_from_a_dead_one(
    command: Command, server: FakeServer, renewed: str, first: str, holder: str
) -> None:
    web(server)
    server.put("leases", lease(run(), "host-1", renewed))
    ran = command("status", "deploy/web")
    assert ran.stdout.startswith(f"deploy/web in default: {first}\n")
    assert f"  holder     host-1, {holder}\n" in ran.stdout
    assert ("pause" if first == "Running" else "resume") in ran.stderr


def test_status_names_failures_and_who_closed_a_pod(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("pods", pod("web-a", images=NEW, gate="False", ready=False, record=patched()))
    server.put("pods", pod("web-b", gate="False", ready=False))
    failure = PodFailure(pod="web-a", uid="uid-web-a", reason="ImagePullBackOff", message="no such image")
    server.put("leases", lease(run(failures=(failure,), outcome="Failed", message="a pod failed")))
    ran = command("status", "deploy/web")
    out = ran.stdout
    assert "  failed     pod/web-a ImagePullBackOff: no such image\n" in out
    assert "  closed     2 pods\n" in out
    assert "ImagePullBackOff: no such image; out of service: upgrade run-1\n" in out
    assert "out of service: closed by hand\n" in out
    assert ran.stderr.splitlines() == [
        "retry with another image:  inplace upgrade deploy/web app=IMAGE -n default",
        "go back:                   inplace abort deploy/web -n default",
    ]


def test_who_may_not_read_leases_still_sees_the_pods(command: Command, server: FakeServer) -> None:
    web(server)
    server.hidden = {"leases"}
    ran = command("status", "deploy/web")
    assert (ran.code, ran.stderr) == (0, "")
    first, *_, last = ran.stdout.splitlines()
    assert first == "deploy/web in default: me may not get leases in namespace default: ask for a Role that allows it"
    assert last.split()[:2] == ["└─", "web-c"]
    refused = command("list", "--context", "my prod")
    assert refused.code == 5
    assert refused.error == (
        "me may not list leases in namespace default: ask for a Role that allows it"
        " (see: kubectl auth can-i list leases.coordination.k8s.io -n default --context 'my prod')"
    )
    assert command("abort", "deploy/web").error.startswith("me may not get leases in namespace default: ask for a Role")


def test_status_without_a_run(command: Command, server: FakeServer) -> None:
    web(server)
    ran = command("status", "deploy/web")
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout.startswith("deploy/web in default has no run\n  gate       inplace.dev/ready: opened on new pods by ")
    wide = command("status", "deploy/web", "-o", "wide").stdout
    assert wide.splitlines()[3] == "POD     NODE     READY   GATE   IMAGES           NOTE"


def test_status_of_what_is_not_there(command: Command) -> None:
    ran = command("status", "deploy/web", "-n", "shop")
    assert (ran.code, ran.error) == (5, "deploy/web does not exist in namespace shop")


@pytest.mark.parametrize(
    "line",
    [
        "status deploy/web",
        "list",
        "history deploy/web",
        "plan deploy/web app=repo/app:2",
        "upgrade deploy/web app=repo/app:2",
        "abort deploy/web",
        "pause deploy/web",
        "resume deploy/web",
        "undo deploy/web",
        "repair",
        "gate run",
        "install --namespace-only",
    ],
)
def test_a_namespace_that_does_not_exist_is_said_so(command: Command, line: str) -> None:
    ran = command(*line.split(), "-n", "shpo")
    assert (ran.code, ran.stdout) == (5, "")
    assert ran.error.startswith("namespace shpo does not exist: name another with -n")


@pytest.mark.parametrize("verb", ["status", "abort", "history"])
def test_a_name_that_is_written_alike_is_proposed(command: Command, server: FakeServer, verb: str) -> None:
    web(server)
    ran = command(verb, "deploy/wbe")
    assert (ran.code, ran.error) == (5, "deploy/wbe does not exist in namespace default; did you mean deploy/web?")


def test_a_run_that_cannot_be_read_is_named(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", lease("{"))
    assert command("status", "deploy/web").stdout.startswith("deploy/web in default: the stored run cannot be read: ")


def test_list(command: Command, server: FakeServer, snapshot: SnapshotAssertion) -> None:
    server.put("leases", lease(paused()))
    old = run(outcome="Succeeded", target=TargetRef("Deployment", NS, "old"))
    server.put("leases", lease(old, name="inplace-deployment-old"))
    server.put("leases", lease("{", name="inplace-deployment-broken"))
    server.put("leases", Lease(metadata=ObjectMeta(name="somebody-else", namespace=NS)))
    assert command("list").stdout == snapshot
    assert command("list", "-o", "name").stdout == "deploy/old\ndeploy/web\n"
    assert [item["namespace"] for item in json.loads(command("list", "-A", "-o", "json").stdout)["items"]] == [NS] * 3
    assert "/namespaces/" not in server.requests[-1].path


def test_an_empty_list_is_a_note(command: Command) -> None:
    ran = command("list", "-n", "shop")
    assert (ran.code, ran.stdout, ran.stderr) == (0, "", "No runs found in shop namespace.\n")
    assert command("list", "-A").stderr == "No runs found.\n"


def test_hostile_objects_are_shown_escaped(command: Command, server: FakeServer) -> None:
    web(server)
    hostile = pod("web-a", images={"app": "x\x1b]52;c;eA==\x07"})
    server.put("pods", hostile)
    ran = command("status", "deploy/web")
    assert "\x1b" not in ran.stdout
    assert r"app=x\x1b]52;c;eA==\x07" in ran.stdout


@pytest.mark.parametrize(
    ("outcome", "message", "shown"),
    [
        ("Aborted", "aborted by admin (root@vm)", "Aborted by admin (root@vm)"),
        ("RolledBack", "rolled back, because pod/web-a failed", "RolledBack, because pod/web-a failed"),
    ],
)
def test_history_says_an_end_once(command: Command, server: FakeServer, outcome: Outcome, message: str, shown: str) -> None:
    web(server)
    held = msgspec.to_builtins(lease(paused()))
    held["metadata"]["annotations"][HISTORY_ANNOTATION] = append_history(
        None, PastRun(id="run-0", outcome=outcome, message=message)
    )
    server.put("leases", held)
    assert f"   {shown}   " in command("history", "deploy/web").stdout
