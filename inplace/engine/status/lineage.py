"""Of which ReplicaSet, or of which revision, a pod is: the level between a workload and its pods, for people."""

from __future__ import annotations

import msgspec

from inplace.engine.snapshot import DaemonSetTarget, DeploymentTarget, PodsTarget, ReplicaSetTarget, StatefulSetTarget, Target
from inplace.model.objects.pods import Pod
from inplace.model.objects.workloads import CONTROLLER_REVISION_HASH


class Lineage(msgspec.Struct, frozen=True):
    """`owner`: `rs/web-5f55fd76bb`, or the name of a ControllerRevision; empty where there is none between. `revision`: its
    number; 0 where that is not known."""

    owner: str = ""
    revision: int = 0


def lineage_of(pod: Pod, target: Target) -> Lineage:
    match target:
        case DeploymentTarget(replica_sets=replica_sets):
            controller = pod.metadata.controller()
            if controller is None:
                return Lineage()
            number = next((rs.revision for rs in replica_sets if rs.metadata.uid == controller.uid), 0)
            return Lineage(f"rs/{controller.name}", number)
        case StatefulSetTarget(revisions=revisions) | DaemonSetTarget(revisions=revisions):
            said = pod.metadata.label(CONTROLLER_REVISION_HASH) or ""
            for revision in revisions:
                # A StatefulSet's pods say its name, a DaemonSet's its hash.
                if said in (revision.metadata.name, revision.metadata.label(CONTROLLER_REVISION_HASH)):
                    return Lineage(revision.metadata.name, revision.revision)
            return Lineage(said)
        case ReplicaSetTarget() | PodsTarget():
            return Lineage()
