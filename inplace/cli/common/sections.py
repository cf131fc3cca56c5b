"""Prints `--help` in sections: each option names the heading it is listed under.

Headings come in the order of `SECTIONS`, so that what a command is about comes before what all commands share.
"""

from __future__ import annotations

import functools
from typing import Any, Literal, get_args

import click
from click.types import OptionHelpExtra

Section = Literal["Options", "Target", "Pace", "Safety", "Execution", "Gates", "Leader election", "Output", "Connection"]
MAX_FLAGS_WIDTH = 30
SECTIONS: tuple[Section, ...] = get_args(Section)


class SectionedOption(click.Option):
    """An option under a heading. Its help gives the default in words, and leaves the valid range to the error."""

    def __init__(self, *args: Any, section: Section = "Options", **settings: Any) -> None:
        super().__init__(*args, **settings)
        self.section = section

    def get_help_extra(self, ctx: click.Context) -> OptionHelpExtra:
        extra = super().get_help_extra(ctx)
        extra.pop("range", None)
        return extra


class SectionedCommand(click.Command):
    """Lists its options under their headings, all in columns of one width; `--help` is listed with the output options."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        by_section: dict[str, list[tuple[str, str]]] = {section: [] for section in SECTIONS}
        for param in self.get_params(ctx):
            record = param.get_help_record(ctx)
            if record is not None and not isinstance(param, click.Argument):
                by_section[getattr(param, "section", "Output")].append(record)
        width = min(MAX_FLAGS_WIDTH, max(len(flags) for records in by_section.values() for flags, _ in records))
        for section, records in by_section.items():
            if records:
                with formatter.section(section):
                    formatter.write_dl([(flags.ljust(width), text) for flags, text in records], col_max=MAX_FLAGS_WIDTH)


option = functools.partial(click.option, cls=SectionedOption)
command = functools.partial(click.command, cls=SectionedCommand)
