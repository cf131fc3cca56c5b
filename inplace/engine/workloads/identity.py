"""Whether a target is still what a run was begun on: the same object, and the same ReplicaSet or template under its pods.

A Deployment's run keeps its ReplicaSet from the first pod to the end, and its own commit alone raises that one's revision. Of a
StatefulSet, a DaemonSet or a ReplicaSet a run changes the images in the template and nothing else, so whatever else differs is
another's doing, even once every pod carries it. Runs that were stored before these were kept are not judged by them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.snapshot import DeploymentTarget, Snapshot
from inplace.engine.workloads import workload
from inplace.engine.workloads.template_last import active_replica_set
from inplace.engine.workloads.templates import fingerprint, images_of
from inplace.model.objects.workloads import ReplicaSet
from inplace.model.run import Run


def marked(run: Run, observed: Snapshot) -> Run:
    """A new run with what its target is to be known by again."""
    found = workload.workload_of(observed)
    live = active_replica_set(observed.target) if isinstance(observed.target, DeploymentTarget) else None
    return msgspec.structs.replace(
        run,
        target_uid=workload.uid_of(observed),
        live_uid=live.metadata.uid if live is not None else "",
        live_revision=live.revision if live is not None else 0,
        template=fingerprint(found.spec.template) if found is not None else "",
    )


def is_another(observed: Snapshot, run: Run) -> bool:
    """Whether the target is not the object that the run was begun on, but one of the same name."""
    found = workload.workload_of(observed)
    return found is not None and bool(run.target_uid) and found.metadata.uid != run.target_uid


def rolled_out_since(live: ReplicaSet, run: Run) -> str:
    """In words, where this ReplicaSet has the pods of a Deployment now; empty where it had them when the run was begun."""
    is_same = live.metadata.uid == run.live_uid and (run.commit is not None or live.revision == run.live_revision)
    if not run.live_uid or is_same:
        return ""
    have = images_of(live.spec.template)
    images = ", ".join(f"{name}={have[name]}" for name in sorted(run.requested_images) if name in have)
    return f"somebody rolled out {images} since the run was begun (ReplicaSet {live.metadata.name}, revision {live.revision})"


def edited_since(template: Mapping[str, Any], run: Run) -> str:
    """In words, where a template differs in more than images from the one that the run was begun on; else empty."""
    is_same = not run.template or fingerprint(template) == run.template
    return "" if is_same else f"the template of {run.target} was edited, in more than images, since the run was begun"
