"""Who is named a winner where nobody can be one: groups by two rules that look daily, and arms as `manyarm compare` does."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from bandit.campaign import Campaign
from bandit.group import Group
from evaluation.arm_comparison import ArmComparison, compare_arms
from evaluation.arm_scores import ArmRows
from evaluation.finding import Word
from evaluation.group_comparison import Rule
from service.lift_seen import FirstDays, naive
from service.played_campaign import PlayedCampaign, played
from simulator.level_campaign import levelled
from simulator.replay import Worlds
from simulator.world import ImpossibleWorld

_EVEN = 1e-9
_MARGIN = 1e-3
"""As a share of the rewards' range: of no account here, for it makes no winner."""
_NAMED = frozenset({Word.WINNER, Word.HARM})


@dataclass(frozen=True, slots=True)
class NamedWinners:
    """What is said of a campaign in a world without effects; whatever is named is false.

    Attributes:
        always_valid: when learner or control was named, by bounds that hold at every look.
        naive: when one was by a two-proportion test that is read daily.
        dimensions: those in which an arm was said to earn more or less than another, or than the rest; none where arms arrive
            or are retired on the way.
    """

    always_valid: FirstDays
    naive: FirstDays
    dimensions: tuple[str, ...] = ()


def named_winners(
    campaign: Campaign, without_effects: Worlds, n_sends: int, seed: int, confidence_level: float = 0.95
) -> NamedWinners:
    """Play a campaign in a world without effects, levelled (`simulator.level_campaign`), and hear who is named.

    Args:
        campaign: as planned.
        without_effects: worlds in which every message is as good as any other.
        n_sends: how many.
        seed: of world and draws.
        confidence_level: of the bounds; those of arms hold for each dimension by itself.

    Raises:
        ImpossibleWorld: if the worlds have effects after all.
    """
    still = played(levelled(campaign), without_effects, n_sends, seed)
    _require_no_effects(still)
    dimensions = _of_arms(still, campaign, confidence_level)
    return NamedWinners(still.first_days(campaign, confidence_level), naive(still.looks), dimensions)


def _require_no_effects(still: PlayedCampaign) -> None:
    truth = still.campaign.truth
    largest = float((truth.best - truth.uniform).max())
    if largest > _EVEN:
        raise ImpossibleWorld(
            f"the worlds without effects have a choice that earns {largest:.3g} more than a random one: whoever sees that "
            "winner is not wrong. Rehearse false winners in worlds where every choice is as good as any other."
        )


def _of_arms(still: PlayedCampaign, campaign: Campaign, confidence_level: float) -> tuple[str, ...]:
    """Dimensions in which an arm is named at the end; the bounds only ever close, so also whoever was named on the way."""
    stage = still.campaign.stages[0]
    drawn = still.campaign.groups != Group.CONTROL.value
    if len(still.campaign.stages) > 1 or not drawn.any():
        return ()
    due, days = np.maximum.accumulate(still.due[drawn]), still.campaign.days[drawn]
    known = np.minimum(np.searchsorted(due, days, side="right"), np.arange(len(days)))
    low, high = campaign.reward.bounds
    shares = campaign.groups.shares
    planned = still.planned(shares[Group.LEARNER] + shares[Group.RANDOM])
    rule = Rule((low, high), planned, _MARGIN * (high - low), confidence_level)
    found = []
    for place, (dimension, pmf) in enumerate(zip(stage.campaign.dimensions, stage.pmfs, strict=True)):
        rows = ArmRows.of(
            pmf[drawn], stage.picks[drawn, place], still.campaign.rewards[drawn],
            customers=still.customers[drawn], known=known, reward_range=(low, high),
            rewarded=still.campaign.earned[drawn] != 0.0,
        )  # fmt: skip
        if len(dimension.arms) > 1 and _names(compare_arms(dimension.name, dimension.ids, rows, rule)):
            found.append(dimension.name)
    return tuple(found)


def _names(found: ArmComparison) -> bool:
    """Whether any arm is said to earn more or less than another, or than the rest."""
    contrasts = [*(line.rest for line in found.lines), *found.pairs]
    return any(one.finding.word in _NAMED for one in contrasts)
