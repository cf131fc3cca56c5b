"""How commands end: exit codes, the one error line, and no secrets in it."""

import subprocess
import sys
from typing import Any

import click
import pytest

from inplace.cli.common.context import CliContext
from inplace.cli.common.exit_codes import EXIT_CODES, CommandExit, ExitCode, exit_for
from inplace.cli.main import COMMANDS, cli, program_name
from inplace.kube.errors import ApiError, ConfigError, ConnectionFailed, Forbidden
from inplace.runtime.errors import ForcedExit, RefusedError, RunAbandoned
from inplace.runtime.foreground.target_view import TargetView
from inplace.runtime.lease.lock import LockHeldError, LockLostError
from tests.builders import NEW, run
from tests.cli.fakes import Command, FakeServer, web
from tests.cli.leases import lease, paused

UPGRADE = ("upgrade", "deploy/web", "app=repo/app:2")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (RefusedError("no"), 5),
        (LockHeldError("no"), 5),
        (ConfigError("no"), 5),
        (ApiError("no"), 5),
        (Forbidden("no"), 5),
        (ConnectionFailed("no"), 5),
        (RunAbandoned("no"), 1),
        (LockLostError("no"), 1),
        (ForcedExit(), 130),
        (KeyboardInterrupt(), 130),
        (click.Abort(), 130),
        (click.UsageError("no"), 2),
        (CommandExit("no", ExitCode.TIMED_OUT), 3),
    ],
    ids=repr,
)
def test_every_expected_error_has_a_line_and_a_code(error: BaseException, code: int) -> None:
    result = exit_for(error, "inplace")
    assert result is not None
    line, got = result
    assert got == code
    assert line
    assert "\n" not in line


def test_every_outcome_has_its_code() -> None:
    assert {outcome: int(code) for outcome, code in EXIT_CODES.items()} == {
        "Succeeded": 0,
        "Failed": 1,
        "RolledBack": 1,
        "Aborted": 4,
        "TimedOut": 3,
        "Paused": 4,
        "Interrupted": 130,
    }


def test_an_unreachable_cluster_is_refused(command: Command, server: FakeServer) -> None:
    server.is_down = True
    for words in (UPGRADE, ("plan", *UPGRADE[1:]), ("status", "deploy/web"), ("list",), ("pause", "deploy/web")):
        ran = command(*words)
        assert (ran.code, ran.error, ran.stdout) == (5, "https://fake: cannot connect: Connection refused", "")


def test_an_old_cluster_is_refused(command: Command, server: FakeServer) -> None:
    server.minor = "33"
    assert command(*UPGRADE).code == 5


def test_missing_rights_are_named(command: Command, server: FakeServer) -> None:
    web(server)
    server.denied = {"patch pods/status"}
    ran = command(*UPGRADE)
    assert (ran.code, ran.error) == (
        5,
        (
            "you may not patch pods/status in namespace default: ask for a Role that allows it"
            " (see: kubectl auth can-i --list -n default)"
        ),
    )
    assert server.writes == []


def test_what_runs_already_is_done(command: Command, server: FakeServer) -> None:
    web(server, NEW)
    ran = command(*UPGRADE)
    assert (ran.code, ran.stdout, ran.stderr) == (0, "deploy/web runs app=repo/app:2 already\n", "")
    assert '"outcome": "NothingToDo"' in command(*UPGRADE, "-o", "json").stdout
    assert server.writes == []


def test_a_paused_run_goes_on_only_by_resume(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", lease(paused()))
    ran = command(*UPGRADE, "--context", "prod")
    assert (ran.code, ran.stdout) == (4, "deploy/web is waiting at step 2 of 3 for `inplace promote`\n")
    assert ran.stderr == "promote with: inplace promote deploy/web -n default --context prod\n"
    assert server.writes == []


def test_a_living_holder_is_left_alone(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", lease(run(), "host-1", "1"))
    spec = server.objects["leases"]["inplace-deployment-web"]["spec"]
    command.clock.on_sleep = lambda: spec.update(renewTime=str(command.clock.now))
    ran = command(*UPGRADE)
    assert ran.code == 5
    assert ran.stderr.splitlines()[-1].startswith("error: deploy/web is being upgraded by host-1")
    assert server.writes == []


def test_quiet_leaves_out_the_notes(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", lease(paused(), "host-1", "1"))
    spec = server.objects["leases"]["inplace-deployment-web"]["spec"]
    command.clock.on_sleep = lambda: spec.update(renewTime=str(command.clock.now))
    assert command(*UPGRADE, "--quiet").error.startswith("deploy/web is being upgraded by host-1")


def test_a_token_is_never_repeated(command: Command, server: FakeServer) -> None:
    web(server)
    server.put("leases", lease(paused()))
    for flag in (("--token", "s3cret"), ("--token=s3cret",)):
        ran = command(*UPGRADE, *flag, "--context", "prod")
        assert "s3cret" not in ran.stdout + ran.stderr
    assert CliContext(args=("upgrade", "--token", "s3cret", "a=b c")).same_command() == "inplace upgrade --token TOKEN 'a=b c'"
    assert CliContext(args=("upgrade", "--token=s3cret")).same_command() == "inplace upgrade --token=TOKEN"


@pytest.mark.parametrize("flag", [("--timeout", "1s"), ("--timeout=1s",)])
def test_the_command_that_goes_on_has_no_timeout(flag: tuple[str, ...]) -> None:
    """It would run out again."""
    context = CliContext(args=("upgrade", "deploy/web", *flag, "a=b", "--drain-timeout", "1s"))
    assert context.same_command() == "inplace upgrade deploy/web a=b --drain-timeout 1s"


def test_the_flags_reach_the_connection(command: Command) -> None:
    command(
        "list", "-n", "shop", "--context", "c", "--as", "me", "--as-group", "g", "--as-group", "h", "--request-timeout", "5s"
    )
    (options,) = command.options
    assert (options.namespace, options.context, options.as_user, options.as_groups) == ("shop", "c", "me", ("g", "h"))
    assert options.request_timeout_seconds == 5.0
    assert (options.qps, options.burst) == (20.0, 40)


def test_only_named_options_are_given(command: Command, server: FakeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """Options of a stored run win over defaults, so that a default must not pass for a wish."""
    web(server)
    seen: list[Any] = []

    def preview(_view: TargetView, requested: Any, overrides: Any) -> Any:
        seen.append((requested.options, overrides))
        raise RefusedError("seen")

    monkeypatch.setattr("inplace.cli.commands.plan.preview_upgrade", preview)
    command("plan", "deploy/web", "app=repo/app:2", "--settle", "5s", "--accept-undrainable", "a", "--accept-undrainable", "b")
    command("plan", "deploy/web", "app=repo/app:2")
    assert seen[0][1] == {"settle_seconds": 5.0, "accept_undrainable": ("a", "b")}
    assert seen[0][0].accept_undrainable == ("a", "b")
    assert seen[1][1] == {}


def test_a_bug_is_one_line_too(command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(_options: Any) -> Any:
        raise KeyError("x")

    monkeypatch.setattr(command, "_connect", broken)
    ran = command("list")
    assert (ran.code, ran.error) == (1, "this is a bug in inplace: KeyError: 'x' (--debug shows where)")
    assert "Traceback" in command("list", "--debug").stderr


def test_the_plugin_is_called_as_kubectl_calls_it() -> None:
    assert program_name("/usr/bin/inplace") == "inplace"
    assert program_name("/opt/kubectl-inplace") == "kubectl inplace"
    assert program_name("python -m inplace") == "inplace"


def test_no_words_means_help(command: Command) -> None:
    ran = command()
    assert (ran.code, ran.stderr) == (0, "")
    assert ran.stdout == command("--help").stdout


def shell(line: str) -> tuple[str, str]:
    """What a line of bash prints, `inplace` being this one."""
    text = f'inplace() {{ {sys.executable} -m inplace "$@"; }}; {line}'
    done = subprocess.run(["bash", "-c", text], capture_output=True, text=True, check=True)
    return done.stdout, done.stderr


def test_a_reader_that_goes_away_is_no_error() -> None:
    assert shell("for i in 1 2 3; do inplace completion bash | true; inplace --help | head -1 >/dev/null; done") == ("", "")


def test_a_full_disk_is_an_error() -> None:
    assert shell("inplace version >/dev/full; echo $?")[0].splitlines()[-1] == "1"


def test_help_needs_nothing_heavy() -> None:
    code = (
        "import sys; from inplace.cli.main import run; from inplace.cli.common.context import CliContext;"
        "run(CliContext(args=('--help',)));"
        "heavy = ('kubernetes', 'rich', 'yaml', 'urllib3', 'inplace.runtime.foreground.session');"
        "print([m for m in heavy if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def test_every_command_says_the_same_of_itself_as_the_list_does() -> None:
    with click.Context(cli) as ctx:
        for name, (_, text) in COMMANDS.items():
            found = cli.get_command(ctx, name)
            assert found is not None
            assert (found.help or "").splitlines()[0] == text
