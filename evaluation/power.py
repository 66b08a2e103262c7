"""Power: how many customers a comparison of two groups needs, and the smallest lift that a list can show."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import inf, log
from types import MappingProxyType

import scipy

from bandit.errors import InvalidSettings

COLLECTORS: Mapping[str, float] = MappingProxyType(
    {"uniform": 1.0, "thompson": 3.0, "squarecb": 6.0, "epsilon-greedy": 7.5}
)
"""By policy, how many times the sends of an even split it takes to tell two of its arms apart by logged propensities.

Of 4 arms, with a floor of .1 (epsilon-greedy: an epsilon of .1 and no floor), in the mean over pairs and 10,000 sends:
benchmarks/inference_collectors.py. Gentler schedules cost less, and a lower floor costs more: see `settled_multiplier`.
"""

SMALLEST_LIFT = 1e-6
"""Lifts under it would take more customers than there are people."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One group of customers held against another by the score test, two-sided.

    Args:
        base: share of sends that are rewarded without any lift, in (0, 1).
        share_treated: share of the list that is in the treated group.
        share_control: share of the list that is in the group it is held against.
        n_comparisons: claims made together; each is tested at alpha / n_comparisons, the first step of Holm's method.
        sends_per_customer: at least 1, on average.
        correlation: of two rewards of one customer, in [0, 1]. The default is an assumption, not
            a measurement: look at your own log where customers get many sends.
        multiplier: how many times the sends an even split would take; of `COLLECTORS` for arms that a learner drew.
        alpha: chance to see a lift where there is none, in (0, 1).
        power: chance to see the lift where there is one, above alpha / 2 and below 1.

    Raises:
        InvalidSettings: if a number is out of range.

    >>> Comparison(0.04, sends_per_customer=5).design_effect
    1.2
    """

    base: float
    share_treated: float = 0.5
    share_control: float = 0.5
    n_comparisons: int = 1
    sends_per_customer: float = 1.0
    correlation: float = 0.05
    multiplier: float = 1.0
    alpha: float = 0.05
    power: float = 0.8

    def __post_init__(self) -> None:
        _require("base", self.base, 0 < self.base < 1, "a rate between 0 and 1, such as 0.04 for 4 percent")
        _require("alpha", self.alpha, 0 < self.alpha < 1, "a number between 0 and 1, such as 0.05")
        _require("n_comparisons", self.n_comparisons, 1 <= self.n_comparisons < inf, "at least 1")
        _require(
            "power", self.power, self.alpha / 2 < self.power < 1, "a number below 1 and above alpha / 2, such as 0.8"
        )
        _require("sends_per_customer", self.sends_per_customer, 1 <= self.sends_per_customer < inf, "at least 1")
        _require("correlation", self.correlation, 0 <= self.correlation <= 1, "a number between 0 and 1")
        _require("multiplier", self.multiplier, 1 <= self.multiplier < inf, "at least 1, which is an even split")
        for name, share in (("share_treated", self.share_treated), ("share_control", self.share_control)):
            _require(name, share, 0 < share < 1, "a share between 0 and 1: a group without customers shows nothing")
        shares = self.share_treated + self.share_control
        _require("share_treated + share_control", shares, shares <= 1 + 1e-9, "at most 1: groups share one list")

    @property
    def design_effect(self) -> float:
        """How many sends are worth one from a new customer: 1 + (sends_per_customer - 1) * correlation (Kish 1965)."""
        return 1 + (self.sends_per_customer - 1) * self.correlation

    @property
    def alpha_each(self) -> float:
        """Alpha of one claim among `n_comparisons`."""
        return self.alpha / self.n_comparisons


@dataclass(frozen=True, slots=True)
class Needed:
    """The answer of `needed`, rounded to whole customers.

    Args:
        customers: on the whole list, also those in neither group.
        treated: customers in the treated group.
        control: customers in the group it is held against.
        sends: to all customers of the list.
    """

    customers: int
    treated: int
    control: int
    sends: int


def needed(comparison: Comparison, lift: float) -> Needed:
    """How long the list must be for the comparison to show a lift.

    Args:
        comparison: what is held against what.
        lift: relative, such as 0.2 for a fifth more, -0.1 for a tenth less; not 0.

    Returns:
        Customers of the list and of both groups, and sends.

    Raises:
        InvalidSettings: if the lift is 0, not finite, or takes the rate out of (0, 1).

    Caution: at the planned date, looked at once. Where groups are unequal, `zt_ind_solve_power` of statsmodels, which takes
    both groups' rates as equally well known, gives other numbers and misses the power asked for; a test shows it.

    Source: the score test's normal approximation with pooled variance under no lift and unpooled under the lift, through
    statsmodels `samplesize_proportions_2indep_onetail`.

    >>> needed(Comparison(0.04), 0.2)
    Needed(customers=20632, treated=10316, control=10316, sends=20632)
    """
    _require_lift(comparison.base, lift)
    customers = _customers(comparison, lift)
    return Needed(
        customers=round(customers),
        treated=max(round(customers * comparison.share_treated), 1),
        control=max(round(customers * comparison.share_control), 1),
        sends=round(customers * comparison.sends_per_customer),
    )


def settled_multiplier(n_arms: int, least_propensity: float) -> float:
    """How many times the sends of an even split it takes to tell the leading arm from another, once a learner has settled.

    The variance of the difference is the rate's times 1 / p(leader) + 1 / p(other), against 2 * n_arms of an even split.

    Args:
        n_arms: of the dimension, at least 2.
        least_propensity: of each arm that does not lead, above 0 and at most 1 / n_arms: floor / n_arms.

    Returns:
        At least 1.

    Raises:
        InvalidSettings: if an argument is out of range.

    >>> settled_multiplier(4, 0.25), round(settled_multiplier(4, 0.025), 1)
    (1.0, 5.1)
    """
    _require("n_arms", n_arms, n_arms >= 2, "at least 2 arms")
    fits = 0 < least_propensity <= 1 / n_arms
    _require("least_propensity", least_propensity, fits, f"a number above 0 and at most 1 / {n_arms} arms")
    leader = 1 - (n_arms - 1) * least_propensity
    return max((1 / leader + 1 / least_propensity) / (2 * n_arms), 1.0)


def smallest_lift(comparison: Comparison, n_customers: float) -> float | None:
    """The smallest rise that a list can show with the power asked for.

    Args:
        comparison: what is held against what.
        n_customers: of the whole list, above 0.

    Returns:
        The relative lift, or None where the list cannot even show that every send is rewarded.

    Raises:
        InvalidSettings: if the list has no customers.

    >>> round(smallest_lift(Comparison(0.04), 20_632), 4)
    0.2
    """
    _require("n_customers", n_customers, 0 < n_customers < inf, "the customers of the whole list, above 0")

    def excess(lift: float) -> float:
        return log(_customers(comparison, lift) / n_customers)

    # Just short of every send rewarded, where rounding could take the variance below 0.
    largest = (1 - comparison.base) / comparison.base * (1 - 1e-9)
    if excess(largest) > 0:
        return None
    if excess(min(SMALLEST_LIFT, largest)) <= 0:
        return SMALLEST_LIFT
    return float(scipy.optimize.brentq(excess, SMALLEST_LIFT, largest, xtol=1e-10))


def least_control_share(comparison: Comparison, lift: float, n_customers: float) -> float | None:
    """The smallest control group with which a list shows a lift; what control gains the treated group gives.

    Args:
        comparison: what is held against what; its two shares together stay what they are.
        lift: relative, above 0.
        n_customers: of the whole list, above 0.

    Returns:
        A share of the list, at most half of what both groups have; None where even two equal groups do not show the lift.

    Raises:
        InvalidSettings: if the lift takes the rate out of (0, 1), or the list has no customers.

    >>> round(least_control_share(Comparison(0.04, share_treated=0.9, share_control=0.1), 0.2, 100_000), 3)
    0.056
    """
    _require_lift(comparison.base, lift)
    _require("n_customers", n_customers, 0 < n_customers < inf, "the customers of the whole list, above 0")
    both = comparison.share_treated + comparison.share_control

    def excess(share: float) -> float:
        moved = replace(comparison, share_treated=both - share, share_control=share)
        return log(_customers(moved, lift) / n_customers)

    if excess(both / 2) > 0:
        return None
    return float(scipy.optimize.brentq(excess, both * 1e-9, both / 2, xtol=1e-10))


def _customers(comparison: Comparison, lift: float) -> float:
    """Customers of the whole list, not rounded."""
    from statsmodels.stats.proportion import (  # noqa: PLC0415 - it takes a second to load
        samplesize_proportions_2indep_onetail,
    )

    independent = samplesize_proportions_2indep_onetail(
        comparison.base * lift,
        comparison.base,
        comparison.power,
        ratio=comparison.share_control / comparison.share_treated,
        alpha=comparison.alpha_each,
    )
    sends = float(independent) * comparison.design_effect * comparison.multiplier
    return sends / comparison.sends_per_customer / comparison.share_treated


def _require(name: str, found: float, fits: bool, wanted: str) -> None:
    if not fits:
        raise InvalidSettings(f"{name} is {found!r}, need {wanted}.")


def _require_lift(base: float, lift: float) -> None:
    reached = base * (1 + lift)
    if not 0 < reached < 1 or lift == 0:
        raise InvalidSettings(
            f"lift {lift!r} on a base rate of {base!r} gives {reached!r}, need a rate between 0 and 1 that differs from the "
            "base. A lift is relative: write 0.2 for a fifth more."
        )
