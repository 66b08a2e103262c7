"""The demo of winback-es: contexts out of events, Spanish texts, hours where customers live, caps, and silence."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self, cast

from bandit.campaign import Campaign
from service.demos.demo import SENDS_PER_CUSTOMER, Findings, Played
from service.demos.profiled_customers import CONTEXTS, DATA, profiled_customers, variables_of
from service.demos.sent_hours import SentHours
from service.demos.sent_messages import sent_messages
from service.demos.shown_messages import shown_messages
from service.demos.silence_kept import SilenceKept
from simulator.campaign_world import CampaignWorld
from simulator.drawn_world import WorldSettings, drawn_world
from simulator.tastes import TasteSizes

RATES: Final[Mapping[str, float]] = MappingProxyType(
    {"open": 0.30, "click": 0.06, "purchase": 0.20, "unsubscribe": 0.010, "complaint": 0.001}
)
"""Of people who stopped buying: what a random choice brings a send (purchases: a click). Every hundredth wants no more mail."""
_SIZES: Final = TasteSizes(customer=0.8)
"""Customers differ more than on a list of people who still buy: some are lost, and to them every message is one too many."""
_HABITS: Final = 0.5
"""Standard deviation of a customer's habit over the hours of the week, in logits of an open."""

_USUAL_DAYS: Final = 28


@dataclass(frozen=True, slots=True)
class WinbackDemo:
    """Winning back who stopped buying; see `service.demos.demo.Demo`."""

    example: str = "winback-es"
    usual_sends: int = 15_000
    start: datetime = datetime(2026, 1, 1, tzinfo=UTC)
    """When the year of events is over."""
    days: int = _USUAL_DAYS
    step: timedelta = timedelta(days=2)
    by: str = "lifecycle_stage"
    title: str = "Win-back: true reward a send"
    rules: str = "of what the rules allow"
    files: tuple[str, ...] = (DATA, CONTEXTS)

    def lasting(self, days: int) -> Self:
        """The same with a campaign of this length."""
        return replace(self, days=days)

    def world(self, campaign: Campaign, folder: Path, n_sends: int, seed: int) -> CampaignWorld:
        """Customers as their events show them when the campaign begins."""
        # As many in a shorter campaign as keep the time between two decisions about one of them, or caps would refuse most.
        n_customers = max(n_sends * _USUAL_DAYS // (SENDS_PER_CUSTOMER * self.days), 10)
        customers = profiled_customers(self.example, campaign, folder, n_customers, seed, self.start)
        settings = WorldSettings(sizes=_SIZES, start=self.start, days=self.days, habits=_HABITS)
        return drawn_world(campaign, customers, seed, n_sends, settings, rates=RATES)

    def findings(self, played: Played) -> Findings:
        """What silence was worth, when messages went out, and what two of them say."""
        world = cast("CampaignWorld", played.world)
        messages = sent_messages(played, world)
        silence, hours = SilenceKept.of(played, world), SentHours.of(played, messages)
        known = variables_of(played.campaign, played.folder)
        shown = shown_messages(played.campaign, messages, known, self.by)
        said = ["Two of the learner's last messages, filled in:", *(line for one in shown for line in one.lines)]
        return Findings(
            silence.truth,
            (self._known(world), *silence.lines, "", *hours.lines, "", *said, ""),
            {"silence": asdict(silence), "hours": asdict(hours), "messages": [asdict(one) for one in shown]},
        )

    def _known(self, world: CampaignWorld) -> str:
        return f"{world.customers.n:,} customers, known by a year of events as it was at {self.start:%Y-%m-%d}."
