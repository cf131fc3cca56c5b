"""Bad input that needs a real cluster: kubeconfigs, tokens, an authorizer, and owners that only real controllers make."""

from pathlib import Path

from tests.cluster import Cluster
from tests.e2e.command import Inplace
from tests.recorder.log import condition
from tests.scenarios.manifests import job
from tests.scenarios.scene import Scene

USAGE, REFUSED = 2, 5


def test_usage_is_judged_without_a_cluster(scene: Scene, inplace: Inplace) -> None:
    """Exit 2, though the server that is named could not even be reached."""
    nowhere = ("--server", "https://127.0.0.1:1")
    good = ("upgrade", "deploy/web", "app=repo/app:2")
    cases: dict[tuple[str, ...], str] = {
        ("upgrade",): "TARGET is missing",
        ("upgrade", "web", "app=repo/app:2"): "say which kind 'web' is, such as deploy/web",
        ("upgrade", "unicorn/web", "app=repo/app:2"): "unknown kind 'unicorn'",
        ("upgrade", "job/web", "app=repo/app:2"): "a Job's pods run once",
        ("upgrade", "deploy/We_b", "app=repo/app:2"): "not the name of a Kubernetes object",
        ("upgrade", "deploy/web", "app="): "the image is empty",
        ("upgrade", "deploy/web", "app=repo/APP:2"): "did you mean repo/app:2?",
        ("upgrade", "deploy/web", "app=a:1", "app=b:1"): "has two images",
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
        scene.check_refused(inplace(*words, *nowhere), USAGE, said)
    scene.check_refused(inplace("upgarde"), USAGE, "upgarde")


def test_no_cluster(scene: Scene, inplace: Inplace, tmp_path: Path) -> None:
    good = ("upgrade", "deploy/web", "app=repo/app:2")
    scene.check_refused(inplace(*good, "--server", "https://127.0.0.1:1"), REFUSED, "127.0.0.1:1")
    nothing = {"KUBECONFIG": str(tmp_path / "nothing"), "HOME": str(tmp_path)}
    scene.check_refused(inplace(*good, env=nothing), REFUSED, "no cluster is configured", "KUBECONFIG")
    scene.check_refused(inplace(*good, "--kubeconfig", nothing["KUBECONFIG"]), REFUSED, nothing["KUBECONFIG"])
    broken = tmp_path / "broken"
    broken.write_text("{kind: Config, clusters: 3}")
    scene.check_refused(inplace(*good, env={"KUBECONFIG": str(broken)}), REFUSED)
    scene.check_refused(inplace(*good, "--context", "elsewhere"), REFUSED, "elsewhere")
    scene.check_refused(inplace(*good, "--token", "wrong"), REFUSED)


def test_missing_rights(cluster: Cluster, scene: Scene, inplace: Inplace) -> None:
    """Somebody who may do nothing, a viewer, and users who lack exactly one verb each: all is asked before the first write."""
    scene.web(1, serve=False)
    command = scene.command(app="app:2")
    denied = inplace(*command, token=cluster.viewer_token)
    scene.check_refused(denied, REFUSED, "you may not list pods", f"in namespace {scene.ns}")
    cluster.kubectl("-n", scene.ns, "create", "rolebinding", "viewer", "--clusterrole=view", "--user=viewer")
    until_may_list(cluster, scene, "viewer")
    denied = inplace(*command, token=cluster.viewer_token)
    scene.check_refused(denied, REFUSED, "you may not", "patch pods, pods/status")
    for group, resource, verb in (
        ("", "pods/status", "patch"),
        ("", "services", "watch"),
        ("apps", "replicasets", "create"),
        ("coordination.k8s.io", "leases", "patch"),
    ):
        denied = inplace(*command, token=user_without(cluster, scene, group, resource, verb))
        scene.check_refused(denied, REFUSED, f"you may not {verb} {resource} in namespace {scene.ns}")
    assert scene.our_writes() == []


def test_exactly_the_rights_that_are_asked_for_suffice(cluster: Cluster, scene: Scene, inplace: Inplace) -> None:
    scene.web(1)
    done = inplace(*scene.command("--allow-outage", app="app:2"), token=user_without(cluster, scene))
    assert done.code == 0, done
    scene.check_consistent("app:2", {1: "app:1", 2: "app:2"}, replicas=1)
    scene.check(upgraded=1)
    assert len(scene.our_writes()) > 8, "the check by which the others are judged sees what is written"


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


def user_without(cluster: Cluster, scene: Scene, group: str = "", resource: str = "", verb: str = "") -> str:
    """The token of a new service account that may do all that an upgrade of a Deployment needs, but for one verb."""
    name = f"without-{verb}-{resource.replace('/', '-')}".strip("-")
    allowed = {(g, r): [v for v in verbs if (g, r, v) != (group, resource, verb)] for (g, r), verbs in NEEDED.items()}
    rules = [{"apiGroups": [g], "resources": [r], "verbs": verbs} for (g, r), verbs in allowed.items() if verbs]
    rbac = "rbac.authorization.k8s.io"
    role = {"apiVersion": f"{rbac}/v1", "kind": "Role", "metadata": {"name": name}, "rules": rules}
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": rbac, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": scene.ns}],
    }
    scene.send("POST", f"/api/v1/namespaces/{scene.ns}/serviceaccounts", {"metadata": {"name": name}})
    scene.send("POST", f"/apis/{rbac}/v1/namespaces/{scene.ns}/roles", role)
    scene.send("POST", f"/apis/{rbac}/v1/namespaces/{scene.ns}/rolebindings", binding)
    until_may_list(cluster, scene, f"system:serviceaccount:{scene.ns}:{name}")
    return cluster.kubectl("-n", scene.ns, "create", "token", name).strip()


def until_may_list(cluster: Cluster, scene: Scene, user: str) -> None:
    asked = ("-n", scene.ns, "auth", "can-i", "list", "pods", f"--as={user}")
    scene.until(lambda: "yes" in cluster.kubectl(*asked, check=False), f"the rights of {user}")


def test_a_pod_of_a_job(scene: Scene, inplace: Inplace) -> None:
    scene.send("POST", f"/apis/batch/v1/namespaces/{scene.ns}/jobs", job("once", scene.image("app:1")))
    scene.until(lambda: [condition(p, "ContainersReady") for p in scene.pods()] == ["True"], "its pod runs")
    (name,) = scene.uids()
    scene.witness.mark()
    new = f"app={scene.image('app:2')}"
    for words in ((f"pod/{name}",), ("pods", "-l", "app=once")):
        refused = inplace("upgrade", *words, new)
        scene.check_refused(refused, REFUSED, "managed by Job/once", "a Job's pods run once")
    assert scene.our_writes() == []
