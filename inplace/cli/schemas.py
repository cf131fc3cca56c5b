"""Which document each command gives with `-o json`, as the struct that it is made of: its JSON Schema follows from that."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.cli.admin.version import Version
from inplace.cli.common.documents import Repaired, Runs, Said, Trails
from inplace.cli.demo.comparison import DemoReport
from inplace.cli.output.plan_report import PlanReport
from inplace.runtime.foreground.target_status import History, TargetStatus
from inplace.runtime.observability.statistics import Summary

DOCUMENTS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "summary": (Summary, ("upgrade", "undo", "abort", "resume", "promote", "watch")),
    "said": (Said, ("upgrade", "undo", "abort", "resume", "promote", "watch", "undo --dry-run")),
    "plan": (PlanReport, ("plan", "upgrade --dry-run", "undo --dry-run")),
    "status": (TargetStatus, ("status",)),
    "list": (Runs, ("list",)),
    "history": (History, ("history",)),
    "runs": (Trails, ("history --runs",)),
    "repair": (Repaired, ("repair",)),
    "version": (Version, ("version",)),
    "demo": (DemoReport, ("demo",)),
}
"""By the name of the schema: the struct, and the commands that give it."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    """JSON Schema. Keys that exist stay; new ones may come at any time, so it forbids none."""
    kind, commands = DOCUMENTS[name]
    made = msgspec.json.schema(kind)
    said = ", ".join(f"inplace {command}" for command in commands)
    return {"$schema": DIALECT, "title": f"{name}: {said}", **made}
