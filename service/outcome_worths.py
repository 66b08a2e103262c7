"""What outcomes were worth behind the rewards of an export, whose cost of recent messages is put back."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from evaluation.log_batch import LogBatch

_CLOSE = 1e-9
"""A reward plus its cost is off by some 1e-17 from a worth that it must equal to be known for an outcome."""


def worth_behind(campaign: Campaign, choice: Mapping[str, str], reward: float, recent_sends: float | None) -> float:
    """What the outcomes of one row were worth.

    Args:
        campaign: says what recent messages cost.
        choice: one arm a dimension.
        reward: as exported.
        recent_sends: as exported; None where the row says nothing, and then nothing was taken off.
    """
    spec = campaign.reward.recent_send
    if spec is None or not recent_sends or campaign.sends_nothing(choice):
        return reward
    worth = reward + spec.of(int(recent_sends))
    return next((one for one in _known(campaign) if math.isclose(one, worth, abs_tol=_CLOSE)), worth)


def worths_behind(batch: LogBatch, campaign: Campaign) -> FloatArray:
    """The same of all rows of a batch of the campaign, shape (n,)."""
    spec = campaign.reward.recent_send
    if spec is None or batch.recent_sends is None:
        return batch.rewards
    counts = np.array([count or 0 for count in batch.recent_sends], dtype=np.float64)
    if campaign.silent is not None:
        counts[batch.picks[:, -1] == campaign.dimensions[-1].index_of(campaign.silent)] = 0.0
    worths = batch.rewards + spec.cost * counts
    known = np.unique(_known(campaign))
    nearest = known[np.abs(worths[:, None] - known).argmin(axis=1)]
    is_close = (counts > 0.0) & np.isclose(worths, nearest, rtol=_CLOSE, atol=_CLOSE)
    return np.where(is_close, nearest, worths)


def _known(campaign: Campaign) -> tuple[float, ...]:
    """Worths that outcomes are likely to have together: of none, of one, of all that are good or bad."""
    return (0.0, *campaign.reward.worths, *campaign.reward.worth_bounds)


def with_worths(batch: LogBatch, campaign: Campaign) -> LogBatch:
    """The rows with what their outcomes were worth, where recent messages cost something."""
    if campaign.reward.recent_send is None or batch.recent_sends is None:
        return batch
    return replace(batch, worths=worths_behind(batch, campaign))
