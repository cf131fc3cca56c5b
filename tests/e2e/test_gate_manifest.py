"""deploy/gate.yaml as it is shipped: two pods of its own image with the manifest's rights open the gates of new pods."""

from __future__ import annotations

import json
import re
from pathlib import Path

from tests.cluster import Cluster
from tests.scenarios.manifests import deployment
from tests.scenarios.scene import WEB, Scene

MANIFEST = Path(__file__).parents[2] / "deploy/gate.yaml"


def test_gates_of_new_pods_are_opened_and_the_openers_seen(cluster: Cluster, scene: Scene, program: str) -> None:
    manifest = re.sub(r"image: inplace:\S+", f"image: {program}", MANIFEST.read_text())
    cluster.kubectl("-n", scene.ns, "apply", "-f-", input=manifest)
    cluster.kubectl("-n", scene.ns, "rollout", "status", "deployment/inplace-gate", "--timeout=120s")
    scene.create(deployment("web", scene.image("app:1"), replicas=2))
    scene.until(lambda: len(scene.pods("app=web")) == 2, "two new pods", 60)
    scene.until_all_serve("app=web")
    stands = json.loads(scene.inplace("status", WEB, "-o", "json").stdout)["newPods"]
    assert (stands["opener"], stands["waiting"]) == ("Opens", [])
    assert re.match(r"inplace gate run inplace-gate-\S+ \(Lease \S+/inplace-gate\)", stands["by"]), stands
    lines = cluster.kubectl("-n", scene.ns, "logs", "-l", "app.kubernetes.io/component=gate", "--tail=-1")
    assert "gate opened" in lines
    assert "you may not" not in lines
