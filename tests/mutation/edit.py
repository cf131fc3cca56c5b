"""One deliberate break: an exact edit of the product, and the tests that must notice it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Mutant:
    """`old` stands exactly once in `file`; `tests` are paths for pytest, the most telling first."""

    name: str
    file: str
    old: str
    new: str
    tests: tuple[str, ...]

    def apply(self, tree: Path) -> None:
        path = tree / self.file
        text = path.read_text()
        count = text.count(self.old)
        if count != 1:
            raise ValueError(f"{self.name}: the text to be broken stands {count} times in {self.file}")
        path.write_text(text.replace(self.old, self.new))
