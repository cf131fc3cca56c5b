"""Whether a target is still what a run started on: the same object, and the same ReplicaSet or template under its pods.

A Deployment's run keeps its ReplicaSet from the first pod to the end, and only its own commit raises the revision of that one.
In a StatefulSet, a DaemonSet or a ReplicaSet a run changes nothing but images in the template, so whatever else differs was
changed by somebody else, even once every pod carries it. Runs stored before these marks existed are not held to them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.engine.snapshot import Snapshot
from inplace.engine.workloads.templates import fingerprint, images_of
from inplace.model.objects.workloads import ReplicaSet, Workload
from inplace.model.run import Run


def identified(run: Run, workload: Workload | None, live: ReplicaSet | None = None) -> Run:
    """A new run with the marks by which its target is recognised. `live`: the ReplicaSet that has a Deployment's pods."""
    return msgspec.structs.replace(
        run,
        target_uid=workload.metadata.uid if workload is not None else "",
        live_uid=live.metadata.uid if live is not None else "",
        live_revision=live.revision if live is not None else 0,
        template=fingerprint(workload.spec.template) if workload is not None else "",
    )


def is_another(snapshot: Snapshot, run: Run) -> bool:
    """Whether the target is not the object that the run started on, but another of the same name."""
    found = snapshot.target.workload
    return found is not None and bool(run.target_uid) and found.metadata.uid != run.target_uid


def rolled_out_since(live: ReplicaSet, run: Run) -> str:
    """Says so where this ReplicaSet has a Deployment's pods now and had not when the run started; empty: it had."""
    is_same = live.metadata.uid == run.live_uid and (run.commit is not None or live.revision == run.live_revision)
    if not run.live_uid or is_same:
        return ""
    have = images_of(live.spec.template)
    images = ", ".join(f"{name}={have[name]}" for name in sorted(run.requested_images) if name in have)
    return f"somebody rolled out {images} since the run was begun (ReplicaSet {live.metadata.name}, revision {live.revision})"


def edited_since(template: Mapping[str, Any], run: Run) -> str:
    """Says so where a template differs in more than images from the one that the run started with; else empty."""
    is_same = not run.template or fingerprint(template) == run.template
    return "" if is_same else f"the template of {run.target} was edited, in more than images, since the run was begun"
