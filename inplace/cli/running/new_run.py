"""Builds the run that a command requests, before it is known whether the target already has a run."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec

from inplace.cli.common.context import ClusterContext
from inplace.kube.clock import format_time
from inplace.model.refs import TargetRef
from inplace.model.run import Run, RunOptions


def new_run(cluster: ClusterContext, target: TargetRef, images: dict[str, str], overrides: dict[str, Any]) -> Run:
    """`images` by container; without any, the run brings the pods to their template. `overrides`: fields of `RunOptions`."""
    return Run(
        id=uuid.uuid4().hex[:12],
        target=msgspec.structs.replace(target, namespace=cluster.namespace),
        images=images,
        adopts_template=not images,
        options=msgspec.structs.replace(RunOptions(), **overrides),
        created_by=cluster.caller.by,
        client=cluster.caller.client,
        started_at=format_time(cluster.api.clock.utcnow()),
    )
