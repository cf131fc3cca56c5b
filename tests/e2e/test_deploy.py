"""deploy/ and examples/ on a real cluster: rendered as they are shipped, accepted, and no right too many.

It takes kubectl's kustomize, an API server's validation and its RBAC to say so. The controller for all namespaces is installed
from an image that does not exist: it would open the gates of every other test.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.cluster.processes import ClusterError
from tests.cluster.wait import eventually
from tests.e2e.command import Inplace

PROJECT = Path(__file__).parents[2]
DEPLOY, EXAMPLES = PROJECT / "deploy", PROJECT / "examples"
CLUSTER_WIDE = "namespace,clusterrole,clusterrolebinding"
WRITES_OF_A_RUN = (
    "patch pods",
    "patch pods/status",
    "patch deployments.apps",
    "patch statefulsets.apps",
    "patch daemonsets.apps",
    "create replicasets.apps",
    "delete replicasets.apps",
    "create leases.coordination.k8s.io",
    "patch leases.coordination.k8s.io",
)
NEVER = (
    "create pods",
    "delete pods",
    "create pods/exec",
    "create pods/eviction",
    "get secrets",
    "get configmaps",
    "update deployments.apps",
    "delete deployments.apps",
    "create deployments.apps",
    "patch deployments.apps/scale",
    "patch services",
    "patch nodes",
    "patch poddisruptionbudgets.policy",
    "create rolebindings.rbac.authorization.k8s.io",
    "escalate roles.rbac.authorization.k8s.io",
    "impersonate users",
)

LEADER = "get leases.coordination.k8s.io/inplace-controller"
NAMED = (LEADER,)
"""What follows the slash is an object's name."""


@pytest.fixture
def everywhere(cluster: Cluster, inplace: Inplace) -> Iterator[None]:
    """Installed for all namespaces, without a controller that runs."""
    ended = inplace("install", "--image", f"{cluster.registry}/inplace:missing")
    assert ended.code == 0, ended.stderr
    yield
    cluster.kubectl("delete", CLUSTER_WIDE, "-l", "app.kubernetes.io/name=inplace", "--wait=true")


def allowed(cluster: Cluster, namespace: str, who: str, whats: Iterable[str], *groups: str) -> list[str]:
    """Those of `verb resource[.group][/subresource]` that `kubectl auth can-i --as` says yes to; all in one call."""
    asked = list(whats)
    body = {"apiVersion": "v1", "kind": "List", "items": [review(namespace, what) for what in asked]}
    impersonated = ["--as", who, *(f"--as-group={group}" for group in groups)]
    told = cluster.kubectl("create", "-f-", "-o=jsonpath={.status.allowed} ", *impersonated, input=json.dumps(body)).split()
    return [what for what, answer in zip(asked, told, strict=True) if answer == "true"]


def review(namespace: str, what: str) -> dict[str, object]:
    verb, _, resource = what.partition(" ")
    resource, _, subresource = resource.partition("/")
    resource, _, group = resource.partition(".")
    attributes = {"namespace": namespace, "verb": verb, "group": group, "resource": resource, "subresource": subresource}
    if what in NAMED:
        attributes |= {"subresource": "", "name": subresource}
    kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
    return {**kind, "spec": {"resourceAttributes": attributes}}


def can(cluster: Cluster, namespace: str, who: str, what: str) -> bool:
    return allowed(cluster, namespace, who, [what]) == [what]


def bind(cluster: Cluster, namespace: str, role: str, who: str, kind: str = "role") -> None:
    cluster.kubectl("-n", namespace, "create", "rolebinding", f"{who}-{role}", f"--{kind}={role}", f"--user={who}")


def service_account(namespace: str) -> str:
    return f"system:serviceaccount:{namespace}:inplace-controller"


@pytest.mark.parametrize(("overlay", "file"), [("cluster", "install.yaml"), ("namespace", "install-namespace.yaml")])
def test_what_is_shipped_is_what_kustomize_renders(cluster: Cluster, overlay: str, file: str) -> None:
    rendered = cluster.kubectl("kustomize", str(DEPLOY / "overlays" / overlay))
    assert (DEPLOY / file).read_text() == rendered, "run `make manifests`"


@pytest.mark.usefixtures("definition")
def test_all_of_it_is_accepted(cluster: Cluster, ns: str) -> None:
    dry = ("apply", "--dry-run=server", "--validate=strict", "-n", ns)
    told = cluster.kubectl(*dry, "-k", str(DEPLOY / "overlays" / "namespace"))
    for file in ("cli-role.yaml", "gate.yaml", "install-namespace.yaml"):
        told += cluster.kubectl(*dry, "-f", str(DEPLOY / file))
    told += cluster.kubectl(*dry, "-R", "-f", str(EXAMPLES))
    assert "inplacerollout.inplace.dev/" in told
    assert all(line.endswith("(server dry run)") for line in told.splitlines())


@pytest.mark.usefixtures("everywhere")
def test_installed_for_all_namespaces(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    again = inplace("install", "--image", f"{cluster.registry}/inplace:missing")
    assert {line.rpartition(" ")[2] for line in again.stdout.splitlines()} == {"unchanged", "is"}  # as it is: the settings
    server = inplace("install", "--dry-run", "server")
    changed = [line for line in server.stdout.splitlines() if " unchanged " not in line and " left as it is " not in line]
    assert changed == ["deployment.apps/inplace-controller in inplace-system configured (server dry run)"]
    dry = ("apply", "--server-side", "--dry-run=server", "--field-manager=inplace-install", "-f", str(DEPLOY / "install.yaml"))
    assert cluster.kubectl(*dry).count("serverside-applied (server dry run)") == len(server.stdout.splitlines())
    who = service_account("inplace-system")
    eventually(lambda: can(cluster, ns, who, "patch inplacerollouts.inplace.dev/status"), "the controller's rights", 30)
    assert allowed(cluster, ns, who, (*WRITES_OF_A_RUN, *NEVER)) == list(WRITES_OF_A_RUN)
    bind(cluster, ns, "inplace-viewer", "vera", "clusterrole")
    eventually(lambda: can(cluster, ns, "vera", "list inplacerollouts.inplace.dev"), "the viewer's rights", 30)
    assert not can(cluster, "default", "vera", "list inplacerollouts.inplace.dev")
    leases = ("get leases.coordination.k8s.io", "patch leases.coordination.k8s.io", LEADER)
    assert allowed(cluster, "inplace-system", "vera", leases, "system:authenticated") == [LEADER]


@pytest.mark.usefixtures("definition")
def test_three_roles_in_one_namespace(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    ended = inplace("install", "--namespace-only", "--image", f"{cluster.registry}/inplace:missing")
    assert ended.code == 0, ended.stderr
    controller = service_account(ns)
    bind(cluster, ns, "inplace-user", "jane")
    bind(cluster, ns, "inplace-viewer", "vera")
    eventually(lambda: can(cluster, ns, "vera", "list inplacerollouts.inplace.dev"), "the viewer's rights", 30)
    rollouts = [f"{verb} inplacerollouts.inplace.dev" for verb in ("create", "update", "delete")]
    status = "patch inplacerollouts.inplace.dev/status"

    everything = (*WRITES_OF_A_RUN, *rollouts, status, *NEVER)
    assert allowed(cluster, ns, controller, everything) == [*WRITES_OF_A_RUN, rollouts[2], status]
    assert allowed(cluster, ns, "jane", everything) == [*WRITES_OF_A_RUN, *rollouts]
    assert allowed(cluster, ns, "vera", everything) == []

    looks = ("get pods", "list pods", "list leases.coordination.k8s.io", "list inplacerollouts.inplace.dev")
    assert allowed(cluster, ns, controller, looks) == list(looks)
    for who in (controller, "jane", "vera"):
        assert allowed(cluster, "default", who, (*everything, *looks)) == []
    with pytest.raises(ClusterError, match="cannot list resource"):
        cluster.kubectl("--as", controller, "get", "pods", "--all-namespaces")


@pytest.mark.usefixtures("definition")
def test_what_one_namespace_has_got_is_taken_away(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    image = ("--image", f"{cluster.registry}/inplace:missing")
    first = inplace("install", "--namespace-only", *image)
    assert first.code == 0, first.stderr
    assert {line.rpartition(" ")[2] for line in first.stdout.splitlines()} == {"created"}
    again = inplace("install", "--namespace-only", *image)
    assert {line.rpartition(" ")[2] for line in again.stdout.splitlines()} == {"unchanged", "is"}  # as it is: the settings
    cluster.kubectl("-n", ns, "apply", "-f-", input=json.dumps(gated()))

    gone = inplace("uninstall", "--namespace-only")
    assert gone.code == 0, gone.stderr
    assert f"warning: the template of deploy/web in {ns} carries the gate inplace.dev/ready" in gone.stderr
    assert {line.rpartition(" ")[2] for line in gone.stdout.splitlines()} == {"deleted"}
    kinds = "serviceaccount,configmap,role,rolebinding,deployment,pdb"
    left = ("-n", ns, "get", kinds, "-l", "app.kubernetes.io/name=inplace", "-o", "name")
    eventually(lambda: cluster.kubectl(*left) == "", "nothing of ours is left", 60)
    assert "inplacerollouts" in cluster.kubectl("get", "crd", "-o", "name")


def gated() -> dict[str, object]:
    pod = {
        "metadata": {"labels": {"app": "web"}},
        "spec": {
            "readinessGates": [{"conditionType": "inplace.dev/ready"}],
            "containers": [{"name": "app", "image": "web:1"}],
        },
    }
    spec = {"replicas": 0, "selector": {"matchLabels": {"app": "web"}}, "template": pod}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def test_a_user_without_the_rights_is_refused(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    ended = inplace("install", "--namespace-only", token=cluster.viewer_token)
    assert ended.code == 5
    assert "create serviceaccounts, roles" in ended.stderr
    assert f"in namespace {ns}: ask somebody who administers the cluster" in ended.stderr
    assert cluster.kubectl("-n", ns, "get", "role", "-o", "name") == ""


def test_nobody_gives_rights_that_he_has_not_got(cluster: Cluster, ns: str, inplace: Inplace) -> None:
    rules = "serviceaccounts,configmaps,roles.rbac.authorization.k8s.io,rolebindings.rbac.authorization.k8s.io"
    verbs = "--verb=get,create,patch"
    cluster.kubectl("-n", ns, "create", "role", "installer", verbs, f"--resource={rules},deployments.apps,pdb")
    bind(cluster, ns, "installer", "ines")
    eventually(lambda: can(cluster, ns, "ines", "patch deployments.apps"), "the installer's rights", 30)
    ended = inplace("install", "--namespace-only", "--as", "ines")
    assert ended.code == 1
    assert "role.rbac.authorization.k8s.io/inplace-controller: you can only give rights that you have yourself" in ended.stderr
