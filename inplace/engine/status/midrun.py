"""How a workload stands in the middle of a run, in words: what holds its pods back and whose that is, and what a pod that dies
now comes back as. True also when no process of ours is alive.
"""

from __future__ import annotations

from inplace.engine.runs.lifecycle import overtaken
from inplace.engine.snapshot import DaemonSetTarget, DeploymentTarget, PodsTarget, ReplicaSetTarget, Snapshot, StatefulSetTarget
from inplace.engine.workloads import workload
from inplace.engine.workloads.template_first import PARTITION_ABOVE_ALL
from inplace.engine.workloads.templates import images_of
from inplace.model.objects.workloads import DaemonSet, Deployment, StatefulSet
from inplace.model.run import Run

NOBODY_REPLACES = "no controller replaces a pod by itself"


def describe_midrun(observed: Snapshot, run: Run) -> tuple[str, ...]:
    """Of an open run; nothing for one that is over."""
    if not run.is_unfinished:
        return ()
    over = overtaken(run, observed)
    if over is not None:
        return (f"somebody else has changed it since ({over.why}): `inplace upgrade` starts from what is there then",)
    match observed.target:
        case DeploymentTarget(deployment=deployment) if deployment is not None:
            return _of_deployment(deployment, run)
        case StatefulSetTarget(stateful_set=stateful_set) if stateful_set is not None:
            return _of_stateful_set(observed, stateful_set, run)
        case DaemonSetTarget(daemon_set=daemon_set) if daemon_set is not None:
            return _of_daemon_set(daemon_set, run)
        case ReplicaSetTarget(replica_set=rs) if rs is not None:
            return (f"a pod recreated now starts with {_images(rs.spec.template, run)}",)
        case PodsTarget():
            return ("a pod deleted now does not come back: nothing manages it",)
        case _:
            return ()


def _of_deployment(deployment: Deployment, run: Run) -> tuple[str, ...]:
    if run.commit is not None:
        paused = "paused by the run while its templates change; " if deployment.spec.paused and not run.commit.paused else ""
        return (f"{paused}its commit has begun and is not finished: finish it with `inplace resume` or `inplace repair`",)
    lines = ["paused by its owner, and stays paused"] if deployment.spec.paused else []
    before = " ".join(f"{name}={image}" for name, image in sorted(run.from_images.items()))
    recreated = "so a pod recreated now starts with that"
    return (*lines, f"its template still says {before} (it is changed last), {recreated}; {NOBODY_REPLACES}")


def _of_stateful_set(observed: Snapshot, stateful_set: StatefulSet, run: Run) -> tuple[str, ...]:
    now, own = stateful_set.spec.update_strategy, run.saved_strategy
    new = _images(stateful_set.spec.template, run)
    if own is None or now == own:
        if now.get("type") == "OnDelete":
            return (f"updateStrategy OnDelete, its owner's: a pod recreated now starts with {new}; {NOBODY_REPLACES}",)
        return ("its updateStrategy is its owner's own",)
    partition, ordinal = workload.partition_of(now), workload.partition_of(now) + stateful_set.first_ordinal
    number, becomes = str(partition), f"with {new} from ordinal {ordinal} on, and below with what it ran before"
    if partition >= workload.desired_replicas(observed):
        number, becomes = "above every pod" if partition == PARTITION_ABOVE_ALL else number, "with what it ran before"
    whose = f"set by the run (its owner's: {workload.partition_of(own)})"
    return (f"partition {number}, {whose}: a pod recreated now starts {becomes}; {NOBODY_REPLACES}",)


def _of_daemon_set(daemon_set: DaemonSet, run: Run) -> tuple[str, ...]:
    now, own = daemon_set.spec.update_strategy, run.saved_strategy
    new = _images(daemon_set.spec.template, run)
    if now.get("type") != "OnDelete":
        return ("its updateStrategy is its owner's own",)
    whose = "its owner's" if own is None or now == own else f"set by the run (its owner's: {own.get('type', 'RollingUpdate')})"
    return (f"updateStrategy OnDelete, {whose}: a pod recreated now starts with {new}; {NOBODY_REPLACES}",)


def _images(template: dict[str, object], run: Run) -> str:
    """Of the containers that the run is about."""
    have = images_of(template)
    return " ".join(f"{name}={have[name]}" for name in sorted(run.images) if name in have)
