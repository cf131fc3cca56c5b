"""A pod in one line: the READY, STATUS and RESTARTS that kubectl's users know, by the rules of the real printer."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any

from inplace.sim.objects.errors import Json

Age = Callable[[str | None, datetime], str]


def pod_cells(pod: Json, now: datetime, age: Age) -> list[Any]:
    spec, status, meta = pod["spec"], pod["status"], pod["metadata"]
    sidecars = {c["name"] for c in spec.get("initContainers") or () if c.get("restartPolicy") == "Always"}
    statuses = status.get("containerStatuses") or []
    inits = [s for s in status.get("initContainerStatuses") or () if s["name"] in sidecars]
    total = len(spec["containers"]) + len(sidecars)
    ready = sum(1 for s in [*statuses, *inits] if s.get("ready") and "running" in s["state"])
    restarts = sum(s.get("restartCount", 0) for s in [*statuses, *inits])
    ended = [e for s in [*statuses, *inits] if (e := s.get("lastState", {}).get("terminated", {}).get("finishedAt"))]
    shown = f"{restarts} ({age(max(ended), now)} ago)" if restarts and ended else str(restarts)
    conditions = {c["type"]: c["status"] for c in status.get("conditions") or ()}
    gates = [g["conditionType"] for g in spec.get("readinessGates") or ()]
    gate_text = f"{sum(conditions.get(g) == 'True' for g in gates)}/{len(gates)}" if gates else "<none>"
    place = [status.get("podIP") or "<none>", spec.get("nodeName") or "<none>", "<none>", gate_text]
    return [meta["name"], f"{ready}/{total}", _reason(pod, sidecars), shown, age(meta.get("creationTimestamp"), now), *place]


def _reason(pod: Json, sidecars: set[str]) -> str:
    status = pod["status"]
    reason = status.get("reason") or status.get("phase", "")
    init = _init_reason(pod, sidecars)
    if init:
        reason = init
    else:
        has_running = False
        for container in reversed(status.get("containerStatuses") or []):
            waiting, terminated = container["state"].get("waiting"), container["state"].get("terminated")
            if waiting and waiting.get("reason"):
                reason = waiting["reason"]
            elif terminated:
                reason = terminated.get("reason") or f"ExitCode:{terminated.get('exitCode', 0)}"
            elif container.get("ready") and "running" in container["state"]:
                has_running = True
        if reason == "Completed" and has_running:
            ready = any(c["type"] == "Ready" and c["status"] == "True" for c in status.get("conditions") or ())
            reason = "Running" if ready else "NotReady"
    if pod["metadata"].get("deletionTimestamp"):
        return "Unknown" if status.get("reason") == "NodeLost" else "Terminating"
    return str(reason)


def _init_reason(pod: Json, sidecars: set[str]) -> str:
    """Where initialisation stands; empty when it is over."""
    statuses = pod["status"].get("initContainerStatuses") or []
    for at, container in enumerate(statuses):
        state = container["state"]
        if "terminated" in state and state["terminated"].get("exitCode") == 0:
            continue
        if container["name"] in sidecars and container.get("started"):
            continue
        if "terminated" in state:
            return f"Init:{state['terminated'].get('reason') or 'Error'}"
        waiting = state.get("waiting", {}).get("reason", "")
        if waiting and waiting != "PodInitializing":
            return f"Init:{waiting}"
        return f"Init:{at}/{len(pod['spec'].get('initContainers') or ())}"
    return ""
