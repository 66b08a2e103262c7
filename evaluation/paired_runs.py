"""Two contenders that were run on the same seeds: the difference a seed, and how sure its mean is."""

from __future__ import annotations

from dataclasses import replace

from numpy.typing import ArrayLike

from bandit.errors import UnusableLog
from evaluation.intervals import Interval, finite_rewards, require_level, student


def paired_difference(values: ArrayLike, others: ArrayLike, confidence_level: float = 0.95) -> Interval:
    """How much better one contender is than the other, by Student's t over the seeds both were run on.

    What both owe to the seed (customers, tastes, luck) stands in either figure and leaves the difference.

    Args:
        values: shape (n_seeds,), one figure a seed.
        others: shape (n_seeds,), the other contender's, of the same seeds in the same order.
        confidence_level: in (0, 1).

    Raises:
        UnusableLog: if there are fewer than two seeds, not as many of one as of the other, or a figure is not finite.

    Caution: the interval is about seeds as they were drawn, so about worlds of this kind; it says nothing about others.
    Looking again after every further seed needs another one.

    Source: Student (1908), The probable error of a mean.

    >>> found = paired_difference([3.0, 5.0, 4.0], [1.0, 2.0, 3.0])
    >>> found.estimate, round(found.ci_lower, 3), round(found.ci_upper, 3)
    (2.0, -0.484, 4.484)
    """
    require_level(confidence_level)
    one, other = finite_rewards(values), finite_rewards(others)
    if len(one) != len(other) or len(one) < 2:
        raise UnusableLog(
            f"{len(one)} and {len(other)} runs: a paired interval needs both contenders on the same seeds, at least two."
        )
    return replace(student(one - other, confidence_level), method="paired Student's t over seeds")


def mean_over_runs(values: ArrayLike, confidence_level: float = 0.95) -> Interval:
    """The mean figure of one contender, by Student's t over its seeds.

    Raises:
        UnusableLog: if there are fewer than two seeds, or a figure is not finite.

    >>> mean_over_runs([1.0, 2.0, 3.0]).estimate
    2.0
    """
    require_level(confidence_level)
    figures = finite_rewards(values)
    if len(figures) < 2:
        raise UnusableLog("one run: a single one says nothing about how far others may lie. Give at least two.")
    return student(figures, confidence_level)
