"""The demo of the referral contest: 1,920 choices, five thousand customers, late clicks."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from bandit.campaign import Campaign
from service.demos.demo import SENDS_PER_CUSTOMER, Findings, Played
from simulator.referral_contest import ReferralContest

RATES: Final[Mapping[str, float]] = MappingProxyType(
    {"click": 0.08, "conversion": 0.25, "unsubscribe": 0.003, "complaint": 0.0005}
)
"""Of a list of people who know the product: what a uniform choice would bring a send (conversions: a click)."""


@dataclass(frozen=True, slots=True)
class ReferralContestDemo:
    """The referral contest; see `service.demos.demo.Demo`."""

    example: str = "referral-contest"
    usual_sends: int = 30_000
    start: datetime = datetime(2026, 1, 5, tzinfo=UTC)
    days: int = 28
    step: timedelta = timedelta(days=1)
    by: str = "engagement_level"
    title: str = "Referral contest: true reward a send"
    rules: str = "rules ignored"
    files: tuple[str, ...] = ()

    def lasting(self, days: int) -> Self:
        """The same with a campaign of this length."""
        return replace(self, days=days)

    def world(self, campaign: Campaign, folder: Path, n_sends: int, seed: int) -> ReferralContest:
        """Its customers know everything that the campaign asks for; nothing is left in the folder."""
        del folder
        return ReferralContest(
            seed,
            n_customers=max(n_sends // SENDS_PER_CUSTOMER, 10),
            window=campaign.reward.window,
            start=self.start,
            days=self.days,
            rates=RATES,
            send_slots=campaign.send_slots,
        )

    @staticmethod
    def findings(played: Played) -> Findings:
        """Nothing besides."""
        del played
        return Findings()
