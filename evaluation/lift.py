"""Lift: what one randomised group of customers earned beyond another, usually learner or random against control."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite, isnan, sqrt

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike, NDArray

from bandit.errors import UnusableLog
from evaluation.intervals import Interval, finite_rewards, is_binary, require_answer, require_level
from evaluation.score_intervals import score_difference, score_ratio


@dataclass(frozen=True, slots=True)
class GroupSums:
    """What a lift needs to know of one group; make it with `GroupSums.of`.

    Args:
        n_sends: matured sends.
        n_customers: different customers among them.
        reward_sum: in reward units.
        residual_squares: sum over customers of (their rewards - group value * their sends)^2, in squared reward units.
            Kept centred, because a difference of raw squares loses its digits when rewards lie far from 0.
        is_binary: whether every reward was 0 or 1.

    Raises:
        UnusableLog: if the numbers cannot belong together.
    """

    n_sends: int
    n_customers: int
    reward_sum: float
    residual_squares: float
    is_binary: bool

    def __post_init__(self) -> None:
        fits = 0 <= self.n_customers <= self.n_sends and (self.n_customers > 0 or self.n_sends == 0)
        if not fits or not isfinite(self.reward_sum) or not 0 <= self.residual_squares < inf:
            raise UnusableLog(
                f"{self} cannot come from a log: it needs 0 <= n_customers <= n_sends, a finite reward_sum and "
                "residual_squares >= 0. Make it with GroupSums.of(rewards, customers)."
            )

    @classmethod
    def of(cls, rewards: ArrayLike, customers: ArrayLike) -> GroupSums:
        """Sum up one group.

        Args:
            rewards: shape (n_sends,), finite, in reward units; may be negative.
            customers: shape (n_sends,), the customer key of each send; customers may repeat, keys must not be missing.

        Returns:
            The sums; of two empty arrays, sums of 0, so that `lift` can name the empty group.

        Raises:
            UnusableLog: if a reward is not finite, a key is missing, or the lengths differ.
        """
        if np.size(rewards) == 0 and np.size(customers) == 0:
            return cls(0, 0, 0.0, 0.0, is_binary=True)
        values = finite_rewards(rewards)
        member, sends = _members(customers, len(values))
        earned = np.bincount(member, weights=values)
        residuals = earned - values.sum() / len(values) * sends
        # Equal customers must give exactly 0, not 1e-34: a variance made of rounding would call any gap certain.
        residuals[np.abs(residuals) <= 1e-12 * np.abs(earned).max()] = 0.0
        return cls(len(values), len(sends), float(values.sum()), float(residuals @ residuals), is_binary(values))

    @property
    def value(self) -> float:
        """Mean reward of a send, in reward units."""
        return self.reward_sum / self.n_sends

    @property
    def value_variance(self) -> float:
        """Variance of `value`, customers being the independent units (linearised ratio of two sums)."""
        return self.n_customers / (self.n_customers - 1) * self.residual_squares / self.n_sends**2

    @property
    def is_rate(self) -> bool:
        """Whether sends are independent and rewards are 0 or 1, so that counts say everything."""
        return self.is_binary and self.n_customers == self.n_sends


@dataclass(frozen=True, slots=True)
class Lift:
    """The answer of `lift`.

    Args:
        value_treated: mean reward of a treated send, in reward units.
        value_control: mean reward of a control send, in reward units.
        difference: treated minus control, in reward units; `n` is the sends of both groups.
        relative: treated / control - 1, dimensionless (0.1 is ten percent more), or None.
        p_value: of no difference, two-sided, or None.
        method: how intervals and p-value were found.
        reason: why `relative` or `p_value` is None; None where both are given.
    """

    value_treated: float
    value_control: float
    difference: Interval
    relative: Interval | None
    p_value: float | None
    method: str
    reason: str | None

    def __post_init__(self) -> None:
        require_answer(None if self.relative is None else self.p_value, self.reason)


def lift(treated: GroupSums, control: GroupSums, confidence_level: float = 0.95) -> Lift:
    """What the treated group earned beyond control, absolutely and relatively.

    Where every customer has one send and every reward is 0 or 1, score intervals and the score test. Otherwise Welch's
    t with customers as the units, and Fieller's interval for the relative lift: unlike the delta method it never
    contradicts the p-value about "no difference", and it owns up when control is too close to 0 to divide by.

    Args:
        treated: the group asked about (learner or random).
        control: the group it is measured against.
        confidence_level: in (0, 1).

    Returns:
        Both values, the difference, the relative lift and the p-value.

    Raises:
        UnusableLog: if a group has fewer than two customers, or nothing varies between customers.

    Caution: groups must be fixed by a hash of the customer, disjoint, and looked at once, on the planned date; for
    arms picked by a learner, or for watching daily, this p-value is wrong.

    Source: Miettinen and Nurminen (1985); Fieller (1954); linearised variance as in Deng, Knoblich and Lu (2018).

    >>> answer = lift(GroupSums.of([1, 0, 1, 0], list("abcd")), GroupSums.of([0, 0, 0, 1], list("efgh")))
    >>> answer.difference.estimate, round(answer.p_value, 3)
    (0.25, 0.495)
    """
    require_level(confidence_level)
    _require_customers(treated, "treated")
    _require_customers(control, "control")
    if treated.is_rate and control.is_rate:
        return _lift_of_rates(treated, control, confidence_level)
    return _lift_of_clusters(treated, control, confidence_level)


def _lift_of_rates(treated: GroupSums, control: GroupSums, confidence_level: float) -> Lift:
    difference = score_difference(
        treated=treated.reward_sum,
        n_treated=treated.n_sends,
        control=control.reward_sum,
        n_control=control.n_sends,
        confidence_level=confidence_level,
    )
    relative, p_value, reasons = None, None, []
    if control.reward_sum > 0:
        ratio = score_ratio(
            treated=treated.reward_sum,
            n_treated=treated.n_sends,
            control=control.reward_sum,
            n_control=control.n_sends,
            confidence_level=confidence_level,
        )
        relative = _less_one(ratio.estimate, ratio.ci_lower, ratio.ci_upper, ratio.n, "score, relative lift")
    else:
        reasons.append(_nothing_to_divide_by(control))
    successes, n_sends = treated.reward_sum + control.reward_sum, treated.n_sends + control.n_sends
    if 0 < successes < n_sends:
        p_value = _score_p_value(treated, control)
    else:
        reasons.append(f"No p-value: all {n_sends} rewards are {successes / n_sends:.0f}. Wait until they differ.")
    return Lift(treated.value, control.value, difference, relative, p_value, "score", " ".join(reasons) or None)


def _score_p_value(treated: GroupSums, control: GroupSums) -> float:
    from statsmodels.stats.proportion import (  # noqa: PLC0415 - it takes a second to load
        test_proportions_2indep as score_test,
    )

    # statsmodels also computes odds and ratios we do not read, which divide by 0 where a rate is 0 or 1.
    with np.errstate(divide="ignore", invalid="ignore"):
        result = score_test(
            treated.reward_sum, treated.n_sends, control.reward_sum, control.n_sends, method="score", compare="diff"
        )
    return float(result.pvalue)


def _lift_of_clusters(treated: GroupSums, control: GroupSums, confidence_level: float) -> Lift:
    variance_treated, variance_control = treated.value_variance, control.value_variance
    variance = variance_treated + variance_control
    if variance == 0:
        raise UnusableLog(
            f"no customer differs from another (treated all {treated.value:.6g}, control all {control.value:.6g} per "
            "send). Without spread there is no interval and no test: wait for rewards, or check that outcomes are joined."
        )
    degrees = variance**2 / (
        variance_treated**2 / (treated.n_customers - 1) + variance_control**2 / (control.n_customers - 1)
    )
    critical, gap = float(scipy.stats.t.ppf((1 + confidence_level) / 2, degrees)), treated.value - control.value
    half, n_sends = critical * sqrt(variance), treated.n_sends + control.n_sends
    relative, reason = _fieller(treated, control, critical)
    return Lift(
        value_treated=treated.value,
        value_control=control.value,
        difference=Interval(gap, gap - half, gap + half, n_sends, "Welch's t, customers as units"),
        relative=relative,
        p_value=float(2 * scipy.stats.t.sf(abs(gap) / sqrt(variance), degrees)),
        method="Welch's t, customers as units",
        reason=reason,
    )


def _fieller(treated: GroupSums, control: GroupSums, critical: float) -> tuple[Interval | None, str | None]:
    """Every ratio r for which (treated - r * control) lies within `critical` of its own standard error."""
    spread_treated, spread_control = critical**2 * treated.value_variance, critical**2 * control.value_variance
    if control.value <= 0:
        return None, _nothing_to_divide_by(control)
    scale = control.value**2 - spread_control
    if scale <= 0:
        return None, (
            f"No relative lift: the control value {control.value:.6g} is within {sqrt(spread_control):.6g} of its own "
            "uncertainty from 0, so every ratio fits. Read the difference, or wait for more control rewards."
        )
    middle = treated.value * control.value / scale
    half = sqrt(treated.value**2 * spread_control + spread_treated * scale) / scale
    ratio, n_sends = treated.value / control.value, treated.n_sends + control.n_sends
    return _less_one(ratio, middle - half, middle + half, n_sends, "Fieller, relative lift, customers as units"), None


def _less_one(ratio: float, lower: float, upper: float, n_sends: float, method: str) -> Interval:
    # Rounding may push an end of width 0 past the estimate by 1e-16.
    return Interval(ratio - 1, min(lower, ratio) - 1, max(upper, ratio) - 1, n_sends, method)


def _nothing_to_divide_by(control: GroupSums) -> str:
    return f"No relative lift: control earned {control.value:.6g} per send, not above 0. Read the difference."


def _members(customers: ArrayLike, n_sends: int) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Number of the customer of each send, shape (n_sends,), and sends of each customer, shape (n_customers,)."""
    keys = np.asarray(customers)
    if keys.shape != (n_sends,):
        raise UnusableLog(
            f"customers have shape {keys.shape}, rewards ({n_sends},). Without one key a send it is unknown which sends "
            "belong together: pass the customer_key column of the same rows."
        )
    if keys.dtype.kind in "iu":
        # Numbers are never missing, and a million of them are counted in a twentieth of the time.
        known = pd.factorize(keys)[0].astype(np.int64)
        return known, np.bincount(known)
    numbers: dict[object, int] = {}
    member = np.fromiter((numbers.setdefault(key, len(numbers)) for key in keys.tolist()), np.int64, n_sends)
    for key, number in numbers.items():
        if key is None or key == "" or (isinstance(key, float) and isnan(key)):
            raise UnusableLog(
                f"customer key {key!r} in row {np.argmax(member == number)}. Sends without a key would count as one "
                "customer and spoil every interval: drop them and report how many were dropped."
            )
    return member, np.bincount(member)


def _require_customers(group: GroupSums, name: str) -> None:
    if group.n_customers < 2:
        raise UnusableLog(
            f"the {name} group has {group.n_customers} customer(s), need at least 2. Customers are what was randomised, "
            "and one alone does not show how much they differ: raise the share of the group in the campaign file's "
            "[groups], or wait until more customers have matured sends."
        )
