"""Makes text from the cluster safe to show: the only sanitiser.

Anyone who may write an object writes its reasons and image names, and a terminal obeys what it is sent: titles,
hyperlinks and the clipboard (OSC 0, 8, 52), the cursor (CSI, CR), the order of letters (bidi). Whatever does not print, C0, C1
and every format character included, is shown escaped instead; what prints is left alone.
"""

from __future__ import annotations

from collections.abc import Iterable


def safe(text: str) -> str:
    """Returns one line with nothing in it that a terminal would obey: `\\x1b` becomes those four letters."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)


def cut(text: str, width: int) -> str:
    """Cuts to `width` characters, and keeps the end, which tells the pods of one workload apart."""
    if len(text) <= width:
        return text
    return "…" + text[len(text) - width + 1 :] if width > 1 else text[:width]


def shortened(text: str, width: int) -> str:
    """Cuts to `width` characters, and keeps the beginning, which says what a sentence is about."""
    return text if len(text) <= width else text[: max(0, width - 1)] + "…"


def plural(count: int, noun: str) -> str:
    """Returns `1 pod`, `3 pods`."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def labelled(hints: Iterable[tuple[str, str]]) -> list[str]:
    """Returns one line per hint, `promote with:  COMMAND`, with aligned commands."""
    rows = list(hints)
    width = max((len(label) for label, _ in rows), default=0) + len(":  ")
    return [f"{label}:".ljust(width) + command for label, command in rows]


def counts_text(arrived: str, in_flight: int, failed: int, unavailable: int) -> str:
    """`2 of 3 pods updated, 1 in flight, 1 failed, 1 unavailable`: the same in every view. `arrived`: its beginning."""
    return ", ".join(
        [arrived, f"{in_flight} in flight", *([f"{failed} failed"] if failed else []), f"{unavailable} unavailable"]
    )


GATE_WORDS = {"Open": "open", "Closed": "closed", "Missing": "not opened yet", "Absent": "no gate"}


def gate_text(state: str) -> str:
    """Describes the state of a gate to a user who may not know our terms; JSON prints `GateState` instead."""
    return GATE_WORDS.get(state, state)


def images_text(images: dict[str, str]) -> str:
    return " ".join(f"{name}={image}" for name, image in sorted(images.items()))
