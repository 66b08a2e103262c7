"""Which column of somebody else's table is which, as commands ask for it."""

from __future__ import annotations

from collections.abc import Sequence

import click

from service.foreign_log import ColumnMap


def column_map(
    arm: str, reward: str, propensity: str, context: str, where: Sequence[str], sent_at: str = ""
) -> ColumnMap | None:
    """The mapping; None where the log is ours.

    Raises:
        click.UsageError: for options that only go together.
    """
    if not arm:
        if reward or propensity or context or where:
            raise click.UsageError(
                "--reward, --propensity, --context and --where go with --arm; our logs name their columns."
            )
        if sent_at:
            raise click.UsageError("--sent-at goes with --arm; our logs say when each row was decided.")
        return None
    if not (reward and propensity):
        raise click.UsageError(
            "--arm needs --reward and --propensity: without the draw's probability nothing can be weighed."
        )
    return ColumnMap(arm, reward, propensity, names_in(context), conditions(where), sent_at)


def names_in(text: str) -> tuple[str, ...]:
    """Names separated by commas."""
    return tuple(filter(None, (name.strip() for name in text.split(","))))


def conditions(where: Sequence[str]) -> dict[str, frozenset[str]]:
    """Values that each column may have.

    >>> conditions(["mail=a|b"]) == {"mail": frozenset({"a", "b"})}
    True
    """
    return dict(map(_condition, where))


def _condition(text: str) -> tuple[str, frozenset[str]]:
    column, equals, values = text.partition("=")
    if not (column and equals):
        raise click.UsageError(f"--where {text!r}: write COLUMN=VALUE or COLUMN=VALUE|VALUE.")
    return column, frozenset(values.split("|"))
