"""Words about workloads that several messages share: who owns an object, what holds pods back, which images a template has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from inplace.engine.workloads.templates import images_of
from inplace.model.objects.meta import OwnerReference
from inplace.model.run import Run

NOBODY_REPLACES = "no controller replaces a pod by itself"


def describe_images(template: Mapping[str, Any], run: Run) -> str:
    """Those of the containers that the run upgrades."""
    have = images_of(template)
    return " ".join(f"{name}={have[name]}" for name in sorted(run.images) if name in have)


def describe_strategy(strategy: Mapping[str, Any]) -> str:
    parameters = ", ".join(f"{name} {value}" for name, value in sorted((strategy.get("rollingUpdate") or {}).items()))
    return f"{strategy.get('type')}" + (f" with {parameters}" if parameters else "")


def owned_by(what: str, owner: OwnerReference) -> str:
    """Says why an object with a controller is not upgraded by itself, and which is the right tool."""
    return f"{what} is managed by {owner.kind}/{owner.name}, which would undo or repeat the change: {_tool(owner)}"


def _tool(owner: OwnerReference) -> str:
    kind, name = owner.kind, owner.name
    if owner.api_version.startswith("apps.kruise.io/"):
        return f"OpenKruise upgrades it in place itself; change the image in {kind}/{name}"
    match kind:
        case "ReplicaSet":
            return f"upgrade its Deployment, or rs/{name} if it has none"
        case "Deployment":
            return f"upgrade deploy/{name}"
        case "Job" | "CronJob":
            return "a Job's pods run once; change the Job"
        case "StatefulSet":
            return f"upgrade sts/{name}"
        case "DaemonSet":
            return f"upgrade ds/{name}"
        case "Rollout":
            return "Argo Rollouts manages it; change the image there"
        case _:
            return f"change the image in {kind}/{name}"
