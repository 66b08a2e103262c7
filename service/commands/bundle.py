"""Options that belong together, handed to a command in one piece."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any, Protocol

Command = Callable[..., object]


class Bundle(Protocol):
    """A frozen dataclass whose fields are named like options."""

    def check(self) -> None:
        """Refuse what could not be done, before any work is done for it."""


def in_one_piece(name: str, made: type[Any], options: Sequence[Callable[[Any], Any]]) -> Callable[[Command], Command]:
    """Adds options to a command, which gets them as one argument.

    Args:
        name: of the argument.
        made: the `Bundle` that is made of the options and checked.
        options: in the order in which help lists them.
    """

    def decorated(command: Command) -> Command:
        @functools.wraps(command)
        def bundled(**given: Any) -> object:  # noqa: ANN401 - click's own
            asked: Bundle = made(**{field.name: given.pop(field.name) for field in fields(made)})
            asked.check()
            return command(**given, **{name: asked})

        return functools.reduce(lambda found, option: option(found), reversed(options), bundled)

    return decorated
