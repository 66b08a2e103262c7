"""The parts of one message by what they are for: subject, greeting, benefit, call to action, social proof, tone."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bandit.arm_text import Said

CTA: Final = "cta"
OF_CTA: Final = ("colour", "urgency")
NAMED: Final = ("subject", "greeting", "benefit", "social_proof", "tone")


@dataclass(frozen=True, slots=True)
class CallToAction:
    """What a message asks for: the words of the button, its colour, and how pressing it is; None for what nobody says."""

    text: str | None = None
    colour: str | None = None
    urgency: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What one message says, part by part; None for what the chosen arms do not say.

    A part is the text of the dimension of its name; where there is none, the part of that name of a chosen arm, the first in
    the order of the dimensions. Colour and urgency are looked for in the arm of `cta` before those of other dimensions.

    Attributes:
        other: texts and parts of all other names.
    """

    subject: str | None = None
    greeting: str | None = None
    benefit: str | None = None
    cta: CallToAction = field(default_factory=CallToAction)
    social_proof: str | None = None
    tone: str | None = None
    other: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, said: Said) -> Message:
        """The message that a choice's texts and parts make.

        >>> said = Said({"subject": "Join us", "cta": "Join"}, {"subject": {"colour": "#0c0"}, "cta": {"colour": "#c00"}})
        >>> Message.of(said).cta
        CallToAction(text='Join', colour='#c00', urgency=None)
        """
        parts = _first_of([said.parts.get(CTA, {}), *said.parts.values()])
        every = {**parts, **said.texts}
        named = {name: every.pop(name, None) for name in NAMED}
        cta = CallToAction(every.pop(CTA, None), *(every.pop(name, None) for name in OF_CTA))
        return cls(**named, cta=cta, other=every)


def _first_of(tables: Iterable[Mapping[str, str]]) -> dict[str, str]:
    """Each name with its value in the first table that has it."""
    found: dict[str, str] = {}
    for table in tables:
        found = {**table, **found}
    return found
