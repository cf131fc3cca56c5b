"""docs/controller.md says what there is: every metric with its labels, every reason, every field of the file."""

from __future__ import annotations

import re
from pathlib import Path
from typing import get_args

import msgspec
from prometheus_client import ProcessCollector

from inplace.cli.admin.controller import controller
from inplace.cli.common.connection import CONNECTION_OPTIONS
from inplace.runtime.observability.event_reasons import Reason
from inplace.runtime.observability.metrics import Metrics
from inplace.runtime.settings import Settings, parse_settings

TEXT = (Path(__file__).parents[3] / "docs/controller.md").read_text()


def rows(section: str) -> list[list[str]]:
    """The cells of the table in that section, without its head."""
    part = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in part.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in line.strip("|").split("|")] for line in lines]


def test_every_metric_is_described_with_its_labels() -> None:
    told = {(row[0].removesuffix("_total"), row[1]) for row in rows("Metrics")}
    all_of_them = Metrics().registry._names_to_collectors.values()
    known = [each for each in all_of_them if not isinstance(each, ProcessCollector)]
    assert told == {(each._name, ", ".join(each._labelnames)) for each in known}  # type: ignore[attr-defined]


def test_every_reason_is_described() -> None:
    assert sorted(row[0] for row in rows("Events")) == sorted(get_args(Reason))


def test_every_flag_is_described() -> None:
    """But those of the connection, which all commands have."""
    of_all = [["--debug"], *(list(flags) for _, flags, _ in CONNECTION_OPTIONS)]
    told = " ".join(cell for row in rows("Flags and file") for cell in row)
    own = [option.opts for option in controller.params if option.opts not in of_all]
    assert [names for names in own if not any(re.search(rf"(?<![\w-]){name}\b", told) for name in names)] == []


def test_every_field_is_described_and_the_example_is_right() -> None:
    named = {row[1].partition(".")[0] for row in rows("Flags and file") if row[1]}
    assert named == {field.encode_name for field in msgspec.structs.fields(Settings)}
    example = re.findall(r"```yaml\n(.*?)```", TEXT, re.DOTALL)
    assert [parse_settings(text).namespaces for text in example] == [("shop", "stock")]
