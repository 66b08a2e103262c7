"""What an answer says: the chosen arms' texts, filled in with what the request gives, which is stored nowhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec

from bandit.arm_text import Gap, Said, Wording
from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.errors import InvalidVariables
from bandit.message import Message
from bandit.variables import Value

if TYPE_CHECKING:
    from bandit.email_page import EmailTemplate

MOST_KEPT = 10_000
"""Choices whose answer is kept ready, where no text is to be filled in."""
_encoder = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True)
class Filling:
    """What a request gives for the texts.

    Attributes:
        variables: checked ones.
        is_whole: whether the whole e-mail is asked for, too.
    """

    variables: Mapping[str, Value]
    is_whole: bool = False


NOTHING_GIVEN = Filling({})


class Spoken(NamedTuple):
    """What an answer says.

    Attributes:
        texts, content: as JSON.
        html, text: the whole e-mail, where it was asked for; None where it would have a hole.
    """

    texts: msgspec.Raw
    content: msgspec.Raw
    html: str | msgspec.UnsetType | None = msgspec.UNSET
    text: str | msgspec.UnsetType | None = msgspec.UNSET


class _Content(msgspec.Struct, omit_defaults=True, frozen=True):
    """`service.schemas.ContentAnswer` documents it."""

    missing: Sequence[dict[str, Any]]
    defaulted: Sequence[dict[str, Any]]
    language: str | None = None
    subject: str | None = None
    greeting: str | None = None
    benefit: str | None = None
    cta: dict[str, str] | None = None
    social_proof: str | None = None
    tone: str | None = None
    other: Mapping[str, str] = {}


class ServedWording:
    """A campaign's texts as answers say them, compiled once.

    Args:
        campaign: whose.
    """

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._wording = Wording.of(campaign)
        self._kept: dict[tuple[str, ...], Spoken] = {}

    def filling(self, variables: Mapping[str, object], *, is_whole: bool) -> Filling:
        """What a request gives, checked; before anything is decided.

        Args:
            variables: of the request.
            is_whole: whether the whole e-mail is asked for.

        Raises:
            InvalidVariables: if they cannot be filled in, or there is no template to fill.
        """
        if not (variables or is_whole):
            return NOTHING_GIVEN
        content = self._campaign.content
        if is_whole and not content.template:
            raise InvalidVariables(
                f"render is true, and campaign {self._campaign.id!r} has no e-mail to fill in. Write one under "
                "[content].template, or leave render out and put `texts` into your own."
            )
        if variables and not content.renders:
            raise InvalidVariables(
                "variables were given, and [content] render = false has the mail provider fill in the texts. Give them there."
            )
        return Filling(content.checked(variables), is_whole)

    def spoken(
        self,
        choice: Mapping[str, str],
        context: Mapping[str, ContextValue],
        filling: Filling,
        decision_id: str,
        unsubscribe_path: str | None,
    ) -> Spoken:
        """What a decision says to its customer.

        Args:
            choice: one arm a dimension, in the campaign's order.
            context: as used.
            filling: what the request gives.
            decision_id: for the template of the e-mail.
            unsubscribe_path: for it too; None where nothing would be found behind the link.
        """
        if self._wording.is_constant and not filling.is_whole:
            return self._constant(choice)
        variables = self._wording.variables(choice, context, filling.variables)
        said = self._wording.said(choice, variables)
        if not filling.is_whole:
            return self._as_json(said)
        if self._campaign.sends_nothing(choice):
            return self._as_json(said)._replace(html=None, text=None)
        sent = {**variables, "decision_id": decision_id}
        if unsubscribe_path is not None:
            sent["unsubscribe_path"] = unsubscribe_path
        page = self._page.render(choice, said, sent)
        said.missing.extend(page.missing)
        return self._as_json(said)._replace(html=page.html, text=page.text)

    def unfilled(self, choice: Mapping[str, str]) -> Spoken:
        """What a stored decision says as the campaign file has it: what was filled in is nowhere."""
        return self._as_json(self._wording.unfilled(choice))

    def _constant(self, choice: Mapping[str, str]) -> Spoken:
        key = tuple(choice.values())
        found = self._kept.get(key)
        if found is None:
            if len(self._kept) >= MOST_KEPT:
                self._kept = {}
            found = self._kept[key] = self._as_json(self._wording.unfilled(choice))
        return found

    def _as_json(self, said: Said) -> Spoken:
        texts, content = _encoder.encode(said.texts), _encoder.encode(self._content(said))
        return Spoken(msgspec.Raw(texts), msgspec.Raw(content))

    def _content(self, said: Said) -> _Content:
        message = Message.of(said)
        said_of_cta = (("text", message.cta.text), ("colour", message.cta.colour), ("urgency", message.cta.urgency))
        cta = {name: value for name, value in said_of_cta if value is not None}
        return _Content(
            _listed(said.missing),
            _listed(said.defaulted),
            self._campaign.content.language or None,
            message.subject,
            message.greeting,
            message.benefit,
            cta or None,
            message.social_proof,
            message.tone,
            message.other,
        )

    @cached_property
    def _page(self) -> EmailTemplate:
        from bandit.email_page import EmailTemplate  # noqa: PLC0415 - for who has a template

        return EmailTemplate(self._campaign)


def _listed(gaps: Sequence[Gap]) -> list[dict[str, Any]]:
    return [gap._asdict() for gap in gaps]
