"""A campaign played in the worlds of one seed, with what somebody sees who looks at it every day."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.group import Group
from service.lift_seen import DailyLooks, FirstDays, always_valid
from service.replaying import Contender, replayed
from simulator.replay import Stage, Worlds
from simulator.replayed import DAY, ReplayedCampaign, ReplayedStage
from simulator.world import IntArray, SendingWorld


@dataclass(frozen=True, slots=True, eq=False)
class PlayedCampaign:
    """A replay with its worlds; rows of all stages together.

    Attributes:
        stages: as they were to be.
        campaign: how they went.
        customers: shape (n,), a number for each customer.
    """

    stages: tuple[Stage, ...]
    campaign: ReplayedCampaign
    customers: IntArray = field(init=False)

    def __post_init__(self) -> None:
        names = [arrival.customer_id for stage in self.campaign.stages for arrival in stage.arrivals]
        object.__setattr__(self, "customers", np.unique(names, return_inverse=True)[1].astype(np.int64))

    @property
    def pairs(self) -> Sequence[tuple[Stage, ReplayedStage]]:
        """Stages as they were to be and as they went."""
        return list(zip(self.stages, self.campaign.stages, strict=True))

    @property
    def due(self) -> FloatArray:
        """Days from the first send until the reward of each is final, shape (n,)."""
        waits: FloatArray = np.concatenate([_days_to_final(*pair) for pair in self.pairs])
        return self.campaign.days + waits

    @property
    def looks(self) -> DailyLooks:
        """What somebody sees who compares learner and control every day."""
        campaign, groups = self.campaign, self.campaign.groups
        either = (groups == Group.LEARNER.value) | (groups == Group.CONTROL.value)
        return DailyLooks.of(
            (groups == Group.LEARNER.value)[either], self.customers[either], campaign.rewards[either], self.due[either],
            worths=campaign.earned[either] if campaign.has_costs else None,
        )  # fmt: skip

    def first_days(self, campaign: Campaign, confidence_level: float) -> FirstDays:
        """When the bounds of `manyarm compare` first tell learner and control apart.

        Args:
            campaign: as planned: its groups, and what a reward can be.
            confidence_level: of both bounds.
        """
        shares = campaign.groups.shares
        learner, control = shares[Group.LEARNER], shares[Group.CONTROL]
        if not (learner and control):
            return FirstDays()
        planned = self.planned(learner + control)
        return always_valid(
            self.looks, learner / (learner + control), campaign.reward.bounds, planned, confidence_level
        )

    def planned(self, share: float) -> int:
        """Sends that a share of the customers was to get, at least 1."""
        return max(round(sum(stage.n_sends for stage in self.stages) * share), 1)


@dataclass(slots=True, eq=False)
class _Kept:
    """Worlds that keep the stages they made last, so that nobody need make them twice."""

    worlds: Worlds
    made: tuple[Stage, ...] = ()

    def stages(self, campaign: Campaign, seed: int, n_sends: int) -> tuple[Stage, ...]:
        """Those of the worlds."""
        self.made = self.worlds.stages(campaign, seed, n_sends)
        return self.made


def played(campaign: Campaign, worlds: Worlds, n_sends: int, seed: int) -> PlayedCampaign:
    """Play a campaign.

    Args:
        campaign: the trainer comes as often as it says, or daily.
        worlds: in which.
        n_sends: how many.
        seed: of worlds and draws.
    """
    kept = _Kept(worlds)
    found = replayed(Contender("rehearsed", campaign, campaign.learn_every or DAY), kept, n_sends, seed)
    return PlayedCampaign(kept.made, found)


def _days_to_final(stage: Stage, found: ReplayedStage) -> FloatArray:
    """Days from each decision until its window has closed, shape (n,)."""
    world, window = stage.world, stage.world.window / DAY
    if not isinstance(world, SendingWorld):
        return np.full(len(found.arrivals), window)
    rows = zip(found.arrivals, found.picks, strict=True)
    sent = [world.sent_at(arrival, found.campaign.choice_of(picks)) - arrival.at for arrival, picks in rows]
    return np.array([wait / DAY for wait in sent]) + window
