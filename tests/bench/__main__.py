"""`make bench`: what a pass costs as fleets grow, what a cache weighs, what `--help` takes. Exits 1 beyond a bound."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median

from inplace.engine.planning.plan import PlanContext
from inplace.engine.planning.planner import plan
from inplace.engine.pods.evidence import update_evidence
from inplace.engine.snapshot import DeploymentTarget, EndpointEntry, Snapshot, observe_pod
from inplace.model.objects.meta import ObjectMeta, OwnerReference
from inplace.model.objects.pods import Container, ContainerStatus, Pod, PodCondition, PodSpec, PodStatus, ReadinessGate
from inplace.model.objects.workloads import Deployment, DeploymentSpec, ReplicaSet, ReplicaSetSpec
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions

GATE = "inplace.dev/ready"
TEMPLATE = {"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}}


def observed(count: int) -> Snapshot:
    """A Deployment of `count` ready pods behind one Service, seen for a minute."""
    owner = OwnerReference(kind="ReplicaSet", name="web-1", uid="rs", controller=True)
    ready = tuple(PodCondition(type=t, status="True") for t in ("Ready", "ContainersReady", GATE))
    facts = []
    for i in range(count):
        meta = ObjectMeta(name=f"web-{i:05}", namespace="shop", uid=f"uid-{i}", resource_version="7", owner_references=(owner,))
        spec = PodSpec((Container("app", "app:1"),), None, (ReadinessGate(GATE),), f"node-{i % 50}")
        status = PodStatus("Running", 1, f"10.0.{i // 250}.{i % 250}", None, ready, (ContainerStatus("app", container_id="c"),))
        facts.append(observe_pod(Pod(meta, spec, status), (EndpointEntry("web", True, 5),)))
    live = ReplicaSet(ObjectMeta(name="web-1", uid="rs"), ReplicaSetSpec(template=TEMPLATE, replicas=count))
    deployment = Deployment(ObjectMeta(name="web", uid="d"), DeploymentSpec(template=TEMPLATE, replicas=count))
    evidence = {f.pod.uid: update_evidence(None, f, frozenset(), 0.0) for f in facts}
    return Snapshot(DeploymentTarget(deployment, (live,)), tuple(facts), evidence=evidence)


def seconds_of(act: Callable[[], object], rounds: int) -> list[float]:
    times = []
    for _ in range(rounds):
        began = time.perf_counter()
        act()
        times.append(time.perf_counter() - began)
    return times


def pass_ratio() -> float:
    """A pass over 10,000 pods, in passes over 100; 25 slots in both. The quickest of each: what is slower was disturbed."""
    target, options = TargetRef("Deployment", "shop", "web"), RunOptions(max_unavailable=25)
    run = Run(id="r", target=target, images={"app": "app:2"}, from_images={"app": "app:1"}, options=options)
    few, many = observed(100), observed(10_000)
    small, large = 1.0, 1.0
    for _ in range(10):
        small = min(small, *seconds_of(lambda: plan(few, PlanContext("lease"), run, 60.0), 50))
        large = min(large, *seconds_of(lambda: plan(many, PlanContext("lease"), run, 60.0), 2))
    print(f"a pass over 100 pods: {small * 1000:.2f} ms; over 10,000: {large * 1000:.0f} ms")
    return large / small


def megabytes_of_cache() -> float:
    """Peak resident memory of a process that lists and watches 10,000 pods as a run does."""
    script = Path(__file__).with_name("memory.py")
    return float(subprocess.run([sys.executable, script], check=True, capture_output=True, text=True).stdout)


def help_seconds() -> float:
    command = [str(Path(sys.executable).with_name("inplace")), "--help"]
    return median(seconds_of(lambda: subprocess.run(command, check=True, capture_output=True), 7))


def main() -> int:
    rows = [
        ("a pass over 10,000 pods, in passes over 100", pass_ratio(), 120.0, "x"),
        ("peak memory with 10,000 pods cached", megabytes_of_cache(), 250.0, " MB"),
        ("inplace --help, median of 7", help_seconds(), 0.3, " s"),
    ]
    bad = 0
    for what, value, bound, unit in rows:
        verdict = "ok" if value <= bound else "OVER"
        bad += value > bound
        print(f"{what}: {value:.2f}{unit} (at most {bound:g}{unit}) {verdict}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
