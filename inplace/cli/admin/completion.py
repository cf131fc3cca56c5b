"""`inplace completion`: prints the script that a shell sources."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

from inplace.cli.common.exit_codes import CommandExit, ExitCode
from inplace.cli.common.shells import register_shells


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
def completion(shell: str) -> None:
    """Print the completion script of a shell.

    It completes commands, flags, targets, containers, namespaces, contexts and revisions. `kubectl inplace` needs no script:
    kubectl's own completion runs `kubectl_complete-inplace`, which is installed with inplace.

    \b
      source <(inplace completion bash)
      inplace completion fish > ~/.config/fish/completions/inplace.fish
    """
    register_shells()
    completion_class = get_completion_class(shell)
    if completion_class is None:
        raise CommandExit(f"there is no completion for {shell}", ExitCode.USAGE)
    root = click.get_current_context().find_root().command
    click.echo(completion_class(root, {}, "inplace", "_INPLACE_COMPLETE").source())
