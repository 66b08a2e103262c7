"""What is known about a customer before deciding."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import NamedTuple

from bandit.exclusion import Excluded
from bandit.wear_out import Exposure

ContextValue = str | float | bool | None
"""One thing known: a category, a number, yes or no, or None where it is not known."""


@dataclass(frozen=True, slots=True)
class Context:
    """Features known before the decision, by name; frozen.

    Names and types are checked against the campaign's schema when the engine decides, so that a typo is an error
    and never a silent zero.

    >>> Context.of(engagement_level="power_user", days_since_login=3).values["days_since_login"]
    3
    """

    values: Mapping[str, ContextValue]

    def __post_init__(self) -> None:
        object.__setattr__(self, "values", MappingProxyType(dict(self.values)))

    def __reduce__(self) -> tuple[type[Context], tuple[dict[str, ContextValue]]]:
        return Context, (dict(self.values),)

    @classmethod
    def of(cls, **values: ContextValue) -> Context:
        """A context from keyword arguments."""
        return cls(values)


class EncodedContext(NamedTuple):
    """A context as used: checked, clipped, and turned into the active features of the learner.

    `values` is what the log keeps (protected fields included). `indices` and `weights`, one entry a learnable field,
    say which context features are active and with what value; the order is that of `Schema.features`. `exposures` say
    what the customer got lately, where the campaign asks for it; `excluded` are arms that may not be used for this send;
    `recent_sends` are messages lately, where the campaign says that they cost something.
    """

    values: Mapping[str, ContextValue]
    indices: tuple[int, ...]
    weights: tuple[float, ...]
    exposures: tuple[Exposure, ...] = ()
    excluded: tuple[Excluded, ...] = ()
    recent_sends: int | None = None


def is_unicode(text: str) -> bool:
    r"""Whether a text can be written as UTF-8; half of a surrogate pair cannot.

    >>> is_unicode("caf\u00e9"), is_unicode("\ud800")
    (True, False)
    """
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
