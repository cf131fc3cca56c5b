"""What cannot be done is refused in one clear line, with the right exit code, before anything is written."""

import pytest

from tests.recorder import Object
from tests.scenarios.cluster_under_test import MERGE
from tests.scenarios.manifests import deployment, pod, replicaset, service
from tests.scenarios.scene import WEB, Scene

REFUSED = 5
HISTORY = {1: "app:1", 2: "app:2"}


def test_wrong_names(scene: Scene) -> None:
    scene.web(2, serve=False)
    new = f"app={scene.image('app:2')}"
    cases: dict[tuple[str, ...], str] = {
        ("deploy/wbe", new): f"deploy/wbe does not exist in namespace {scene.ns}",
        ("rs/web", new): f"rs/web does not exist in namespace {scene.ns}",
        ("pod/web", new): f"pod/web does not exist in namespace {scene.ns}",
        ("pods", "-l", "app=wbe", new): "no pods match 'app=wbe'",
        ("deploy/web", new, "-n", "no-such-place"): "namespace no-such-place does not exist",
        ("deploy/web", new.replace("app=", "ap=")): "deploy/web has no container 'ap'; it has: app",
        ("deploy/web", new, new.replace("app=", "side=")): "deploy/web has no container 'side'; it has: app",
    }
    for words, said in cases.items():
        scene.check_refused(scene.inplace("upgrade", *words), REFUSED, said)

    old = scene.image("app:1")
    same = scene.inplace("upgrade", "deploy/web", f"app={old}")
    assert (same.code, same.stdout) == (0, f"deploy/web runs app={old} already\n")
    assert same.stderr.count("\n") == 1  # nobody opens the gates of its new pods
    assert scene.our_writes() == []


def test_pods_without_the_gate(scene: Scene) -> None:
    scene.deploy(deployment("web", scene.image("app:1"), replicas=1, gate=None), count=1, gate=None)
    command = scene.command(app="app:2")
    how_to = "add `readinessGates: [{conditionType: inplace.dev/ready}]` to the pod template's spec"
    no_gate = "deploy/web has no readiness gate inplace.dev/ready"
    scene.check_refused(scene.inplace(*command), REFUSED, no_gate, how_to, "inplace gate run")
    scene.check_refused(scene.inplace(*command, "--gate", "other.example/gate"), REFUSED, "other.example/gate")
    assert scene.our_writes() == []
    assert scene.on_image("app:2") == set()


def owned(obj: Object, api_version: str, kind: str) -> Object:
    """By something called `shop`. The garbage collector would delete what a known kind owned: others it leaves alone."""
    owner = {"apiVersion": api_version, "kind": kind, "name": "shop", "uid": "1234", "controller": True}
    obj["metadata"]["ownerReferences"] = [owner]
    return obj


def test_what_somebody_else_manages(scene: Scene) -> None:
    """By its name or by its kind: whose it is, and the right tool."""
    image, new = scene.image("app:1"), f"app={scene.image('app:2')}"
    clone = owned(pod("clone", image), "apps.kruise.io/v1alpha1", "CloneSet")
    stateful = owned(pod("db-0", image), "apps.kruise.io/v1beta1", "StatefulSet")
    unheard = owned(pod("odd", image), "example.com/v1", "Unheard")
    of_rollout = owned(replicaset("canary", image, replicas=1), "argoproj.io/v1alpha1", "Rollout")
    scene.deploy(deployment("web", image, replicas=1), clone, stateful, unheard, of_rollout, count=5)
    (replica_set,) = (rs["metadata"]["name"] for rs in scene.all("rs") if rs["metadata"]["name"] != "canary")
    (name,) = (name for name in scene.before if name.startswith(f"{replica_set}-"))
    for target, said in {
        "pod/clone": ("managed by CloneSet/shop", "OpenKruise upgrades it in place itself; change the image in CloneSet/shop"),
        "pod/db-0": ("managed by StatefulSet/shop", "OpenKruise upgrades it in place itself"),
        "pod/odd": ("managed by Unheard/shop", "change the image in Unheard/shop"),
        "rs/canary": ("managed by Rollout/shop", "Argo Rollouts manages it; change the image there"),
        f"pod/{name}": (f"managed by ReplicaSet/{replica_set}",),
        f"rs/{replica_set}": ("managed by Deployment/web", "upgrade deploy/web"),
    }.items():
        scene.check_refused(scene.inplace("upgrade", target, new), REFUSED, *said)
    scene.check_refused(scene.inplace("upgrade", "cloneset/shop", new), 2, "OpenKruise upgrades a cloneset in place itself")
    scene.check_refused(scene.inplace("upgrade", "rollout/shop", new), 2, "kubectl argo rollouts set image")
    assert scene.our_writes() == []


def test_what_a_tool_syncs_is_upgraded_with_a_warning(scene: Scene) -> None:
    scene.web(1, serve=False)
    scene.annotate(WEB, {"argocd.argoproj.io/tracking-id": "shop:apps/Deployment:x/web"})
    planned = scene.inplace("plan", WEB, f"app={scene.image('app:2')}")
    assert planned.code == 0, planned
    assert "warning: deploy/web is managed by Argo CD (shop:apps/Deployment:x/web): " in planned.stderr


def by_hand(name: str, *addresses: str) -> tuple[Object, Object]:
    """A Service without a selector, and a slice of it that names addresses but no pods."""
    made: Object = {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": {"name": name, "labels": {"kubernetes.io/service-name": name}},
        "addressType": "IPv4",
        "endpoints": [{"addresses": [a], "conditions": {"ready": True}} for a in addresses],
        "ports": [{"port": 8080}],
    }
    return service(name, selector=None), made


@pytest.mark.parametrize("which", ["publishes", "by hand"])
def test_a_service_that_cannot_be_drained(scene: Scene, which: str) -> None:
    scene.web(2)
    if which == "publishes":
        scene.create(service("loose", selector={"app": "web"}, publishNotReadyAddresses=True))
        why = "Service loose has publishNotReadyAddresses"
    else:
        scene.create(*by_hand("loose", *scene.ips().values()))
        why = "by hand, without a targetRef"
    scene.until(lambda: len(scene.endpoints()) == 4, "both Services list both pods")
    scene.witness.mark()
    command = scene.command("--max-unavailable", "1", app="app:2")
    scene.check_refused(scene.inplace(*command), REFUSED, "Service loose", why, "--accept-undrainable loose")
    scene.check_refused(scene.inplace(*command, "--accept-undrainable", "web"), REFUSED, "Service loose")
    assert scene.our_writes() == []

    done = scene.inplace(*command, "--accept-undrainable", "loose")
    assert done.code == 0, done
    if which == "publishes":
        assert "warning: Service loose has publishNotReadyAddresses (accepted): it is not waited for" in done.stderr
    scene.check_consistent("app:2", HISTORY, replicas=2)
    scene.check(upgraded=2, undrainable=["loose"])


def test_budgets_that_allow_nothing(scene: Scene) -> None:
    careful = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    scene.web(2, serve=False, strategy=careful)
    command = scene.command(app="app:2")
    scene.check_refused(scene.inplace(*command), REFUSED, "deploy/web has maxUnavailable 0", "--max-unavailable")
    spec = {"minAvailable": "100%", "selector": {"matchLabels": {"app": "web"}}}
    scene.create({"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "all"}, "spec": spec})
    scene.until(lambda: scene.get("pdb/all").get("status", {}).get("expectedPods") == 2, "the budget is counted")
    asked = (*command, "--max-unavailable", "1")
    never = "PodDisruptionBudget all never allows a pod of deploy/web to be unavailable"
    scene.check_refused(scene.inplace(*asked), REFUSED, never)
    assert scene.our_writes() == []

    scene.delete("pdb/all")
    done = scene.inplace(*asked)
    assert done.code == 0, done
    scene.check_consistent("app:2", HISTORY, replicas=2)
    scene.check(upgraded=2)


def test_a_template_that_is_elsewhere(scene: Scene) -> None:
    """Edited while paused: more than images differ. Then a rollout that is stuck halfway: two active ReplicaSets."""
    scene.web(2, serve=False)
    command = scene.command(app="app:2")
    edited = {"spec": {"paused": True, "template": {"spec": {"terminationGracePeriodSeconds": 7}}}}
    scene.patch(WEB, edited, MERGE)
    more = "differs from its pods' ReplicaSet in more than images (spec.terminationGracePeriodSeconds)"
    refused = scene.inplace(*command)
    scene.check_refused(refused, REFUSED, "the template of deploy/web", more, "kubectl rollout resume")
    scene.merge(WEB, {"spec": {"paused": False}})  # without `gate run` the new pods never get Ready: it stays halfway
    scene.until(lambda: len([rs for rs in scene.all("rs") if rs["status"]["replicas"]]) == 2, "two active ReplicaSets")
    halfway = scene.inplace(*command)
    scene.check_refused(halfway, REFUSED, "deploy/web has 2 active ReplicaSets", "a rollout is under way")
    assert scene.our_writes() == []
