"""install and uninstall: what they refuse, say and leave alone. That they work is told on a real cluster (tests/e2e)."""

from __future__ import annotations

from typing import Any

import pytest

from inplace.kube.protocols import Request, Response
from inplace.model.constants import FINALIZER, RUN_ANNOTATION
from inplace.model.objects.coordination import Lease, LeaseSpec
from inplace.model.objects.meta import ObjectMeta
from inplace.model.rollout import InPlaceRollout, Phase, RolloutSpec, RolloutStatus, RolloutTarget
from inplace.model.run import encode_run
from inplace.runtime.manifests import CONTROLLER, OURS, manifests
from tests.builders import NS, run
from tests.cli.fakes import Command, FakeClock, FakeServer, web
from tests.unit.kube.fakes import refusal

LIVE = "controller/inplace-system/inplace-controller/pod-a"


def leader(renewed: str, holder: str = "pod-a") -> Lease:
    spec = LeaseSpec(holder_identity=holder, renew_time=renewed)
    return Lease(metadata=ObjectMeta(name=CONTROLLER, namespace="inplace-system"), spec=spec)


def held(holder: str) -> Lease:
    meta = ObjectMeta(
        name="inplace-deployment-web",
        namespace=NS,
        annotations={RUN_ANNOTATION: encode_run(run())},
        labels={"app.kubernetes.io/managed-by": "inplace"},
    )
    return Lease(metadata=meta, spec=LeaseSpec(holder_identity=holder, renew_time="2026-01-01T12:00:00Z"))


def rollout(phase: Phase | None, finalizers: tuple[str, ...] = (FINALIZER, "other.example/x")) -> InPlaceRollout:
    meta = ObjectMeta(name="web-2", namespace=NS, uid="u", resource_version="9", finalizers=finalizers)
    spec = RolloutSpec(target=RolloutTarget(kind="Deployment", name="web"))
    return InPlaceRollout(metadata=meta, spec=spec, status=RolloutStatus(phase=phase, lease="inplace-deployment-web"))


def beating(server: FakeServer, clock: FakeClock) -> None:
    """The leader renews its Lease whenever somebody waits."""
    server.put("leases", leader("0"))

    def renew() -> None:
        server.put("leases", leader(str(clock.now)))

    clock.on_sleep = renew


def put_installed(server: FakeServer, namespace: str | None = None) -> None:
    for manifest in manifests(namespace):
        body: dict[str, Any] = {**manifest.body, "metadata": {"uid": "1", **manifest.body["metadata"]}}
        server.put(manifest.resource.plural, body)


def paths(server: FakeServer, method: str) -> list[str]:
    return [request.path.rpartition("/")[2] for request in server.writes if request.method == method]


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (["install", "-n", "shop"], "the controller runs in inplace-system"),
        (["uninstall", "-n", "shop"], "the controller runs in inplace-system"),
        (["install", "--namespace-only", "--crds-only"], "cannot be combined"),
        (["uninstall", "--namespace-only", "--crds"], "cannot be combined"),
    ],
)
def test_usage(command: Command, server: FakeServer, words: list[str], why: str) -> None:
    ran = command(*words)
    assert ran.code == 2
    assert why in ran.error
    assert server.requests == []


@pytest.mark.parametrize("verb", ["install", "uninstall"])
def test_a_clients_dry_run_asks_no_cluster(command: Command, server: FakeServer, verb: str) -> None:
    ran = command(verb, "--dry-run", "client")
    assert (ran.code, ran.stderr, server.requests, command.options) == (0, "", [], [])
    assert "deployment.apps/inplace-controller in inplace-system" in ran.stdout
    only = command(verb, "--dry-run", "client", "--namespace-only", "-n", "shop")
    assert {line.split()[2] for line in only.stdout.splitlines()} == {"shop"}


def test_missing_rights_are_told_before_the_first_write(command: Command, server: FakeServer) -> None:
    server.denied = {"patch clusterroles", "create deployments"}
    ran = command("install")
    assert ran.code == 5
    assert "not patch clusterroles in the whole cluster, nor create deployments in namespace inplace-system" in ran.error
    assert server.writes == []


def test_too_old_a_cluster(command: Command, server: FakeServer) -> None:
    server.minor = "33"
    ran = command("install")
    assert (ran.code, server.writes) == (5, [])
    assert "needs 1.34" in ran.error


def test_it_breaks_off_in_the_middle(command: Command, server: FakeServer) -> None:
    put_installed(server)
    server.refuse = {"/deployments/inplace-controller": "no more today"}
    ran = command("install")
    assert ran.code == 1
    assert "deployment.apps/inplace-controller: no more today; the changes listed above are done" in ran.error
    assert "namespace/inplace-system unchanged" in ran.stdout


def test_a_cluster_without_one_of_the_kinds_says_which(command: Command, server: FakeServer) -> None:
    """An embedded one, say."""
    put_installed(server)
    server.missing = {"roles"}
    ran = command("install")
    assert ran.code == 1
    assert ": this cluster knows no Role (rbac.authorization.k8s.io/v1); the changes listed above are done" in ran.error


def test_a_live_run_is_not_left_alone(command: Command, server: FakeServer, clock: FakeClock) -> None:
    put_installed(server)
    beating(server, clock)
    server.put("leases", held(LIVE))
    ran = command("uninstall")
    assert ran.code == 5
    assert ran.error == (
        f"deploy/web in {NS} (held by {LIVE}): nothing would drive these runs any more. "
        f"Wait until they end, or roll back with `inplace abort deploy/web -n {NS}`"
    )
    assert server.writes == []


def test_a_rollout_that_the_controller_is_about_to_begin_is_live(
    command: Command, server: FakeServer, clock: FakeClock
) -> None:
    put_installed(server)
    beating(server, clock)
    server.put("inplacerollouts", rollout(None))
    ran = command("uninstall")
    assert (ran.code, server.writes) == (5, [])
    assert f"deploy/web in {NS} (InPlaceRollout web-2, not begun yet)" in ran.error


def test_of_a_dead_controller_everything_is_removed_and_its_rollouts_are_let_go(
    command: Command, server: FakeServer, clock: FakeClock
) -> None:
    put_installed(server)
    server.put("leases", leader("0"), held(LIVE))
    server.put("inplacerollouts", rollout("Progressing"))
    began = clock.now
    ran = command("uninstall")
    assert ran.code == 0
    assert clock.now - began >= 15
    *removed, namespace, lease = [request.path for request in server.writes if request.method == "DELETE"]
    assert len(removed) == len(manifests()) - 2
    assert namespace.endswith("/namespaces/inplace-system")
    assert lease.endswith("/leases/inplace-controller")
    assert "inplacerollouts.inplace.dev" not in ran.stdout
    assert server.objects["inplacerollouts"]["web-2"]["metadata"]["finalizers"] == ["other.example/x"]
    assert "1 InPlaceRollout stays" in ran.stderr


def test_a_rollout_that_changes_meanwhile_is_let_go_all_the_same(
    command: Command, server: FakeServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_installed(server)
    server.put("inplacerollouts", rollout("Succeeded"))
    answer, conflicts = server.call, list[Request]()

    def call(request: Request, timeout_seconds: float) -> Response:
        if request.method == "PATCH" and "/inplacerollouts/" in request.path and not conflicts:
            conflicts.append(request)
            return refusal(409, "the object has been modified", "Conflict")
        return answer(request, timeout_seconds)

    monkeypatch.setattr(server, "call", call)
    ran = command("uninstall")
    assert (ran.code, len(conflicts)) == (0, 1)
    assert server.objects["inplacerollouts"]["web-2"]["metadata"]["finalizers"] == ["other.example/x"]
    assert "1 InPlaceRollout stays" in ran.stderr


def test_rollouts_that_are_over_are_no_obstacle_but_to_the_definition(command: Command, server: FakeServer) -> None:
    put_installed(server)
    server.put("inplacerollouts", rollout("Succeeded", ()))
    ran = command("uninstall", "--crds")
    assert (ran.code, server.writes) == (5, [])
    assert ran.error.startswith("there is 1 InPlaceRollout, which would be deleted with the CRD")
    assert command("uninstall").code == 0


def test_templates_with_the_gate_are_named(command: Command, server: FakeServer) -> None:
    put_installed(server)
    web(server)
    ran = command("uninstall", "--dry-run", "server")
    assert ran.code == 0
    assert f"warning: the template of deploy/web in {NS} carries the gate inplace.dev/ready" in ran.stderr
    assert "each new pod (after a scale-up, an eviction, a rollout) stays out of service" in ran.stderr
    assert all(request.is_dry_run for request in server.writes)
    assert all(line.endswith(" (server dry run)") for line in ran.stdout.splitlines())


def test_the_gates_of_its_own_settings_are_named(command: Command, server: FakeServer) -> None:
    put_installed(server)
    rules = "gateRules: [{condition: www.example.com/feature-1, label: example}]"
    server.objects["configmaps"][CONTROLLER]["data"] = {"config.yaml": rules}
    web(server)
    template = server.objects["deployments"]["web"]["spec"]["template"]
    template["spec"]["readinessGates"] = [{"conditionType": "www.example.com/feature-1"}, {"conditionType": "other.example/x"}]
    ran = command("uninstall", "--dry-run", "server")
    assert f"the template of deploy/web in {NS} carries the gate www.example.com/feature-1" in ran.stderr
    assert "other.example" not in ran.stderr


def test_settings_that_are_there_are_their_owners(command: Command, server: FakeServer) -> None:
    put_installed(server)
    ran = command("install")
    assert ran.code == 0
    assert f"configmap/{CONTROLLER} in inplace-system left as it is" in ran.stdout
    assert [request for request in server.writes if "configmaps" in request.path] == []


def test_what_is_not_ours_stays(command: Command, server: FakeServer) -> None:
    put_installed(server)
    server.objects["namespaces"]["inplace-system"]["metadata"]["labels"] = {OURS[0]: "somebody-else"}
    del server.objects["poddisruptionbudgets"]
    ran = command("uninstall")
    assert ran.code == 0
    assert "namespace/inplace-system left as it is" in ran.stdout
    assert "poddisruptionbudget.policy/inplace-controller in inplace-system not found" in ran.stdout
    assert "inplace-system" not in paths(server, "DELETE")


@pytest.mark.parametrize("words", ["install --namespace-only --dry-run client", "uninstall --namespace-only --dry-run client"])
def test_a_namespace_that_nobody_has_named_is_told(command: Command, words: str) -> None:
    note = "no -n given: using namespace default of the context\n"
    assert command(*words.split()).stderr == note
    assert command(*words.split(), "-n", "shop").stderr == ""
