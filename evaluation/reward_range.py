"""The reward range: the least and the largest that a reward can be, on which every bet rests."""

from __future__ import annotations

from math import inf

import numpy as np
from numpy.typing import ArrayLike

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.intervals import finite_rewards


def scaled(rewards: ArrayLike, reward_range: tuple[float, float]) -> FloatArray:
    """Rewards, shape (n,), on the scale where their range is [0, 1].

    Args:
        rewards: shape (n,), in reward units.
        reward_range: least and largest reward that is possible, not that was seen.

    Raises:
        UnusableLog: if there is no reward, or one is not finite or out of range.
        InvalidSettings: if the range is not two finite numbers in order.

    >>> scaled([0.0, 1.0, -1.0], (-1.0, 1.0)).tolist()
    [0.5, 1.0, 0.0]
    """
    least, largest = reward_range
    if not -inf < least < largest < inf:
        raise InvalidSettings(
            f"reward_range is {reward_range!r}, need the least and the largest possible reward, in this order and finite. "
            "Without them a reward that was never seen could be any size: pass what the campaign's reward can be."
        )
    values = finite_rewards(rewards)
    broken = np.flatnonzero((values < least) | (values > largest))
    if len(broken):
        raise UnusableLog(
            f"reward of row {broken[0]} is {float(values[broken[0]])!r} ({len(broken)} such rows), need {reward_range}. The "
            "bound rests on knowing what a reward can be: pass the reward_range of the campaign, or correct the join."
        )
    return np.asarray(np.clip((values - least) / (largest - least), 0.0, 1.0), dtype=np.float64)
