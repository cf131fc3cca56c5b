"""What people do to a Deployment with kubectl goes on after an upgrade: it takes the real kubectl to say so."""

import json

from tests.cluster import Cluster
from tests.scenarios.manifests import deployment, service
from tests.scenarios.scene import WEB, Scene


def test_history_status_and_undo(cluster: Cluster, scene: Scene) -> None:
    scene.web(2)
    scene.upgrade("--max-unavailable", "2", app="app:2")

    def kubectl(*args: str) -> str:
        return cluster.kubectl("-n", scene.ns, *args)

    def image_at(revision: int) -> str:
        told = kubectl("rollout", "history", WEB, f"--revision={revision}").split()
        return told[told.index("Image:") + 1]

    revisions = [int(line.split()[0]) for line in kubectl("rollout", "history", WEB).splitlines() if line[:1].isdigit()]
    assert {n: image_at(n) for n in revisions} == {1: scene.image("app:1"), 2: scene.image("app:2")}
    assert "successfully rolled out" in kubectl("rollout", "status", WEB, "--timeout=5s")
    scene.check_same_pods()

    scene.run_gates()
    kubectl("rollout", "undo", WEB)
    kubectl("rollout", "status", WEB, "--timeout=120s")
    scene.until_rolled_out()
    scene.check_runs(2, app="app:1")
    assert scene.history() == {2: "app:2", 3: "app:1"}


def test_applied_by_the_client(cluster: Cluster, scene: Scene) -> None:
    """`kubectl apply` of the manifest with the new image finds nothing to do."""

    def apply(ref: str) -> str:
        manifest = json.dumps(deployment("web", scene.image(ref), replicas=2))
        return cluster.kubectl("-n", scene.ns, "apply", "-f-", input=manifest)

    apply("app:1")
    scene.until(lambda: len(scene.pods()) == 2, "pods")
    scene.deploy(service("web"), count=2)
    scene.upgrade("--max-unavailable", "2", app="app:2")
    apply("app:2")
    scene.check_quiet()
    scene.check_same_pods()
    scene.check_runs(2, app="app:2")
