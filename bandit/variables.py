"""Variables: what is filled into the texts of one message, such as a first name. They are used once, and never stored."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from bandit.errors import InvalidVariables
from bandit.fault import is_number, shown

Scalar = str | float | bool
Value = Scalar | list[Scalar] | list[dict[str, Scalar]]
"""A text, a number, true or false; or a list of these, or of objects of these, such as products with a name and a price."""
Variables = Mapping[str, Value]

VARIABLE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
MOST_VARIABLES: Final = 200
LONGEST_VALUE: Final = 1000
MOST_ITEMS: Final = 100
RESERVED: Final = ("choice", "loop", "self", "true", "false", "none", "True", "False", "None")
"""Names that mean something else in a template: `choice` holds the ids of the chosen arms."""
_BREAKS: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029]+")


def checked_variables(given: Mapping[str, object], declared: Iterable[str] | None = None) -> dict[str, Value]:
    r"""The variables of one message, each in one line; those that are null are left out, like names that were not given.

    Line breaks and control characters become a space: a first name must not add a header to the message.

    Args:
        given: name to value.
        declared: names there are; None where the campaign does not say.

    Raises:
        InvalidVariables: naming the first one that is none.

    >>> checked_variables({"first_name": "Ann\r\nBcc: all@example.org", "city": None, "n": 3})
    {'first_name': 'Ann Bcc: all@example.org', 'n': 3}
    """
    if len(given) > MOST_VARIABLES:
        raise InvalidVariables(
            f"{len(given)} variables, {MOST_VARIABLES} are the most. Give those that the texts name."
        )
    if declared is not None:
        _refuse_undeclared(given, tuple(declared))
    return {name: _value(name, found) for name, found in given.items() if _is_name(name) and found is not None}


def _refuse_undeclared(given: Mapping[str, object], declared: tuple[str, ...]) -> None:
    strange = [name for name in given if name not in declared]
    if strange:
        raise InvalidVariables(
            f"variable {strange[0][:80]!r} is not declared, so no text can have it; [content.variables] has "
            f"{', '.join(declared) or 'none'}. Declare it there, or leave it out: it is nobody's business here."
        )


def _is_name(name: str) -> bool:
    if VARIABLE_NAME.fullmatch(name) and name not in RESERVED:
        return True
    raise InvalidVariables(
        f"{name[:80]!r} is no name of a variable, so no text can have it. Use letters, digits and _, and none of "
        f"{', '.join(RESERVED)}."
    )


def _value(name: str, found: object) -> Value:
    if not isinstance(found, list):
        return _scalar(name, found)
    if len(found) > MOST_ITEMS:
        raise InvalidVariables(
            f"variable {name!r} has {len(found)} items, {MOST_ITEMS} are the most. Give the first ones."
        )
    if any(isinstance(item, dict) for item in found):
        return [_object(name, item) for item in found]
    return [_scalar(name, item) for item in found]


def _object(name: str, found: object) -> dict[str, Scalar]:
    if not isinstance(found, dict) or len(found) > MOST_ITEMS:
        raise _unusable(name, found)
    return {str(key): _scalar(name, item) for key, item in found.items() if item is not None}


def _scalar(name: str, found: object) -> Scalar:
    if isinstance(found, str) and len(found) <= LONGEST_VALUE:
        return one_line(found)
    if isinstance(found, bool) or (is_number(found) and abs(found) <= 1e15):
        return found
    raise _unusable(name, found)


def one_line(text: str) -> str:
    """A text whose line breaks and control characters are spaces."""
    return _BREAKS.sub(" ", text)


def _unusable(name: str, found: object) -> InvalidVariables:
    return InvalidVariables(
        f"variable {name!r} is {shown(found)}, which cannot be filled into a text. Give a text of at most {LONGEST_VALUE} "
        "letters, a number within 1e15, true or false, or a list of these or of objects of these."
    )
