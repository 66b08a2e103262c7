"""What happened in a campaign that was replayed: a row a send, with the truth beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import timedelta

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.wear_out import Exposure
from simulator.truth import Truth
from simulator.world import Arrival

DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedStage:
    """What happened in one stage, a row a send, in the order of deciding.

    Attributes:
        campaign: that held.
        arrivals: who came, when, and what they got before.
        groups: shape (n,), names of groups.
        picks: shape (n, n_dimensions), positions of the arms.
        propensities: shape (n, n_dimensions), given the earlier picks.
        pmfs: one a dimension, shape (n, n_arms).
        rewards: shape (n,), as the log would have them: all that was reported in time, machines included.
        revenue: shape (n,), money brought by persons within the window.
        truth: exact expected rewards of what was sent.
        deciders: shape (n,), the snapshot each was decided from; empty where no snapshot was asked.
        exposures: what each customer had got before, as the log says; empty where the campaign does not ask.
        estimates: shape (n,), the reward expected of each choice before the draw; NaN without a model.
        recent_sends: messages that each customer had got lately, as the log says; None where the campaign does not ask.
        worths: shape (n,), what the outcomes were worth, where recent messages cost something; else empty.
    """

    campaign: Campaign
    arrivals: Sequence[Arrival]
    groups: NDArray[np.str_]
    picks: NDArray[np.int64]
    propensities: FloatArray
    pmfs: tuple[FloatArray, ...]
    rewards: FloatArray
    revenue: FloatArray
    truth: Truth
    deciders: NDArray[np.str_] = field(default_factory=lambda: np.empty(0, dtype=np.str_))
    exposures: Sequence[tuple[Exposure, ...]] = ()
    estimates: FloatArray = field(default_factory=lambda: np.empty(0))
    recent_sends: Sequence[int | None] = ()
    worths: FloatArray = field(default_factory=lambda: np.empty(0))

    @property
    def earned(self) -> FloatArray:
        """What the outcomes of each send were worth, before recent messages cost anything; shape (n,)."""
        return self.worths if len(self.worths) else self.rewards


@dataclass(frozen=True, slots=True, eq=False)
class ReplayedCampaign:
    """A campaign that was replayed to its end.

    Attributes:
        stages: in time order.
        n_snapshots: how many were served.
        n_fallbacks: decisions that the random policy made in the learner's place though there was a snapshot.
        n_learned: rows that were learned from before the last decision.
        n_late: events within a window that were reported only after its row had matured.
        n_duplicates: events that were reported again.
        n_capped: decisions that the campaign's caps refused; no row is left of them.
    """

    stages: tuple[ReplayedStage, ...]
    n_snapshots: int
    n_fallbacks: int
    n_learned: int = 0
    n_late: int = 0
    n_duplicates: int = 0
    n_capped: int = 0

    @property
    def truth(self) -> Truth:
        """Of all stages."""
        parts = zip(*((s.truth.values, s.truth.uniform, s.truth.best) for s in self.stages), strict=True)
        return Truth(*(np.concatenate(part) for part in parts))

    @property
    def groups(self) -> NDArray[np.str_]:
        """Group of each send, shape (n,)."""
        return np.concatenate([stage.groups for stage in self.stages])

    @property
    def rewards(self) -> FloatArray:
        """Reported rewards, shape (n,)."""
        return np.concatenate([stage.rewards for stage in self.stages])

    @property
    def earned(self) -> FloatArray:
        """What the outcomes of each send were worth, before recent messages cost anything; shape (n,)."""
        return np.concatenate([stage.earned for stage in self.stages])

    @property
    def has_costs(self) -> bool:
        """Whether recent messages took something off the rewards of any stage."""
        return any(stage.campaign.reward.recent_send for stage in self.stages)

    @property
    def days(self) -> FloatArray:
        """Days from the first send to each, shape (n,)."""
        times = [arrival.at for stage in self.stages for arrival in stage.arrivals]
        return np.array([(at - times[0]) / DAY for at in times])
