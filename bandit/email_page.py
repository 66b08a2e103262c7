"""The whole e-mail from the campaign's template: HTML, in which every value is escaped, and its alternative in plain text."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from bandit.arm_text import TEXT, Gap, Said
from bandit.campaign import Campaign
from bandit.content import MADE
from bandit.html_text import text_of_html
from bandit.message import Message
from bandit.template import Template, Unrenderable


class EmailPage(NamedTuple):
    """One e-mail.

    Attributes:
        html, text: both None where it would have a hole.
        missing: what it would have missed.
    """

    html: str | None
    text: str | None
    missing: tuple[Gap, ...] = ()


class EmailTemplate:
    """A campaign's template for whole e-mails, compiled once.

    In it stand the variables; every dimension by its name, as its text or, where no arm of it has one, as the id of the chosen
    arm; the parts of the chosen arms; `cta.text`, `cta.colour` and `cta.urgency`; and `bandit.content.MADE`.

    Args:
        campaign: one with `[content].template`.
    """

    def __init__(self, campaign: Campaign) -> None:
        content = campaign.content
        self._content = content
        self._html = Template(content.template, html=True)
        self._plain = Template(content.plain) if content.plain else None
        self._wordless = [d.name for d in campaign.dimensions if not any(arm.text for arm in d.arms)]

    def render(self, choice: Mapping[str, str], said: Said, variables: Mapping[str, Any]) -> EmailPage:
        """The e-mail of one decision.

        Args:
            choice: one arm a dimension.
            said: what it says; see `bandit.arm_text.Wording`.
            variables: as the texts had them, with `decision_id` and `unsubscribe_path` where there is one.
        """
        holes = tuple(gap for gap in said.missing if gap.part == TEXT)
        if holes:
            return EmailPage(None, None)
        found = self._variables(choice, said, variables)
        try:
            html = self._html.render(found)
            text = self._plain.render(found) if self._plain else text_of_html(html)
        except Unrenderable as error:
            problem = f"the template of the e-mail could not be filled in: {error}; give the variable, or write a default for it."
            return EmailPage(None, None, (Gap(None, None, "template", error.variable, problem),))
        return EmailPage(html, text)

    def _variables(self, choice: Mapping[str, str], said: Said, variables: Mapping[str, Any]) -> dict[str, Any]:
        message = Message.of(said)
        cta = {"text": message.cta.text, "colour": message.cta.colour, "urgency": message.cta.urgency}
        named = {name: getattr(message, name) for name in MADE if hasattr(message, name) and name != "cta"}
        made = {
            **{name: choice[name] for name in self._wordless},
            **message.other,
            **{name: value for name, value in named.items() if value is not None},
            "cta": {name: value for name, value in cta.items() if value is not None},
            "language": self._content.language,
            "direction": self._content.direction,
        }
        return {**variables, **made}


def render_email(campaign: Campaign, choice: Mapping[str, str], said: Said, variables: Mapping[str, Any]) -> EmailPage:
    """One e-mail; whoever renders many keeps an `EmailTemplate`.

    Args:
        campaign: one with `[content].template`.
        choice: one arm a dimension.
        said: what it says; see `bandit.arm_text.Wording`.
        variables: of `Wording.variables`, with `decision_id` and `unsubscribe_path` where there is one.
    """
    return EmailTemplate(campaign).render(choice, said, variables)
