"""Rules of the house for tests: names that one can search for, and helpers that live in modules of their own."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[1]
FILES = sorted(path for path in TESTS.rglob("test_*.py") if "cli" not in path.relative_to(TESTS).parts)
MAX_NAME_LENGTH = 60
LEANS_ON_ANOTHER = ("test_and_", "test_but_", "test_nor_", "test_so_", "test_then_", "test_also_")
"""Such a name says something only below the test that stands before it: in a report it stands alone."""


def names(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef) and node.name.startswith("test"):
            yield node.name


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            module = "." * node.level + (node.module or "")
            yield from (f"{module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def problems(path: Path) -> list[str]:
    found = [f"{name} is longer than {MAX_NAME_LENGTH} characters" for name in names(path) if len(name) > MAX_NAME_LENGTH]
    found += [f"{name} leans on the test before it" for name in names(path) if name.startswith(LEANS_ON_ANOTHER)]
    found += [
        f"imports {module}: helpers of several test files belong into a module of their own"
        for module in imports(path)
        if any(part.startswith("test_") for part in module.split("."))
    ]
    return found


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(TESTS)))
def test_names_stand_alone_and_no_test_file_is_imported(path: Path) -> None:
    assert problems(path) == []


def test_each_rule_can_fail(tmp_path: Path) -> None:
    path = tmp_path / "test_bad.py"
    long = "test_" + "x" * MAX_NAME_LENGTH
    path.write_text(f"from tests.unit.test_other import x\ndef {long}(): ...\nclass TestIt:\n    def test_but_not(self): ...\n")
    assert [problem.split()[0] for problem in problems(path)] == [long, "test_but_not", "imports"]
