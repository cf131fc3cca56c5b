"""The catalog of mutants fits the source as it is; `make breaks` sees that the tests notice each."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.mutation.catalog import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


@pytest.mark.parametrize("broken", MUTANTS, ids=lambda broken: broken.name)
def test_a_mutant_applies_and_names_tests_that_exist(broken: Mutant, tmp_path: Path) -> None:
    copy = tmp_path / broken.file
    copy.parent.mkdir(parents=True)
    shutil.copy(ROOT / broken.file, copy)
    broken.apply(tmp_path)
    assert copy.read_text() != (ROOT / broken.file).read_text()
    compile(copy.read_text(), broken.file, "exec")
    assert all((ROOT / path).is_file() for path in broken.tests)
