"""`inplace plan`: what `upgrade` would do with the same words, changing nothing; and `upgrade --dry-run`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
import msgspec

from inplace.cli import out, tables
from inplace.cli.driving import say
from inplace.cli.exits import Code
from inplace.cli.options import connected, output_option, run_options, selector_option, understood, words_argument
from inplace.cli.outline import Outline, details, headline, outline
from inplace.cli.targets import parse_words
from inplace.cli.upgrade import asked_run, require_template
from inplace.cli.world import Cluster
from inplace.engine import newpods
from inplace.engine.plan import Caution
from inplace.engine.preflight import NoChange, Ready, Refusal
from inplace.model.run import Run
from inplace.runtime.rights import Purpose, missing_rights, rights_for, told
from inplace.runtime.session import NothingToDo, Preview, Refused, Session, identity


@click.command()
@words_argument("TARGET CONTAINER=IMAGE...")
@selector_option
@run_options
@click.option("--exit-code", is_flag=True, help="Exit with 1 if there is something to do.")
@output_option("json", "yaml", "wide")
@connected
def plan(
    connect: Callable[[], Cluster],
    words: tuple[str, ...],
    selector: str,
    given: dict[str, Any],
    exit_code: bool,
    output: str | None,
) -> int:
    """Show what an upgrade would do, and change nothing.

    Takes the words of `upgrade`. Lists every pod in the order of work, with what would happen to it and why not.

    Where somebody holds the target's lock it says so, and not whether that one lives: while it does, `upgrade` is refused.

    Exit codes: 0 shown, a target that is locked, too (with --exit-code: 1 where there is something to do), 2 usage, 5 the
    upgrade would be refused for another reason than a lock.
    """
    target, images = understood(parse_words, words, selector)
    require_template(target, images)
    cluster = connect()
    asked = asked_run(cluster, target, images, given)
    return show(
        cluster, asked, lambda session: session.preview(asked, given), output, rehearses=True, wants_exit_code=exit_code
    )


def show(
    cluster: Cluster,
    asked: Run,
    look: Callable[[Session], Preview | NothingToDo],
    output: str | None,
    *,
    is_dry: bool = False,
    on_server: bool = False,
    rehearses: bool = False,
    by_controller: bool = False,
    wants_exit_code: bool = False,
) -> Code:
    """What `look` finds. Raises what is expected; `Refused` where the upgrade, or the undo, would be whoever holds the lock."""
    purpose: Purpose = "upgrade" if on_server else "look"
    with Session(cluster.api, asked.target, identity(), purpose, out.note, cluster.world.make_host()) as session:
        preview = look(session)
        if isinstance(preview, NothingToDo):
            say(preview.message, "NothingToDo", asked.target, is_json=output == "json")
            for warning in session.new_pods(asked):
                out.note(f"warning: {warning}")
            return Code.DONE
        if isinstance(preview.verdict, Refusal):
            raise Refused(preview.verdict.message)
        warnings = () if on_server else _rights_warning(cluster, asked)
        if isinstance(preview.verdict, NoChange):
            warnings += tuple(newpods.cautions(preview.observed, asked.target, asked.options.gate))
        verdict, is_allowed = preview.verdict, on_server or (rehearses and not warnings)
        if is_allowed and isinstance(verdict, Ready):
            preview, verdict = _rehearsed(session, preview, verdict)
        now = cluster.api.clock.monotonic()
        found = outline(preview, verdict, now, warnings, by_controller=by_controller)
    if output in ("json", "yaml"):
        out.structured(found, output)
    else:
        _print(found, "server dry run" if on_server else "dry run" if is_dry else "", is_wide=output == "wide")
    return Code.FAILED if wants_exit_code and found.changes else Code.DONE


def _rehearsed(session: Session, preview: Preview, verdict: Ready) -> tuple[Preview, Ready | NoChange]:
    """With what the API server makes of the images. Raises `Refused` where it would not take a write."""
    if preview.resuming and preview.stored is not None and preview.stored.id == preview.run.id:
        return preview, verdict
    found = session.rehearse(preview.run)
    if found.problem:
        raise Refused(found.problem)
    again = session.judge(found.run, preview)
    if isinstance(again.verdict, Refusal):
        raise Refused(again.verdict.message)
    if isinstance(again.verdict, Ready):
        told = (*again.verdict.warnings, *found.cautions)
        return again, msgspec.structs.replace(again.verdict, warnings=told)
    return again, again.verdict


def _rights_warning(cluster: Cluster, asked: Run) -> tuple[Caution, ...]:
    """Whoever may look need not be allowed to upgrade."""
    api, namespace = cluster.api.replace(limiter=None), asked.target.namespace
    missing = missing_rights(api, namespace, rights_for(asked.target.kind, "upgrade"))
    if not missing:
        return ()
    why = f"you may not {told(missing)} in namespace {namespace}, so the upgrade itself would be refused"
    return (Caution("MissingRights", why),)


def _print(found: Outline, suffix: str, *, is_wide: bool) -> None:
    out.data(headline(found, suffix))
    if found.changes:
        tables.show_lines(details(found))
        has_steps = len(found.steps) > 1
        head = ("POD", "NODE", *(("STEP",) if has_steps else ()), "ACTION", "WHY")
        rows = [(pod.name, pod.node, *((str(pod.step or "-"),) if has_steps else ()), pod.does, pod.why) for pod in found.pods]
        out.data()
        tables.show(head, rows, is_wide=is_wide)
    for warning in found.warnings:
        out.note(f"warning: {warning}")
