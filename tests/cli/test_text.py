"""Nothing that comes from the cluster may speak to the terminal."""

import json

import pytest

from inplace.cli.output import streams
from inplace.cli.output.text import cut, plural, safe

HOSTILE = {
    "\x1b]52;c;cm0gLXJmIC8=\x07": r"\x1b]52;c;cm0gLXJmIC8=\x07",
    "\x1b]8;;http://evil\x1b\\ok\x1b]8;;\x1b\\": r"\x1b]8;;http://evil\x1b\ok\x1b]8;;\x1b" + "\\",
    "\x1b[2J\x1b[1;1H": r"\x1b[2J\x1b[1;1H",
    "done\rfailed": r"done\rfailed",
    "two\nlines\tand a tab": r"two\nlines\tand a tab",
    "\x9b31mred": r"\x9b31mred",
    "gnp\u202egpj.exe": r"gnp\u202egpj.exe",
    "\u2066a\u2069\u200f\u061c": r"\u2066a\u2069\u200f\u061c",
    "zero\u200bwidth\ufeff": r"zero\u200bwidth\ufeff",
    "\u2028line\u2029": r"\u2028line\u2029",
    "tag\U000e0041": r"tag\U000e0041",
    "half \ud800": r"half \ud800",
    "bell\x07 back\x08 del\x7f nul\x00": r"bell\x07 back\x08 del\x7f nul\x00",
}


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_what_does_not_print_is_shown_escaped(text: str) -> None:
    assert safe(text) == HOSTILE[text]
    assert safe(text).isprintable()


@pytest.mark.parametrize("text", ["", "pod/web-1 is Ready", "größer 漢字 🚀", "[bold red]no markup[/]", "a=b | c"])
def test_what_prints_is_left_alone(text: str) -> None:
    assert safe(text) == text


@pytest.mark.parametrize("text", HOSTILE, ids=ascii)
def test_every_way_of_printing_is_safe(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    streams.data(text)
    streams.note(text)
    streams.lines([text])
    streams.lines(streams.table(("A",), [(text,)]))
    streams.as_json({"text": text})
    printed = capsys.readouterr()
    assert all(line.isprintable() for line in (printed.out + printed.err).split("\n"))


def test_json_says_what_the_cluster_said(capsys: pytest.CaptureFixture[str]) -> None:
    streams.as_json({"text": "a\x1b\x7f\u202eb"})
    assert json.loads(capsys.readouterr().out) == {"text": "a\x1b\x7f\u202eb"}


def test_a_cut_name_keeps_its_end() -> None:
    assert cut("web-6fdffbcf87-9wzgf", 10) == "…f87-9wzgf"
    assert cut("web", 10) == "web"
    assert len(cut("x" * 50, 10)) == 10


def test_one_and_many() -> None:
    assert (plural(1, "pod"), plural(0, "pod")) == ("1 pod", "0 pods")
