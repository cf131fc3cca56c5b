"""Lists the document that each command prints with `-o json`, as a struct, and generates its JSON Schema."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from inplace.cli.admin.version import Version
from inplace.cli.common.documents import Message, Repaired, Runs, Trails
from inplace.cli.demo.comparison import DemoReport
from inplace.cli.output.plan_report import PlanReport
from inplace.runtime.foreground.target_status import History, TargetStatus
from inplace.runtime.observability.statistics import Summary

DOCUMENTS: Mapping[str, tuple[type, tuple[str, ...]]] = {
    "summary": (Summary, ("upgrade", "undo", "abort", "resume", "promote", "watch")),
    "said": (Message, ("upgrade", "undo", "abort", "resume", "promote", "watch", "undo --dry-run")),
    "plan": (PlanReport, ("plan", "upgrade --dry-run", "undo --dry-run")),
    "status": (TargetStatus, ("status",)),
    "list": (Runs, ("list",)),
    "history": (History, ("history",)),
    "runs": (Trails, ("history --runs",)),
    "repair": (Repaired, ("repair",)),
    "version": (Version, ("version",)),
    "demo": (DemoReport, ("demo",)),
}
"""By schema name: the struct, and the commands that print it."""
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema_of(name: str) -> dict[str, Any]:
    """Returns a JSON Schema. It forbids no keys: existing keys stay, and new ones may be added at any time."""
    kind, commands = DOCUMENTS[name]
    schema = msgspec.json.schema(kind)
    title = ", ".join(f"inplace {command}" for command in commands)
    return {"$schema": DIALECT, "title": f"{name}: {title}", **schema}
