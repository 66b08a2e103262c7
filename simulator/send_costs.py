"""What recent messages cost in a world whose campaign says so: taken off the exact rewards, as it is off those of a log."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from simulator.silence import Silence
from simulator.world import Arrival


@dataclass(frozen=True, slots=True, eq=False)
class SendCosts:
    """The cost of each recent message, `[reward].recent_send`.

    Args:
        campaign: whose reward.
        silence: which of its choices send nothing, and so cost nothing.
    """

    campaign: Campaign
    silence: Silence

    @property
    def memory(self) -> timedelta:
        """For how long a message counts; not at all where none costs anything."""
        spec = self.campaign.reward.recent_send
        return spec.within if spec else timedelta(0)

    def off(self, rewards: FloatArray, arrivals: Sequence[Arrival]) -> FloatArray:
        """Rewards of every choice, less the cost given each arrival's past; shape (n_arrivals, n_choices)."""
        return rewards if self.campaign.reward.recent_send is None else self._off(rewards, self._costs(arrivals))

    def off_counted(self, rewards: FloatArray, recent_sends: Sequence[int | None] | None) -> FloatArray:
        """The same given what a log says of each row's recent messages; nothing is taken off where it does not say."""
        spec = self.campaign.reward.recent_send
        if spec is None or recent_sends is None:
            return rewards
        return self._off(rewards, np.array([spec.of(count or 0) for count in recent_sends]))

    def off_chosen(
        self, rewards: FloatArray, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]]
    ) -> FloatArray:
        """Rewards of the choice made for each arrival, less the cost; shape (n_arrivals,)."""
        if self.campaign.reward.recent_send is None:
            return rewards
        return rewards - self.silence.earning_nothing(self._costs(arrivals), choices)

    def _off(self, rewards: FloatArray, costs: FloatArray) -> FloatArray:
        silent = self.silence.choices
        return rewards - (costs[:, None] if silent is None else np.where(silent, 0.0, costs[:, None]))

    def _costs(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """What a message to each would cost, shape (n_arrivals,)."""
        spec, dimensions = self.campaign.reward.recent_send, self.campaign.dimensions
        if spec is None:
            return np.zeros(len(arrivals))
        return np.array([spec.of(spec.count(dimensions, came.past, came.at)) for came in arrivals])
