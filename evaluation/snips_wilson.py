"""Wilson's interval on the effective sample of a self-normalised estimate, for rewards that are 0 or 1."""

from __future__ import annotations

from evaluation.columns import REWARD, WEIGHED_REWARD, WEIGHT, Column, Factor, has_one_reward
from evaluation.estimator import Estimate
from evaluation.intervals import require_level, wilson
from evaluation.snips import Snips
from evaluation.sums import Sums
from evaluation.weight_rules import Power

_ORDERS = range(2, 7)
COLUMNS = (
    REWARD,
    WEIGHT,
    WEIGHED_REWARD,
    *(Column(factor, Power(k)) for k in _ORDERS for factor in (Factor.ONE, Factor.REWARD)),
)
"""What `snips_wilson` sums."""
METHOD = "Wilson on the effective sample"


def snips_wilson(sums: Sums, confidence_level: float = 0.95) -> Estimate:
    """The weighted average of 0/1 rewards, with Wilson's interval on as many sends as its spread amounts to.

    A row's error counts as if the average had been made without that row, 1 / (1 - its share of all weight), so that the
    few heavy rows which drag the average along do not hide their own error.

    Args:
        sums: over `COLUMNS`.
        confidence_level: in (0, 1).

    Returns:
        An interval inside [0, 1], with width also where no reward was seen; [c, c] where every row has reward c and the
        target weighs each row alike.

    Caution: for rewards in {0, 1} only. Where one row holds more than a third of all weight the correction, a power series
    of five terms, falls short; such a log is unreliable anyway.

    Source: Wilson (1927) on n = v (1 - v) / s^2; leave-one-out errors as in MacKinnon and White (1985).
    """
    require_level(confidence_level)
    value = Snips().value(sums)
    if has_one_reward(sums):
        # Only 0 or only 1 was ever seen: an average of them is exact, and no other reward is known of.
        return Estimate(value, 0.0, value, value, "all rewards are equal")
    error = _squared_error(sums, value)
    if error <= 0.0:
        n_effective = sums.n * sums.mean(WEIGHT.name) ** 2 / sums.mean(Column(Factor.ONE, Power(2)).name)
    else:
        n_effective = value * (1.0 - value) / error
    found = wilson(value * n_effective, n_effective, confidence_level)
    return Estimate(value, max(error, 0.0) ** 0.5, found.ci_lower, found.ci_upper, METHOD)


def _squared_error(sums: Sums, value: float) -> float:
    """Squared standard error: sum of w^2 (r - v)^2 / (1 - w/W)^2 over W^2, the middle part as a series in w/W."""
    weight = sums.n * sums.mean(WEIGHT.name)
    total = 0.0
    for k in _ORDERS:
        once = sums.mean(Column(Factor.ONE, Power(k)).name)
        rewarded = sums.mean(Column(Factor.REWARD, Power(k)).name)
        # r^2 = r for rewards of 0 and 1.
        spread = sums.n * max(rewarded * (1.0 - 2.0 * value) + value**2 * once, 0.0)
        total += (k - 1) * spread / weight ** (k - 2)
    return total / weight**2
