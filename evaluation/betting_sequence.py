"""Confidence sequences by betting: a mean, or the value of a policy, that may be looked at after every send.

A gambler who thinks that the mean is above m stakes a part of the wealth on every row. If the mean is m or less, wealth
of 2 / alpha is reached with probability at most alpha / 2, ever; so every m at which it was reached is ruled out.
"""

from __future__ import annotations

from math import exp, inf, log

import numpy as np
from numpy.typing import ArrayLike

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.bets import Bets
from evaluation.empirical_bernstein import (
    LARGEST_BET,
    ConfidenceSequence,
    in_order,
    mean_before,
    predictable_bets,
    unit_rewards,
)
from evaluation.intervals import require_level
from evaluation.looks import checked_looks, horizons
from evaluation.reward_range import scaled

UNPLANNED = (500.0, 2500.0, 12500.0, 62500.0)
"""Rows. Without a plan the stake is divided among gamblers who plan for these; it costs about a tenth of the width."""

PRIOR_ROWS = 200
"""Rows that the rough variance (weights squared times rewards squared) counts for; with few rewards it knows more."""

IMPOSSIBLE = 1e4
"""Wealth against "weights have mean 1" above which the log is refused: 1 in 10,000 honest logs for either side."""

ROWS_AT_ONCE = 512


def betting_sequence(rewards: ArrayLike, confidence_level: float = 0.95, grid_steps: int = 1000) -> ConfidenceSequence:
    """The mean of rewards in [0, 1] after every row, by the hedged betting sequence.

    Args:
        rewards: shape (n,), in [0, 1], in the order in which they were drawn.
        confidence_level: in (0, 1), of both bounds at all rows together.
        grid_steps: bounds are multiples of 1 / grid_steps, rounded outwards by one step.

    Returns:
        One look a row.

    Raises:
        UnusableLog: if there is no reward, one is outside [0, 1] or not finite, or the bounds contradict each other.
        InvalidSettings: if confidence_level or grid_steps is out of range.

    Caution: rows must share one mean given the rows before. Rewards that a learner drew from ever better arms do not.

    Source: Waudby-Smith and Ramdas (2024), JRSS B 86, theorem 3 with theta 1/2 and truncation 1/2.

    >>> answer = betting_sequence([0, 1] * 500)
    >>> round(answer.ci_lower, 3), round(answer.ci_upper, 3)
    (0.433, 0.563)
    """
    require_level(confidence_level)
    if grid_steps < 1:
        raise InvalidSettings(
            f"grid_steps is {grid_steps!r}, need at least 1. Bounds are found on that many steps between 0 and 1: leave it at "
            "1000 unless rewards are so rare that .001 is coarse."
        )
    values, half = unit_rewards(rewards), (1 - confidence_level) / 2
    bets = predictable_bets(values, half)
    lower = _grid_lower(values, bets, half, grid_steps)
    upper = 1 - _grid_lower(1 - values, bets, half, grid_steps)
    return in_order(np.arange(1, len(values) + 1), lower, upper, "betting sequence")


def policy_value_sequence(
    weights: ArrayLike,
    rewards: ArrayLike,
    largest_weight: float | None,
    confidence_level: float = 0.95,
    *,
    reward_range: tuple[float, float] = (0.0, 1.0),
    planned: int | None = None,
    looks: ArrayLike | None = None,
) -> ConfidenceSequence:
    """The mean reward a fixed policy would have earned, from sends that a learner chose by known probabilities.

    Bets are on w r and, with the largest weight known, half on b + w (r - b), b being the mean reward of the rows before.

    Args:
        weights: shape (n,), probability of the sent arm under the target over its logged one, in order of decision.
        rewards: shape (n,), matured, in `reward_range`.
        largest_weight: what no weight can exceed by the logger's floor, at least 1; None if that is unknown.
        confidence_level: in (0, 1), of both bounds at all looks together.
        reward_range: least and largest reward that is possible, not that was seen.
        planned: rows after which the bounds shall be narrowest, settled before the first look; None if unsettled.
        looks: shape (n_looks,), rising numbers of rows after which to give bounds; None for the last row alone.

    Returns:
        The bounds at each look, in reward units. Each look uses every row before it, looked at or not.

    Raises:
        UnusableLog: if rows are not what is said above, no row has weight, the mean weight cannot be 1, or the bounds
            contradict each other.
        InvalidSettings: if another argument is out of range.

    Caution: the target must not have been chosen by these rewards, and its value must not drift. Pass rows up to some
    decision, all matured: those whose reward happened to come first are not a fair sample. With largest_weight None the
    upper bound is much further away where arms are sent about evenly. Each look costs the time of all rows before it.

    Source: Waudby-Smith, Wu, Ramdas, Karampatziakis and Mineiro (2022), Anytime-valid off-policy inference for
    contextual bandits; the upper bound is the lower bound of 1 - r.

    >>> sent_by_target = [2.0, 0.0] * 500
    >>> clicks = [1, 0, 0, 1] * 250
    >>> answer = policy_value_sequence(sent_by_target, clicks, largest_weight=2, planned=1000)
    >>> round(answer.ci_lower, 3), round(answer.ci_upper, 3)
    (0.437, 0.565)
    """
    require_level(confidence_level)
    _require_largest(largest_weight)
    outcomes = scaled(rewards, reward_range)
    ratios = _checked_weights(weights, len(outcomes), largest_weight)
    rows, plans = checked_looks(looks, len(outcomes)), horizons(planned, UNPLANNED)
    half = (1 - confidence_level) / 2
    _require_mean_one(ratios[: rows[-1]], largest_weight, plans)
    wanted = log(1 / half)
    lower, other = (
        _side(ratios, earned, largest_weight, half, plans).bounds(rows, wanted, lambda n: _refused(n, wanted))
        for earned in (outcomes, 1 - outcomes)
    )
    upper = 1 - other
    least, width = reward_range[0], reward_range[1] - reward_range[0]
    return in_order(rows, least + width * lower, least + width * upper, "betting sequence of a policy's value")


def _grid_lower(rewards: FloatArray, bets: FloatArray, half: float, steps: int) -> FloatArray:
    """Lower bound after every row: one step below the least grid point that no row so far has ruled out.

    A larger mean is never ruled out before a smaller one, so counting the points that are out is enough.
    """
    grid, n = np.arange(steps + 1) / steps, len(rewards)
    out_at, wealth, alive = np.full(steps + 1, n), np.zeros(steps + 1), np.arange(steps + 1)
    for start in range(0, n, ROWS_AT_ONCE):
        rows, means = slice(start, start + ROWS_AT_ONCE), grid[alive]
        with np.errstate(divide="ignore"):  # at mean 0 nothing can be lost, and there is no cap
            stakes = np.minimum(bets[rows, np.newaxis], LARGEST_BET / means)
        paths = wealth + np.cumsum(np.log1p(stakes * (rewards[rows, np.newaxis] - means)), axis=0)
        reached = paths > log(1 / half)
        out = reached.any(axis=0)
        out_at[alive[out]] = start + reached.argmax(axis=0)[out]
        alive, wealth = alive[~out], paths[-1, ~out]
    n_out = np.cumsum(np.bincount(out_at, minlength=n + 1))[:n]
    return np.asarray(np.maximum(n_out - 1, 0) / steps, dtype=np.float64)


def _refused(n: int, wanted: float) -> float:
    raise UnusableLog(
        f"the first {n} rows say that the value lies beyond every possible reward, as at most {exp(-wanted):.3g} of "
        "honest logs do. No bound from them means anything: check that weights are target over logged probability, "
        "run the audit of propensities, and if all is well start again with later rows."
    )


def _side(
    weights: FloatArray, rewards: FloatArray, largest: float | None, half: float, plans: tuple[float, ...]
) -> Bets:
    """Bets that the policy's mean reward is higher; on 1 - rewards, that it is lower."""
    plain = _bets(weights, rewards, np.zeros(len(rewards)), 1.0, half, plans)
    if largest is None:
        return plain
    # Subtracting a mean takes most variance away where weights vary. Where they seldom do, as on the arm that a learner
    # prefers, it only makes the worst score worse and so the stakes smaller. Either may be; the wealth is divided.
    based = _bets(weights, rewards, mean_before(rewards, 0.5), largest, half, plans)
    scores, least, stakes = (
        np.concatenate(both)
        for both in ((plain.scores, based.scores), (plain.least, based.least), (plain.stakes, based.stakes))
    )
    return Bets(scores, least, stakes, LARGEST_BET)


def _bets(
    weights: FloatArray, rewards: FloatArray, base: FloatArray, largest: float, half: float, plans: tuple[float, ...]
) -> Bets:
    scores, least = base + weights * (rewards - base), base * (1 - largest)
    rough = mean_before(weights**2, 1.0) * mean_before((rewards - base) ** 2, 0.25)
    squares = (scores - np.clip(mean_before(scores, 0.5), 0.0, 1.0)) ** 2
    stakes = _stakes(squares, rough, half, plans)
    return Bets(np.broadcast_to(scores, stakes.shape), np.broadcast_to(least, stakes.shape), stakes, LARGEST_BET)


def _stakes(squares: FloatArray, rough: FloatArray, half: float, plans: tuple[float, ...]) -> FloatArray:
    """sqrt(2 ln(1/half) / (horizon * variance)) by gambler and row, the variance being of the rows before."""
    n_before = np.arange(len(squares))
    variances = (PRIOR_ROWS * rough + mean_before(squares, 0.0) * (n_before + 1)) / (PRIOR_ROWS + n_before)
    rows = np.array(plans)[:, np.newaxis]
    return np.asarray(np.sqrt(2 * log(1 / half) / (rows * variances)), dtype=np.float64)


def _require_mean_one(weights: FloatArray, largest: float | None, plans: tuple[float, ...]) -> None:
    """Bet that the mean weight is above 1 and, where a base is subtracted and so it matters, that it is below."""
    squares = (weights - 1) ** 2
    stakes = _stakes(squares, mean_before(squares, 1.0), 1 / IMPOSSIBLE, plans)
    sides = [(Bets(weights, np.zeros(len(weights)), stakes, LARGEST_BET), 1.0)]
    if largest is not None:
        sides.append((Bets(-weights, np.full(len(weights), -largest), stakes, LARGEST_BET), -1.0))
    if not weights.any() or any(side.log_wealth(mean, len(weights)) > log(IMPOSSIBLE) for side, mean in sides):
        raise UnusableLog(
            f"weights have mean {weights.mean():.4g} over {len(weights)} rows, which chance does not explain: it is 1 where "
            "every arm of the target had a logged probability above 0, and all of them are right. This log cannot answer "
            "for this target: check overlap, and run the audit of propensities."
        )


def _require_largest(largest: float | None) -> None:
    if largest is not None and not 1 <= largest < inf:
        raise InvalidSettings(
            f"largest_weight is {largest!r}, need a number of at least 1, which is the mean of all weights. It limits every "
            "bet: pass 1 over the least logged probability of an arm the target may send, or None if there is no floor."
        )


def _checked_weights(weights: ArrayLike, n: int, largest: float | None) -> FloatArray:
    values, limit = np.asarray(weights, dtype=np.float64), inf if largest is None else largest * (1 + 1e-9)
    if values.shape != (n,):
        raise UnusableLog(
            f"weights have shape {values.shape} for {n} rewards. Each send needs its weight: pass one a row."
        )
    # Written so that NaN fails the comparison instead of passing it.
    broken = np.flatnonzero(~((values >= 0) & (values <= limit) & (values < inf)))
    if len(broken):
        raise UnusableLog(
            f"weight of row {broken[0]} is {float(values[broken[0]])!r} ({len(broken)} such rows), need a finite number >= 0"
            f"{'' if largest is None else f' and at most the largest_weight {largest!r}'}. One of them makes the bounds "
            "false: weights are target over logged probability; see which propensities break the floor."
        )
    return values
