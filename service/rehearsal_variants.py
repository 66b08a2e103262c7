"""What a campaign is held against in a rehearsal: itself with another floor, and with another window."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from bandit.campaign import DEFAULT_FLOOR, Campaign
from bandit.reward import LONGEST_WINDOW


@dataclass(frozen=True, slots=True)
class Variant:
    """The campaign with one thing changed, and what that is in words."""

    name: str
    campaign: Campaign


def variants_of(campaign: Campaign) -> tuple[Variant, ...]:
    """No floor, half and twice the floor, half and twice the window.

    >>> from bandit import read_campaign
    >>> from service.sample import sample_text
    >>> [variant.name for variant in variants_of(read_campaign(sample_text("referral-contest")))]
    ['floor 0', 'floor 0.025', 'floor 0.1', 'window 36h', 'window 144h']
    """
    floor, window = campaign.policy.floor, campaign.reward.window
    floors = sorted({0.0, floor / 2.0, min(2.0 * floor, 1.0)} - {floor}) or [DEFAULT_FLOOR]
    windows = sorted({window / 2, min(2 * window, LONGEST_WINDOW)} - {window})
    return (
        *(Variant(f"floor {one:g}", replace(campaign, policy=replace(campaign.policy, floor=one))) for one in floors),
        *(
            Variant(
                f"window {one / timedelta(hours=1):g}h", replace(campaign, reward=replace(campaign.reward, window=one))
            )
            for one in windows
        ),
    )
