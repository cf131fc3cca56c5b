"""Writes a pod's condition so that exactly one of its type is there afterwards."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from inplace.kube.clock import format_time


def conditions_body(gate: str, is_true: bool, reason: str, message: str, at: datetime) -> list[dict[str, Any]]:
    """`status.conditions` for a strategic merge on `pods/status`; the kubelet's are left alone.

    If there are several conditions of one type, as a JSON Patch that appends leaves them, the kubelet believes the first, and a
    merge changes that one alone: the second would be believed once the first is gone. So all are deleted, and one is added
    (measured, 1.36.3).
    """
    condition = {
        "type": gate,
        "status": str(is_true),
        "reason": reason,
        "message": message,
        "lastTransitionTime": format_time(at),
    }
    return [{"$patch": "delete", "type": gate}, condition]
