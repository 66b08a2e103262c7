"""What the chosen arms say to one customer: their texts and parts, filled in, and what could not be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from bandit.campaign import Campaign
from bandit.content import has_braces, open_fields
from bandit.context import ContextValue
from bandit.dimension import Arm, Dimension
from bandit.variables import Value

if TYPE_CHECKING:
    from bandit.template import Template

TEXT = "text"


class Gap(NamedTuple):
    """A text that could not be filled in.

    Attributes:
        dimension, arm: whose text; both None for the template of the whole e-mail.
        part: `text`, or the name of the part.
        variable: that is missing; None where something else is wrong.
        problem: in words.
    """

    dimension: str | None
    arm: str | None
    part: str
    variable: str | None
    problem: str


@dataclass(slots=True)
class Said:
    """What a choice says to one customer.

    Attributes:
        texts: by dimension; those that are missing are not there.
        parts: by dimension, by name; those that are missing are not there.
        missing: what could not be filled in and has nothing that stands in for it: this message should not be sent.
        defaulted: what could not be filled in and says its arm's default.
    """

    texts: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    missing: list[Gap] = field(default_factory=list)
    defaulted: list[Gap] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class _Source:
    """A text of an arm: as it stands, and compiled where it has anything to be filled in."""

    dimension: str
    arm: str
    part: str
    text: str
    default: str = ""
    template: Template | None = None


class Wording:
    """The texts of a campaign's arms, compiled once.

    Attributes:
        is_constant: whether no text is to be filled in, so that what a choice says hangs on the choice alone.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._content = campaign.content
        self._open = open_fields(campaign.schema)
        self._fallbacks = {name: value for name, value in (self._content.variables or {}).items() if value is not None}
        self._sources = {
            dimension.name: {arm.id: self._sources_of(dimension, arm) for arm in dimension.arms}
            for dimension in campaign.dimensions
        }
        every = (one for arms in self._sources.values() for sources in arms.values() for one in sources)
        self.is_constant = all(one.template is None for one in every)

    @classmethod
    def of(cls, campaign: Campaign) -> Self:
        """The texts of a checked campaign."""
        return cls(campaign)

    def variables(
        self, choice: Mapping[str, str], context: Mapping[str, ContextValue], given: Mapping[str, Value]
    ) -> dict[str, Any]:
        """What texts may name: the declared fallbacks, over them what is known of the customer, over that what was given.

        Args:
            choice: one arm a dimension; texts find it as `choice`.
            context: as used; protected fields are left out, and what is not known.
            given: checked variables of this message.
        """
        known = {name: context[name] for name in self._open if context.get(name) is not None}
        return {**self._fallbacks, **known, **given, "choice": dict(choice)}

    def said(self, choice: Mapping[str, str], variables: Mapping[str, Any]) -> Said:
        """What a choice says, filled in.

        Args:
            choice: one arm a dimension.
            variables: of `variables`.
        """
        found = Said()
        for one in self._chosen(choice):
            text = one.text if one.template is None else _filled(one, one.template, variables, found)
            if text is not None:
                _put(found, one, text)
        return found

    def unfilled(self, choice: Mapping[str, str]) -> Said:
        """What a choice says as it stands in the campaign file, with its braces."""
        found = Said()
        for one in self._chosen(choice):
            _put(found, one, one.text)
        return found

    def _chosen(self, choice: Mapping[str, str]) -> list[_Source]:
        if self._campaign.sends_nothing(choice):
            return []
        return [one for name, arms in self._sources.items() for one in arms[choice[name]]]

    def _sources_of(self, dimension: Dimension, arm: Arm) -> list[_Source]:
        texts = ((TEXT, arm.text), *arm.parts.items())
        return [
            _Source(dimension.name, arm.id, part, text, arm.default if part == TEXT else "", self._compiled(text))
            for part, text in texts
            if text
        ]

    def _compiled(self, text: str) -> Template | None:
        if not (self._content.renders and has_braces(text)):
            return None
        from bandit.template import Template  # noqa: PLC0415 - a tenth of a second, for who has templates

        return Template(text)


def _filled(source: _Source, template: Template, variables: Mapping[str, Any], found: Said) -> str | None:
    """A text filled in, its default, or None; what was wrong is noted."""
    from bandit.template import Unrenderable  # noqa: PLC0415 - a tenth of a second, for who has templates

    try:
        return template.render(variables)
    except Unrenderable as error:
        gap = Gap(source.dimension, source.arm, source.part, error.variable, _problem(source, error))
    (found.defaulted if source.default else found.missing).append(gap)
    return source.default or None


def _problem(source: _Source, error: Exception) -> str:
    after = (
        "its default was said instead" if source.default else "it says nothing; give the variable, or the arm a default"
    )
    return f"{source.part} of arm {source.arm!r} of {source.dimension!r} could not be filled in: {error}; {after}."


def _put(found: Said, source: _Source, text: str) -> None:
    if source.part == TEXT:
        found.texts[source.dimension] = text
    else:
        found.parts.setdefault(source.dimension, {})[source.part] = text
