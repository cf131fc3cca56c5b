"""What documents and comments point at exists: paths and names of the code, and sections of the design."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = ("CONTRIBUTING.md", "docs/architecture.md", "docs/design.md", "docs/proof.md", "docs/security.md")
PATH = re.compile(r"`((?:inplace|tests|docs|deploy|examples)/[^`\s*]*?)(?:::?([A-Za-z_][\w.]*))?`")
CLASS = re.compile(r"\b[A-Z][a-z]+(?:[A-Z][a-z]+)+\b")
QUOTE = re.compile(r"^ *```python\n(.*?)^ *```", re.M | re.S)
CITED = re.compile(r"\(?design, sections? (\d+)(?: and (\d+))?")


@pytest.mark.parametrize("page", PAGES)
def test_paths_exist(page: str) -> None:
    """`path` is a file or a folder; `path:Name` defines that class, function, method or constant."""
    paths = PATH.findall((ROOT / page).read_text())
    assert paths, "the pattern matches nothing"
    missing = [path for path, _ in paths if not (ROOT / path).exists()]
    assert missing == []
    undefined = [f"{path}:{name}" for path, name in paths if name and not _defines(ROOT / path, name)]
    assert undefined == []


def _defines(path: Path, dotted: str) -> bool:
    text = path.read_text()
    return all(re.search(rf"^ *(?:def|class) {name}\b|^ *{name}\b.*[:=]", text, re.M) for name in dotted.split("."))


def source() -> str:
    return "\n".join(path.read_text() for path in sorted((ROOT / "inplace").rglob("*.py")))


def test_names_in_the_architecture_exist() -> None:
    """Its pictures name classes, which have no path beside them."""
    words = set(CLASS.findall((ROOT / "docs/architecture.md").read_text()))
    assert "SnapshotBuilder" in words, "the pattern matches nothing"
    assert sorted(words - set(CLASS.findall(source()))) == []


def test_code_that_is_quoted_exists() -> None:
    quotes = QUOTE.findall((ROOT / "CONTRIBUTING.md").read_text())
    lines = [line.strip() for quote in quotes for line in quote.splitlines()]
    assert lines, "the pattern matches nothing"
    text = source()
    assert [line for line in lines if line not in text] == []


def test_cited_sections_of_the_design_exist() -> None:
    sections = set(re.findall(r"^## (\d+)\.", (ROOT / "docs/design.md").read_text(), re.M))
    cited = {
        (number, str(path.relative_to(ROOT)))
        for folder in ("inplace", "tests")
        for path in sorted((ROOT / folder).rglob("*.py"))
        for numbers in CITED.findall(" ".join(path.read_text().split()))
        for number in filter(None, numbers)
    }
    assert len(cited) > 10, "the pattern matches nothing"
    assert sorted(where for number, where in cited if number not in sections) == []
