"""One PodDisruptionBudget over several workloads, and as many runs at once: with late caches, lost requests and answers,
processes that die or sleep and are begun again, never do fewer of its pods serve than it asks for; in the end all is done."""

from __future__ import annotations

import random
import signal
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from inplace.kube.protocols import Request
from inplace.sim.objects import kinds
from inplace.sim.objects.store import StoreEvent
from tests.properties.process import is_write
from tests.recorder.log import RECORD, annotation, condition
from tests.scenarios.embedded_cluster import Command, EmbeddedCluster
from tests.scenarios.manifests import GATE, deployment, statefulset
from tests.scenarios.scene import Scene
from tests.simulation.transport import Lost

LONGEST_SECONDS = 3000.0
FAULTS = 30
"""So many in all: in the end the network works."""


class Story:
    """`late_seconds`: at most so old are the caches. `trouble`: how often a process dies or sleeps, and a request is lost."""

    def __init__(self, seed: int, late_seconds: float, trouble: float, folder: Path) -> None:
        self.random = random.Random(seed)
        self.late_seconds, self.trouble, self.faults = late_seconds, trouble, FAULTS
        self.stage = EmbeddedCluster("shop", folder / "recorder.jsonl", seed)
        self.scene = Scene(self.stage)
        self.violations: list[str] = []
        self.wanted: dict[str, int] = {}
        """Workload to its replicas."""
        self.most = 0
        self._build()
        self.stage.cluster.store.listen((kinds.PODS,), self._saw)

    def _build(self) -> None:
        rng, made = self.random, list[Any]()
        for number in range(rng.randint(2, 4)):
            name, replicas = f"w{number}", rng.randint(1, 3)
            build, kind = rng.choice(((statefulset, "sts"), (deployment, "deploy")))
            one: Any = build(name, self.scene.image("app:1"), replicas=replicas)
            one["spec"]["template"]["metadata"]["labels"]["tier"] = "x"
            made.append(one)
            self.wanted[f"{kind}/{name}"] = replicas
        self.count = sum(self.wanted.values())
        self.most = rng.randint(1, max(1, self.count // 2))
        asked: dict[str, Any] = rng.choice(({"maxUnavailable": self.most}, {"minAvailable": self.count - self.most}))
        budget = {
            "apiVersion": "policy/v1",
            "kind": "PodDisruptionBudget",
            "metadata": {"name": "tier"},
            "spec": {**asked, "selector": {"matchLabels": {"tier": "x"}}},
        }
        self.scene.deploy(*made, budget, count=self.count)
        self.stage.let_pass(10)

    def _saw(self, _happened: StoreEvent) -> None:
        pods = [item.obj for item in self.stage.cluster.store.ordered(kinds.PODS)]
        out = [pod["metadata"]["name"] for pod in pods if not _serves(pod)]
        if len(out) > self.most:
            self.violations.append(f"{self.stage.now():.2f}: {', '.join(out)} are out, {self.most} of {self.count} may be")

    def play(self) -> None:
        running = {target: self._begin(target) for target in self.wanted}
        ends_at = self.stage.now() + LONGEST_SECONDS
        while running:
            assert self.stage.now() < ends_at, f"they do not end: {[command.stdout for command in running.values()]}"
            self.stage.let_pass(self.random.uniform(0.5, 3.0))
            for target, command in list(running.items()):
                if command.task.is_over:
                    done = command.wait()
                    del running[target]
                    if done.code != 0:
                        running[target] = self._begin(target)
                elif self.random.random() < 0.05 * self.trouble and self.stage.now() < ends_at - LONGEST_SECONDS / 2:
                    if self.random.random() < 0.5:
                        command.send(signal.SIGKILL)
                    else:
                        command.sleep(self.random.choice((3.0, 11.0, 14.9, 40.0)))

    def _begin(self, target: str) -> Command:
        words = self.scene.command("--max-unavailable", str(self.random.randint(1, 3)), target=target, app="app:2")
        command = self.stage.start(*words)
        assert isinstance(command, Command)
        command.host.watch_seconds = lambda _plural: self.random.uniform(0.0, self.late_seconds)
        command.host.rtt_seconds = lambda: self.random.uniform(0.001, 0.3)
        command.transport.interfere = self._interfere
        return command

    def _interfere(self, request: Request) -> Lost | None:
        """Not the runs' own Leases: on this stage nobody may renew while a save waits to be tried again."""
        if "/leases" in request.path and "/leases/inplace-pdb-" not in request.path:
            return None
        if self.faults <= 0 or not is_write(request) or self.random.random() >= 0.05 * self.trouble:
            return None
        self.faults -= 1
        return Lost(is_performed=self.random.random() < 0.5)

    def check(self) -> None:
        assert not self.violations, self.violations[:3]
        for pod in self.scene.pods():
            assert _serves(pod), pod["metadata"]["name"]
            assert pod["spec"]["containers"][0]["image"] == self.scene.image("app:2")


def _serves(pod: Any) -> bool:
    return condition(pod, "Ready") == "True" and condition(pod, GATE) == "True" and annotation(pod, RECORD) is None


@given(st.integers(0, 2**32), st.sampled_from((0.01, 1.0, 5.0)), st.sampled_from((0.0, 0.5, 1.0)))
def test_a_budget_is_never_overdrawn_by_any_number_of_runs(seed: int, late_seconds: float, trouble: float) -> None:
    with tempfile.TemporaryDirectory() as folder:
        story = Story(seed, late_seconds, trouble, Path(folder))
        try:
            story.play()
            story.check()
        finally:
            story.stage.close()
