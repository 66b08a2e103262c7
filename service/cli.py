"""The command line. Exit status: 0 done, 1 the answer is no (a check failed), 2 misuse."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final

import click

from bandit.errors import EngineError

MISUSE = 2
COMMANDS: Final = (
    "init",
    "check",
    "demo",
    "serve",
    "decide",
    "profile",
    "products",
    "record",
    "learn",
    "export",
    "verify",
    "evaluate",
    "compare",
    "power",
    "snapshot",
    "replay",
    "tune",
    "key",
    "erase",
    "opt-out",
    "webhooks",
)
"""Each is the object of its name in `service.commands.<name>`, with _ for -."""


class Refusal(click.ClickException):
    """An error of the engine, as the command line shows it."""

    exit_code = MISUSE

    def show(self, file: Any = None) -> None:  # noqa: ANN401 - click's signature
        """The message alone: it says what to do."""
        # An argument may hold bytes that are no text; they must not stop the message.
        message = self.message.encode("utf-8", "backslashreplace").decode()
        click.echo(f"manyarm: {message}", file=file, err=True)


class Commands(click.Group):
    """Loads a command when it is called, and shows the engine's errors as messages, never as tracebacks."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        """Every command."""
        return sorted(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's signature
        """The command of this name, loaded now: all of them take seconds, and nobody calls more than one."""
        if cmd_name not in COMMANDS:
            return None
        name = cmd_name.replace("-", "_")
        command: click.Command = getattr(import_module(f"service.commands.{name}"), name)
        return command

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command."""
        try:
            return super().invoke(ctx)
        except EngineError as error:
            raise Refusal(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="manyarm", prog_name="manyarm")
def main() -> None:
    """Choose one subject line, call to action, benefit and send slot for every e-mail, learn, and prove it.

    Begin with `manyarm init`, then `manyarm demo` to see a whole campaign.
    """
