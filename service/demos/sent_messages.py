"""Messages that really went out in a demo, each with its moment on its customer's own clock."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from bandit.local_time import zone_in
from service.demos.demo import Played
from service.simulation import Send
from simulator.campaign_world import CampaignWorld


class SentMessage(NamedTuple):
    """One message.

    Attributes:
        send: the decision behind it.
        choice: what went out, which is what was decided but for a fault.
        local: when, where its customer lives.
    """

    send: Send
    choice: Mapping[str, str]
    local: datetime


def sent_messages(played: Played, world: CampaignWorld) -> Sequence[SentMessage]:
    """In the order in which they were decided; what was kept back, or sends nothing, is not among them.

    Args:
        played: the demo.
        world: its world.
    """
    campaign = played.campaign
    found = []
    for send in played.sends:
        choice = send.sent
        if choice is not None and not campaign.sends_nothing(choice):
            zone = zone_in(send.arrival.context, campaign.clock, home=campaign.timezone, kept="local hours")
            found.append(SentMessage(send, choice, world.sent_at(send.arrival, choice).astimezone(zone)))
    return found
