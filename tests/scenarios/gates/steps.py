"""What scenarios do with `inplace gate run`: start it, label pods, and look at the gate."""

from __future__ import annotations

import json

from tests.recorder import Object
from tests.recorder.log import HOLDS, condition
from tests.scenarios.cluster_under_test import Running
from tests.scenarios.manifests import pod
from tests.scenarios.scene import Scene

GATE, LABEL = "www.example.com/feature-1", "example"
RESYNC_SECONDS = 1


def start(scene: Scene, *options: str) -> Running:
    return scene.run_gates(GATE, LABEL, "--resync", f"{RESYNC_SECONDS}s", *options)


def changes(*controllers: Running) -> list[Object]:
    lines = [json.loads(line) for each in controllers for line in each.stdout.splitlines()]
    return [line for line in lines if line["event"] not in ("watching pods", "standing by")]


def make_pod(scene: Scene, name: str, **labels: str) -> Object:
    made = pod(name, scene.image("app:1"), gate=GATE)
    return {**made, "metadata": {**made["metadata"], "labels": labels}}


def gate_of(scene: Scene, name: str) -> str | None:
    return condition(scene.get(f"pod/{name}"), GATE)


def holds_of(scene: Scene, name: str) -> dict[str, str]:
    annotations = scene.get(f"pod/{name}")["metadata"].get("annotations", {})
    held: dict[str, str] = json.loads(annotations.get(HOLDS, "{}"))
    return held


def until_gate(scene: Scene, name: str, status: str, seconds: float = 10) -> None:
    scene.until(lambda: gate_of(scene, name) == status, f"the gate of {name} {status}", seconds)


def until_ready(scene: Scene, name: str) -> None:
    scene.until(lambda: condition(scene.get(f"pod/{name}"), "Ready") == "True", f"{name} Ready", 60)


def let_pass(scene: Scene, resyncs: int) -> None:
    scene.stage.let_pass((resyncs + 0.5) * RESYNC_SECONDS)


def label(scene: Scene, name: str, value: str) -> None:
    scene.label(f"pod/{name}", **{LABEL: value})
