"""The `[privacy]` table of the campaign file: whose decisions are kept at all, and for how long."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from bandit.context import ContextValue
from bandit.fault import Fault, Reader
from bandit.group import Groups
from bandit.reward import parse_window
from bandit.schema import BooleanField, Schema


@dataclass(frozen=True, slots=True)
class Privacy:
    """What the campaign promises the people it decides for.

    Attributes:
        consent: a boolean field of the context. Whoever does not say true there gets the control choice, and nothing of
            them is stored but a count. Empty where the campaign does not ask.
        retention: rows older than this are erased once they have been learned from; None keeps them.
    """

    consent: str = ""
    retention: timedelta | None = None

    def is_withheld(self, values: Mapping[str, ContextValue]) -> bool:
        """Whether the campaign asks for consent and this context does not give it.

        >>> Privacy("consent").is_withheld({"consent": None}), Privacy().is_withheld({})
        (True, False)
        """
        return bool(self.consent) and values.get(self.consent) is not True


def read_privacy(table: Reader, schema: Schema) -> Privacy:
    """The table, with its faults noted."""
    consent, retention = "", None
    if "consent" in table.names():
        wanted = "the name of a boolean field under [context], such as consent"
        consent = table.text("consent", wanted=wanted)
        if consent and not (consent in schema and isinstance(schema[consent], BooleanField)):
            table.fault("consent", consent, wanted)
    if "retention" in table.names():
        wanted = "a duration such as 400d, after which rows are erased"
        text = table.text("retention", wanted=wanted)
        retention = parse_window(text)
        if text and retention is None:
            table.fault("retention", text, wanted)
    table.refuse_the_rest(("consent", "retention"))
    return Privacy(consent, retention)


def refuse_consent_without_control(privacy: Privacy, groups: Groups, faults: list[Fault]) -> None:
    """Whoever does not consent gets business as usual, so the file must say what that is."""
    if privacy.consent and not groups.control_choice:
        advice = "[groups].control.choice, which is what people get who do not consent (its share may be 0)"
        faults.append(Fault("privacy.consent", f"{privacy.consent!r} without a control choice", advice))


def without_retention(tables: Mapping[str, object]) -> dict[str, object]:
    """The file's tables as their hash covers them: how long rows are kept says nothing of how they were decided.

    >>> without_retention({"campaign": {"id": "contest"}, "privacy": {"retention": "400d"}})
    {'campaign': {'id': 'contest'}}
    """
    privacy = tables.get("privacy")
    if not isinstance(privacy, dict):
        return dict(tables)
    rest = {name: value for name, value in privacy.items() if name != "retention"}
    others = {name: table for name, table in tables.items() if name != "privacy"}
    return {**others, "privacy": rest} if rest else others
