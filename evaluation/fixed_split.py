"""Fixed split: the classical tests, for arms that customers were given once, by fixed shares, and kept.

Where a learner picked the arms, every p-value in this file is wrong; use the logged propensities instead.
"""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import copysign
from typing import Any

import numpy as np
import pandas as pd
import scipy
from numpy.typing import ArrayLike, NDArray
from statsmodels.genmod import families
from statsmodels.genmod.generalized_linear_model import GLM
from statsmodels.stats.proportion import confint_proportions_2indep, proportions_chisquare
from statsmodels.tools.sm_exceptions import PerfectSeparationWarning

from bandit.arrays import FloatArray
from bandit.errors import UnusableLog
from evaluation.intervals import Interval, finite_rewards, is_binary, require_answer
from evaluation.lift import GroupSums, Lift, lift

CUSTOMERS_PER_NUMBER = 10
"""Customers for each number a regression estimates; with fewer the clustered errors are themselves guesses."""

Labels = NDArray[np.object_]


@dataclass(frozen=True, slots=True)
class Test:
    """The answer of one classical test.

    Args:
        statistic: chi-squared distributed if nothing differs, or None.
        p_value: of nothing differing, or None.
        degrees: of freedom; 0 where there is no test.
        method: in words a report can print.
        reason: why there is no p-value; None where there is one.
    """

    # pytest would take a class of this name for tests.
    __test__ = False

    statistic: float | None
    p_value: float | None
    degrees: int
    method: str
    reason: str | None

    def __post_init__(self) -> None:
        require_answer(self.p_value, self.reason)


@dataclass(frozen=True, slots=True)
class TwoArms:
    """The answer of `two_arms`.

    Args:
        lift: values, difference, relative lift and p-value of the first arm against the second.
        statistic: z, its sign that of the difference, or None without a p-value.
        newcombe: a second interval of the difference, where rewards are rates; else None.
    """

    lift: Lift
    statistic: float | None
    newcombe: Interval | None


def two_arms(
    arms: ArrayLike,
    rewards: ArrayLike,
    customers: ArrayLike,
    *,
    treated: str,
    control: str,
    confidence_level: float = 0.95,
) -> TwoArms:
    """One arm of a fixed split against another.

    Args:
        arms: shape (n_sends,), the name of the arm each send got.
        rewards: shape (n_sends,), finite, in reward units.
        customers: shape (n_sends,), the customer key of each send; a customer has one arm.
        treated: name of the arm asked about.
        control: name of the arm it is held against.
        confidence_level: in (0, 1).

    Returns:
        The two-proportion score test with score intervals and Newcombe's; where customers repeat or rewards are amounts,
        Welch's t with customers as units, and no Newcombe interval.

    Raises:
        UnusableLog: if an arm is not in the log, a customer got more than one arm, or rows are not what is said above.

    Source: `evaluation.lift.lift`; Newcombe (1998), through statsmodels `confint_proportions_2indep(method="newcomb")`.

    >>> answer = two_arms(list("aaaabbbb"), [1, 0, 1, 1, 0, 0, 0, 1], range(8), treated="a", control="b")
    >>> answer.lift.difference.estimate, round(answer.statistic, 3)
    (0.5, 1.323)
    """
    rows = SplitRows.of(arms, rewards, customers)
    groups = [rows.group(name) for name in (treated, control)]
    found = lift(groups[0], groups[1], confidence_level)
    statistic, newcombe = None, None
    if found.p_value is not None:
        statistic = copysign(float(scipy.stats.norm.isf(found.p_value / 2)), found.difference.estimate)
    if all(group.is_rate for group in groups):
        newcombe = _newcombe(groups[0], groups[1], found.difference.estimate, confidence_level)
    return TwoArms(found, statistic, newcombe)


def all_arms(arms: ArrayLike, rewards: ArrayLike, customers: ArrayLike) -> Test:
    """Whether any arm of a fixed split differs from the others.

    Args:
        arms: shape (n_sends,), the name of the arm each send got.
        rewards: shape (n_sends,), in [0, 1].
        customers: shape (n_sends,), the customer key of each send; a customer has one arm.

    Returns:
        Pearson's chi-squared over arms and rewards; where customers repeat or rewards are fractions, the Wald test of a
        logistic regression on arms, clustered by customer.

    Raises:
        UnusableLog: if there is one arm only, a customer got more than one arm, or rows are not what is said above.

    Source: statsmodels `proportions_chisquare`, and `GLM(family=Binomial()).fit(cov_type="cluster")`.

    >>> answer = all_arms(list("aabbcc") * 20, [1, 0, 0, 0, 1, 1] * 20, range(120))
    >>> round(answer.statistic, 1), answer.degrees
    (80.0, 2)
    """
    rows = SplitRows.of(arms, rewards, customers)
    names = rows.require_several()
    counted = is_binary(rows.rewards) and not rows.repeats
    method = "chi-squared over arms" if counted else "logistic regression on arms, clustered by customer"
    if counted:
        successes = np.array([rows.rewards[rows.arms == name].sum() for name in names])
        if not 0 < successes.sum() < len(rows.rewards):
            return Test(None, None, 0, method, f"all {len(rows.rewards)} rewards are {rows.rewards[0]:.0f}.")
        counts = np.array([(rows.arms == name).sum() for name in names])
        statistic = float(proportions_chisquare(successes, counts)[0])
        return _test(statistic, len(names) - 1, method)
    unsaid = rows.unsaid()
    if unsaid:
        return Test(None, None, 0, method, unsaid)
    return rows.wald(indicators(rows.arms, names), method, n_tested=len(names) - 1)


@dataclass(frozen=True, slots=True, eq=False)
class SplitRows:
    """Sends of a fixed split, checked; one arm a customer. Make it with `SplitRows.of`.

    Args:
        arms: shape (n_sends,), names.
        rewards: shape (n_sends,), finite, in reward units.
        customers: shape (n_sends,), numbers of customers.
    """

    arms: Labels
    rewards: FloatArray
    customers: NDArray[np.int64]

    @classmethod
    def of(cls, arms: ArrayLike, rewards: ArrayLike, customers: ArrayLike) -> SplitRows:
        """Check the rows; raises UnusableLog where a customer got two arms, a key is missing or lengths differ."""
        values, names = finite_rewards(rewards), np.array([str(arm) for arm in np.asarray(arms).tolist()], dtype=object)
        if names.shape != values.shape:
            raise UnusableLog(f"{len(names)} arms with {len(values)} rewards. Pass the columns of the same rows.")
        # Its check of keys is ours as well.
        GroupSums.of(values, customers)
        member = pd.factorize(np.asarray(customers, dtype=object))[0].astype(np.int64)
        _require_one_arm(names, member)
        return cls(names, values, member)

    @property
    def names(self) -> list[str]:
        """Arms that were sent, in order."""
        return sorted(set(self.arms))

    @property
    def repeats(self) -> bool:
        """Whether a customer got more than one send."""
        return len(np.unique(self.customers)) < len(self.customers)

    def require_several(self) -> list[str]:
        """The names, refused with UnusableLog where there is one."""
        if len(self.names) < 2:
            raise UnusableLog(f"every send got the arm {self.names[0]!r}. There is nothing to hold it against.")
        return self.names

    def where(self, kept: NDArray[np.bool_]) -> SplitRows:
        """Some of the sends."""
        return SplitRows(self.arms[kept], self.rewards[kept], self.customers[kept])

    def group(self, name: str) -> GroupSums:
        """One arm's sends, summed up; refused with UnusableLog where there are none."""
        own = self.arms == name
        if not own.any():
            raise UnusableLog(f"no send got the arm {name!r}; the log has {', '.join(self.names)}. Name one of those.")
        return GroupSums.of(self.rewards[own], self.customers[own])

    def unsaid(self) -> str | None:
        """Why a logistic regression cannot answer: rewards without odds, or an arm whose log-odds are infinite."""
        if self.rewards.min() < 0 or self.rewards.max() > 1:
            return (
                f"rewards go from {self.rewards.min():g} to {self.rewards.max():g}; a regression on odds needs 0 to 1."
            )
        return self.unvaried(self.arms, {name: f"arm {name}" for name in self.names})

    def unvaried(self, cells: Labels, known: Mapping[str, str]) -> str | None:
        """The first cell whose log-odds are infinite. The regression would stop at a large number and not say so."""
        for cell, place in known.items():
            own = self.rewards[cells == cell]
            if not len(own):
                return f"no send of {place}: nothing says what it would do there."
            if not 0 < own.sum() < len(own):
                return f"each of {len(own)} sends of {place} earned {own[0]:g}: wait until they differ."
        return None

    def wald(self, features: FloatArray, method: str, *, n_tested: int) -> Test:
        """Whether the last coefficients are all 0; errors clustered by customer."""
        n_customers, n_numbers = len(np.unique(self.customers)), features.shape[1] + 1
        design, reason = np.hstack([np.ones((len(features), 1)), features]), None
        if n_customers < CUSTOMERS_PER_NUMBER * n_numbers:
            reason = f"{n_customers} customers for {n_numbers} numbers, need {CUSTOMERS_PER_NUMBER * n_numbers}."
        elif np.linalg.matrix_rank(design) < n_numbers:
            reason = "columns say the same thing twice, so that no number belongs to one of them."
        else:
            fit = _fit(self.rewards, design, self.customers)
            if fit is not None:
                tested = np.eye(n_numbers)[-n_tested:]
                return _test(float(fit.wald_test(tested, scalar=True, use_f=False).statistic), n_tested, method)
            reason = "rewards follow from arm and context without exception: wait for exceptions."
        return Test(None, None, 0, method, reason)


def _fit(rewards: FloatArray, design: FloatArray, customers: NDArray[np.int64]) -> Any:  # noqa: ANN401 - statsmodels'
    """A logistic regression with clustered errors; None where its odds have no end."""
    model = GLM(rewards, design, family=families.Binomial())
    # On the way to odds without end numbers overflow; the warning about those odds says it all.
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("error", PerfectSeparationWarning)
        try:
            return model.fit(cov_type="cluster", cov_kwds={"groups": customers})
        except PerfectSeparationWarning:
            return None


def _require_one_arm(arms: Labels, customers: NDArray[np.int64]) -> None:
    pairs = pd.DataFrame({"customer": customers, "arm": arms}).drop_duplicates()
    twice = int(pairs["customer"].duplicated().sum())
    if twice:
        raise UnusableLog(
            f"{twice} customers got more than one arm, so this is no fixed split of customers: a learner, or a draw for each "
            "send, picked. Compare such arms by their logged propensities, without --fixed-split."
        )


def indicators(labels: Labels, levels: Sequence[str]) -> FloatArray:
    """One column a level but the first, shape (n_sends, n_levels - 1)."""
    return np.column_stack([labels == level for level in levels[1:]]).astype(np.float64)


def _test(statistic: float, degrees: int, method: str) -> Test:
    return Test(statistic, float(scipy.stats.chi2.sf(statistic, degrees)), degrees, method, None)


def _newcombe(treated: GroupSums, control: GroupSums, estimate: float, confidence_level: float) -> Interval:
    lower, upper = confint_proportions_2indep(
        treated.reward_sum, treated.n_sends, control.reward_sum, control.n_sends,
        method="newcomb", compare="diff", alpha=1 - confidence_level,
    )  # fmt: skip
    n_sends = treated.n_sends + control.n_sends
    return Interval(estimate, min(float(lower), estimate), max(float(upper), estimate), n_sends, "Newcombe")
