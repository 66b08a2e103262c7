"""A few messages of a demo as their customers would read them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import msgspec

from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.group import Group
from service.demos.sent_messages import SentMessage
from service.wording import ServedWording

_PARTS = ("subject", "greeting", "benefit", "cta", "social_proof")


@dataclass(frozen=True, slots=True)
class ShownMessage:
    """One message, filled in.

    Attributes:
        customer_id: to whom.
        known: what is known of the customer, in words.
        parts: of the message, by what they are for.
        goes_out: when, on the customer's clock.
    """

    customer_id: str
    known: str
    parts: Mapping[str, str]
    goes_out: str

    @property
    def lines(self) -> tuple[str, ...]:
        """For people."""
        said = [f"    {name:<13} {text}" for name, text in self.parts.items()]
        return (f"  {self.customer_id} ({self.known}), {self.goes_out}", *said)


def shown_messages(
    campaign: Campaign,
    messages: Sequence[SentMessage],
    variables: Mapping[str, Mapping[str, str]],
    by: str,
    how_many: int = 2,
) -> list[ShownMessage]:
    """The learner's last messages, of different first arms and to customers of whom something can be said.

    Args:
        campaign: whose texts.
        messages: in time order.
        variables: of each customer, by customer_id.
        by: a field of the context that is told of each customer.
        how_many: at most.
    """
    wording = ServedWording(campaign)
    return [_shown(wording, message, variables, by) for message in _picked(campaign, messages, variables, how_many)]


def _picked(
    campaign: Campaign,
    messages: Sequence[SentMessage],
    variables: Mapping[str, Mapping[str, str]],
    how_many: int,
) -> Iterator[SentMessage]:
    name, seen = campaign.dimensions[0].name, set[str]()
    for message in reversed(messages):
        arm, customer = message.choice[name], message.send.arrival.customer_id
        if len(seen) == how_many:
            return
        if message.send.decision.group is Group.LEARNER and arm not in seen and variables.get(customer):
            seen.add(arm)
            yield message


def _shown(
    wording: ServedWording, message: SentMessage, variables: Mapping[str, Mapping[str, str]], by: str
) -> ShownMessage:
    decision, customer_id = message.send.decision, message.send.arrival.customer_id
    filling = wording.filling(variables[customer_id], is_whole=False)
    spoken = wording.spoken(message.choice, decision.context, filling, decision.decision_id, None)
    content = msgspec.json.decode(spoken.content)
    parts = {name: content[name]["text"] if name == "cta" else content[name] for name in _PARTS if name in content}
    zone = getattr(message.local.tzinfo, "key", "")
    return ShownMessage(customer_id, _told(decision.context, by), parts, f"{message.local:%A %H:%M} in {zone}")


def _told(context: Mapping[str, ContextValue], by: str) -> str:
    return str(context.get(by) or "nothing known")
