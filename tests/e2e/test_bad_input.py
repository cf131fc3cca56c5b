"""What cannot be done is refused in one clear line, with the right exit code, before anything is written."""

import json
from pathlib import Path

import pytest

from tests.cluster import Cluster
from tests.e2e import support
from tests.e2e.command import Inplace
from tests.e2e.mishaps import SETTLE, app, consistent, our_writes, refused, web, with_image
from tests.e2e.support import Object
from tests.recorder import Recorder, Rules

USAGE, REFUSED = 2, 5


def test_usage_is_judged_without_a_cluster(inplace: Inplace) -> None:
    """Exit 2, though the server that is named could not even be reached."""
    nowhere = ("--server", "https://127.0.0.1:1")
    good = ("upgrade", "deploy/web", "app=repo/app:2")
    cases: dict[tuple[str, ...], str] = {
        ("upgrade",): "name what to upgrade",
        ("upgrade", "deploy/web"): "CONTAINER=IMAGE",
        ("upgrade", "web", "app=repo/app:2"): "say which kind 'web' is, such as deploy/web",
        ("upgrade", "unicorn/web", "app=repo/app:2"): "nothing to upgrade in kind 'unicorn'",
        ("upgrade", "job/web", "app=repo/app:2"): "a Job's pods run once",
        ("upgrade", "deploy/We_b", "app=repo/app:2"): "no name of a Kubernetes object",
        ("upgrade", "deploy/web", "app="): "no image reference",
        ("upgrade", "deploy/web", "app=a:1", "app=b:1"): "given two images",
        ("upgrade", "pods", "app=repo/app:2"): "by label with -l",
        (*good, "--max-unavailable", "150%"): "neither a number of pods nor a percentage from 0% to 100%",
        (*good, "--max-unavailable", "0"): "allow at least 1",
        (*good, "--max-unavailable", "some"): "neither a number of pods nor a percentage",
        (*good, "--settle", "5 apples"): "not a duration",
        (*good, "--settle", "-1s"): "not a duration",
        (*good, "--drain-timeout", "0s"): "more than 0",
        (*good, "--timeout", "soon"): "not a duration",
        (*good, "--steps", "20%,pause,50%"): "the last step must be 100%, not '50%'",
        (*good, "--steps", "50%,20%,100%"): "steps must grow",
        (*good, "--steps", "0%,100%"): "a step of 0 does nothing",
        (*good, "--on-failure", "panic"): "'panic'",
        (*good, "--no-such-flag"): "--no-such-flag",
    }
    for words, said in cases.items():
        refused(inplace(*words, *nowhere), USAGE, said)
    refused(inplace("upgarde"), USAGE, "upgarde")


def test_no_cluster(inplace: Inplace, tmp_path: Path) -> None:
    good = ("upgrade", "deploy/web", "app=repo/app:2")
    refused(inplace(*good, "--server", "https://127.0.0.1:1"), REFUSED, "127.0.0.1:1")
    nothing = {"KUBECONFIG": str(tmp_path / "nothing"), "HOME": str(tmp_path)}
    refused(inplace(*good, env=nothing), REFUSED, "no cluster is configured", "KUBECONFIG")
    refused(inplace(*good, "--kubeconfig", nothing["KUBECONFIG"]), REFUSED, nothing["KUBECONFIG"])
    broken = tmp_path / "broken"
    broken.write_text("{kind: Config, clusters: 3}")
    refused(inplace(*good, env={"KUBECONFIG": str(broken)}), REFUSED)
    refused(inplace(*good, "--context", "elsewhere"), REFUSED, "elsewhere")
    refused(inplace(*good, "--token", "wrong"), REFUSED)


def test_wrong_names(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    web(cluster, ns, replicas=2, serve=False)
    recorder.mark()
    new = app(cluster, "2")
    refused(inplace("upgrade", "deploy/wbe", f"app={new}"), REFUSED, f"deploy/wbe does not exist in namespace {ns}")
    refused(inplace("upgrade", "rs/web", f"app={new}"), REFUSED, f"rs/web does not exist in namespace {ns}")
    refused(inplace("upgrade", "pod/web", f"app={new}"), REFUSED, f"pod/web does not exist in namespace {ns}")
    refused(inplace("upgrade", "pods", "-l", "app=wbe", f"app={new}"), REFUSED, "no pods match 'app=wbe'")
    elsewhere = inplace("upgrade", "deploy/web", f"app={new}", "-n", "no-such-place")
    refused(elsewhere, REFUSED, "deploy/web does not exist in namespace no-such-place")
    unknown = inplace("upgrade", "deploy/web", f"ap={new}")
    refused(unknown, REFUSED, "deploy/web has no container 'ap'; it has: app")
    one_of_two = inplace("upgrade", "deploy/web", f"app={new}", f"side={new}")
    refused(one_of_two, REFUSED, "deploy/web has no container 'side'; it has: app")

    same = inplace("upgrade", "deploy/web", f"app={app(cluster, '1')}")
    assert (same.code, same.stderr) == (0, "")
    assert same.stdout == f"deploy/web runs app={app(cluster, '1')} already\n"
    assert our_writes(recorder) == []


def test_pods_without_the_gate(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    plain = support.deployment("web", app(cluster, "1"), replicas=1, gate=None)
    support.deploy(cluster, ns, plain, count=1, gate=None)
    recorder.mark()
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}")
    how_to = "add `readinessGates: [{conditionType: inplace.dev/ready}]` to the pod template's spec"
    refused(inplace(*command), REFUSED, "deploy/web has no readiness gate inplace.dev/ready", how_to, "inplace gate run")
    refused(inplace(*command, "--gate", "other.example/gate"), REFUSED, "other.example/gate")
    assert our_writes(recorder) == []
    assert with_image(cluster, ns, app(cluster, "2")) == set()


def test_missing_rights(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """Somebody who may do nothing, a viewer, and users who lack exactly one verb each: all is asked before the first write."""
    web(cluster, ns, replicas=1, serve=False)
    recorder.mark()
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}")
    refused(inplace(*command, token=cluster.viewer_token), REFUSED, "you may not list pods", f"in namespace {ns}")
    cluster.kubectl("-n", ns, "create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer")
    may_look = lambda: "yes" in cluster.kubectl("-n", ns, "auth", "can-i", "list", "pods", "--as=viewer", check=False)  # noqa: E731
    support.eventually(may_look, "the RoleBinding")
    refused(inplace(*command, token=cluster.viewer_token), REFUSED, "you may not", "patch pods, pods/status")
    for group, resource, verb in (
        ("", "pods/status", "patch"),
        ("", "services", "watch"),
        ("apps", "replicasets", "create"),
        ("coordination.k8s.io", "leases", "patch"),
    ):
        token = user_without(cluster, ns, group, resource, verb)
        refused(inplace(*command, token=token), REFUSED, f"you may not {verb} {resource} in namespace {ns}")
    assert our_writes(recorder) == []


def test_exactly_the_rights_that_are_asked_for_suffice(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    web(cluster, ns, replicas=1)
    recorder.mark()
    done = inplace("upgrade", "deploy/web", f"app={app(cluster, '2')}", *SETTLE, token=user_without(cluster, ns))
    assert done.code == 0, done
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=1)
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=1, writes_per_pod=3))
    assert len(our_writes(recorder)) > 8, "the check by which the others are judged sees what is written"


NEEDED = {
    ("", "pods"): ["list", "watch", "patch"],
    ("", "pods/status"): ["patch"],
    ("", "services"): ["list", "watch"],
    ("apps", "deployments"): ["get", "list", "watch", "patch"],
    ("apps", "replicasets"): ["get", "list", "watch", "patch", "create", "delete"],
    ("coordination.k8s.io", "leases"): ["get", "list", "watch", "create", "patch"],
    ("discovery.k8s.io", "endpointslices"): ["list", "watch"],
    ("policy", "poddisruptionbudgets"): ["list", "watch"],
}


def user_without(cluster: Cluster, ns: str, group: str = "", resource: str = "", verb: str = "") -> str:
    """The token of a new service account that may do all that an upgrade of a Deployment needs, but for one verb."""
    name = f"without-{verb}-{resource.replace('/', '-')}".strip("-")
    allowed = {(g, r): [v for v in verbs if (g, r, v) != (group, resource, verb)] for (g, r), verbs in NEEDED.items()}
    rules = [{"apiGroups": [g], "resources": [r], "verbs": verbs} for (g, r), verbs in allowed.items() if verbs]
    meta = {"name": name}
    rbac = "rbac.authorization.k8s.io"
    support.apply(
        cluster,
        ns,
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta},
        {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": meta, "rules": rules},
        {
            "apiVersion": f"{rbac}/v1",
            "kind": "RoleBinding",
            "metadata": meta,
            "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
            "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": ns}],
        },
    )
    token = cluster.kubectl("-n", ns, "create", "token", name).strip()
    user = f"--as=system:serviceaccount:{ns}:{name}"
    support.eventually(
        lambda: "yes" in cluster.kubectl("-n", ns, "auth", "can-i", "list", "pods", user, check=False), "the Role"
    )
    return token


def test_pods_that_somebody_else_manages(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    image, new = app(cluster, "1"), app(cluster, "2")
    clone = support.pod("clone", image)
    clone["metadata"]["ownerReferences"] = [
        {"apiVersion": "apps.kruise.io/v1alpha1", "kind": "CloneSet", "name": "shop", "uid": "1234", "controller": True}
    ]
    # The garbage collector would delete a pod of an unknown owner's uid: what it does not know, it leaves alone.
    objects = (support.job("once", image), support.deployment("web", image, replicas=1), clone)
    support.deploy(cluster, ns, *objects, count=3)
    recorder.mark()
    names = {n.rsplit("-", 1)[0] if n.startswith("once") else n.split("-")[0]: n for n in support.uids(cluster, ns)}
    refused(inplace("upgrade", f"pod/{names['once']}", f"app={new}"), REFUSED, "managed by Job/once", "a Job's pods run once")
    refused(inplace("upgrade", "pods", "-l", "app=once", f"app={new}"), REFUSED, "managed by Job/once")
    refused(inplace("upgrade", "pod/clone", f"app={new}"), REFUSED, "managed by CloneSet/shop", "OpenKruise")
    replica_set = json.loads(cluster.kubectl("-n", ns, "get", "rs", "-o", "json"))["items"][0]["metadata"]["name"]
    refused(inplace("upgrade", f"pod/{names['web']}", f"app={new}"), REFUSED, f"managed by ReplicaSet/{replica_set}")
    refused(inplace("upgrade", f"rs/{replica_set}", f"app={new}"), REFUSED, "managed by Deployment/web", "upgrade deploy/web")
    assert our_writes(recorder) == []


def by_hand(name: str, *addresses: str) -> tuple[Object, Object]:
    """A Service without a selector, and a slice of it that names addresses but no pods."""
    endpoints = [{"addresses": [a], "conditions": {"ready": True}} for a in addresses]
    meta = {"name": name, "labels": {"kubernetes.io/service-name": name}}
    ports = [{"port": 8080}]
    return support.service(name, selector=None), {
        "apiVersion": "discovery.k8s.io/v1",
        "kind": "EndpointSlice",
        "metadata": meta,
        "addressType": "IPv4",
        "endpoints": endpoints,
        "ports": ports,
    }


@pytest.mark.parametrize("which", ["publishes", "mirrored"])
def test_a_service_that_cannot_be_drained(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace, which: str) -> None:
    web(cluster, ns, replicas=2)
    if which == "publishes":
        loose = support.service("loose", selector={"app": "web"}, publishNotReadyAddresses=True)
        support.apply(cluster, ns, loose)
        why = "Service loose has publishNotReadyAddresses"
    else:
        support.apply(cluster, ns, *by_hand("loose", *support.ips(cluster, ns).values()))
        why = "by hand, without a targetRef"
    lists_all = lambda: len(support.endpoints(cluster, ns)) == 4  # noqa: E731
    support.eventually(lists_all, "both Services list both pods")
    recorder.mark()
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}", "--max-unavailable", "1", *SETTLE)
    refused(inplace(*command), REFUSED, "Service loose", why, "--accept-undrainable loose")
    refused(inplace(*command, "--accept-undrainable", "web"), REFUSED, "Service loose")
    assert our_writes(recorder) == []

    done = inplace(*command, "--accept-undrainable", "loose")
    assert done.code == 0, done
    if which == "publishes":
        assert "warning: Service loose has publishNotReadyAddresses (accepted): it is not waited for" in done.stderr
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)
    rules = Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3, undrainable=frozenset({"loose"}))
    recorder.check(rules)


def test_budgets_that_allow_nothing(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    careful = {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    web(cluster, ns, replicas=2, serve=False, strategy=careful)
    recorder.mark()
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}", *SETTLE)
    refused(inplace(*command), REFUSED, "deploy/web has maxUnavailable 0", "--max-unavailable")
    spec = {"minAvailable": "100%", "selector": {"matchLabels": {"app": "web"}}}
    support.apply(
        cluster, ns, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": "all"}, "spec": spec}
    )
    seen = lambda: support.get(cluster, ns, "pdb/all").get("status", {}).get("expectedPods") == 2  # noqa: E731
    support.eventually(seen, "the budget is counted")
    asked = (*command, "--max-unavailable", "1")
    refused(inplace(*asked), REFUSED, "PodDisruptionBudget all never allows a pod of deploy/web to be unavailable")
    assert our_writes(recorder) == []

    cluster.kubectl("-n", ns, "delete", "pdb", "all")
    done = inplace(*asked)
    assert done.code == 0, done
    consistent(cluster, ns, "2", {1: "1", 2: "2"}, replicas=2)
    recorder.check(Rules(max_unavailable=1, workload="Deployment/web", upgraded=2, writes_per_pod=3))


def test_a_template_that_is_elsewhere(cluster: Cluster, ns: str, recorder: Recorder, inplace: Inplace) -> None:
    """Edited while paused: more than images differ. Then a rollout that is stuck halfway: two active ReplicaSets."""
    web(cluster, ns, replicas=2, serve=False)
    recorder.mark()
    command = ("upgrade", "deploy/web", f"app={app(cluster, '2')}", *SETTLE)

    def patch(spec: Object) -> None:
        cluster.kubectl("-n", ns, "patch", "deploy", "web", "--type=merge", "-p", json.dumps({"spec": spec}))

    patch({"paused": True, "template": {"spec": {"terminationGracePeriodSeconds": 7}}})
    more = "differs from its pods' ReplicaSet in more than images (spec.terminationGracePeriodSeconds)"
    refused(inplace(*command), REFUSED, "the template of deploy/web", more, "kubectl rollout resume")
    patch({"paused": False})  # without `gate run` the new pods never get Ready: it stays halfway

    def halfway() -> bool:
        sets = json.loads(cluster.kubectl("-n", ns, "get", "rs", "-o", "json"))["items"]
        return len([rs for rs in sets if rs["status"]["replicas"]]) == 2

    support.eventually(halfway, "two active ReplicaSets")
    refused(inplace(*command), REFUSED, "deploy/web has 2 active ReplicaSets", "a rollout is under way")
    assert our_writes(recorder) == []
