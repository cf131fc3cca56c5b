"""Breaks a copy of the product, one rule at a time, and runs the tests on it: exits 1 if they pass on any."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from tests.mutation.catalog import MUTANTS, Mutant

ROOT = Path(__file__).resolve().parents[2]


def main() -> int:
    survivors = [broken.name for broken in MUTANTS if not is_caught(broken)]
    print(f"{len(MUTANTS) - len(survivors)} of {len(MUTANTS)} mutants are caught")
    return 1 if survivors else 0


def is_caught(broken: Mutant) -> bool:
    with tempfile.TemporaryDirectory(prefix="inplace-mutant-") as folder:
        tree = Path(folder)
        for part in ("inplace", "tests", "deploy"):
            shutil.copytree(ROOT / part, tree / part, ignore=shutil.ignore_patterns("__pycache__", ".hypothesis"))
        shutil.copy(ROOT / "pyproject.toml", tree)
        broken.apply(tree)
        # The copy comes first on the path, before the installed project.
        environment = {**os.environ, "PYTHONPATH": str(tree), "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", *broken.tests]
        ran = subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True, check=False)
    found = re.search(r"^(?:FAILED|ERROR) (\S+)", ran.stdout, re.MULTILINE)
    print(f"{broken.name}: {f'caught by {found[1]}' if found else 'SURVIVES'}", flush=True)
    return found is not None and ran.returncode == 1


if __name__ == "__main__":
    sys.exit(main())
