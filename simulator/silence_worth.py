"""What silence is worth: the rewards of messages alone, where a campaign may also send nothing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bandit.arrays import BoolArray, FloatArray
from simulator.campaign_world import CampaignWorld
from simulator.silence import Silence
from simulator.world import Arrival

_CHUNK: Final = 64


@dataclass(frozen=True, slots=True, eq=False)
class MessageWorths:
    """Exact expected rewards, in reward units; each of shape (n_arrivals,).

    Where the rules leave no message at all, nothing is sent and nothing earned.

    Args:
        random: of a message drawn by the random policy.
        best: of the best message for each customer.
        best_choice: of the best choice, silence included; never less than that of the best message.
    """

    random: FloatArray
    best: FloatArray
    best_choice: FloatArray


def message_worths(world: CampaignWorld, arrivals: Sequence[Arrival]) -> MessageWorths:
    """What messages would bring at each arrival's own moment, of those that may be sent.

    What the best choice brings less what the best message brings is what silence is worth to somebody who knows everything.

    Args:
        world: whose truth is asked.
        arrivals: the decisions, with their past.
    """
    silent = Silence(world.campaign, world.choices).choices
    writes: BoolArray = np.ones(len(world.choices), dtype=np.bool_) if silent is None else ~silent
    worths = MessageWorths(*np.zeros((3, len(arrivals))))
    for first in range(0, len(arrivals), _CHUNK):
        some = slice(first, first + _CHUNK)
        rewards = world.expected_rewards_after(arrivals[some])
        allowed = world.random_pmf_at(arrivals[some])
        pmf = allowed * writes
        total = pmf.sum(axis=1)
        has_message = total > 0.0
        worths.random[some] = np.divide((pmf * rewards).sum(axis=1), total, out=np.zeros(len(total)), where=has_message)
        worths.best[some] = np.where(has_message, np.where(pmf > 0.0, rewards, -np.inf).max(axis=1), 0.0)
        worths.best_choice[some] = np.where(allowed > 0.0, rewards, -np.inf).max(axis=1)
    return worths
