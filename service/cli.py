"""The command line. Exit status: 0 done, 1 the answer is no (a check failed), 2 misuse."""

from __future__ import annotations

from typing import Any

import click

from bandit.errors import EngineError
from service.app import VERSION
from service.commands.check import check
from service.commands.compare import compare
from service.commands.decide import decide
from service.commands.demo import demo
from service.commands.evaluate import evaluate
from service.commands.export import export
from service.commands.init import init
from service.commands.learn import learn
from service.commands.power import power
from service.commands.record import record
from service.commands.replay import replay
from service.commands.serve import serve
from service.commands.snapshot import snapshot
from service.commands.tune import tune
from service.commands.verify import verify

MISUSE = 2


class Refusal(click.ClickException):
    """An error of the engine, as the command line shows it."""

    exit_code = MISUSE

    def show(self, file: Any = None) -> None:  # noqa: ANN401 - click's signature
        """The message alone: it says what to do."""
        # An argument may hold bytes that are no text; they must not stop the message.
        message = self.message.encode("utf-8", "backslashreplace").decode()
        click.echo(f"manyarm: {message}", file=file, err=True)


class Commands(click.Group):
    """Shows the engine's errors as messages, never as tracebacks."""

    def invoke(self, ctx: click.Context) -> Any:  # noqa: ANN401 - click's signature
        """Run the command."""
        try:
            return super().invoke(ctx)
        except EngineError as error:
            raise Refusal(str(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="manyarm")
def main() -> None:
    """Choose one subject line, call to action, benefit and send slot for every e-mail, learn, and prove it.

    Begin with `manyarm init`, then `manyarm demo` to see a whole campaign.
    """


for command in (
    init,
    check,
    demo,
    serve,
    decide,
    record,
    learn,
    export,
    verify,
    evaluate,
    compare,
    power,
    snapshot,
    replay,
    tune,
):
    main.add_command(command)
