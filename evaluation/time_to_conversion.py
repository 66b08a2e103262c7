"""Time to conversion: whether customers of one arm of a fixed split convert sooner than those of another."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray
from statsmodels.duration.survfunc import SurvfuncRight, survdiff

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings, UnusableLog
from evaluation.intervals import require_answer, require_level

NEVER_TOGETHER = (
    "at no conversion were customers of every arm still watched, or all of them converted at once: nothing to compare."
)


@dataclass(frozen=True, slots=True)
class ArmTimes:
    """When the customers of one arm converted.

    Args:
        arm: its name.
        n_customers: who got it.
        n_converted: of them, while they were watched.
        time: by which the asked share has converted (Kaplan and Meier), in the unit of the durations; None where fewer have.
        ci_lower: lower end, or None without `time`.
        ci_upper: upper end; None without `time`, and where the log ends before it is reached.
    """

    arm: str
    n_customers: int
    n_converted: int
    time: float | None
    ci_lower: float | None
    ci_upper: float | None


@dataclass(frozen=True, slots=True)
class TimeToConversion:
    """The answer of `time_to_conversion`.

    Args:
        statistic: of the log-rank test, chi-squared distributed if no arm is sooner, or None.
        p_value: of no arm being sooner, or None.
        degrees: of freedom; 0 where there is no test.
        share: the share that `time` of each arm is about; 0.5 makes it the median.
        arms: by name.
        method: in words a report can print.
        reason: why there is no p-value; None where there is one.
    """

    statistic: float | None
    p_value: float | None
    degrees: int
    share: float
    arms: tuple[ArmTimes, ...]
    method: str
    reason: str | None

    def __post_init__(self) -> None:
        require_answer(self.p_value, self.reason)


def time_to_conversion(
    arms: ArrayLike,
    durations: ArrayLike,
    converted: ArrayLike,
    customers: ArrayLike,
    *,
    share: float = 0.5,
    confidence_level: float = 0.95,
) -> TimeToConversion:
    """Whether an arm of a fixed split brings conversions sooner, or more of them while customers were watched.

    Args:
        arms: shape (n_customers,), the name of the arm each customer got.
        durations: shape (n_customers,), time from the send to the conversion, or for how long nobody converted; at least
            0, all in one unit.
        converted: shape (n_customers,), whether the duration ended in a conversion.
        customers: shape (n_customers,), customer keys, each once.
        share: of the customers, whose time of conversion is given for each arm, in (0, 1). E-mail seldom converts half.
        confidence_level: in (0, 1), of those times.

    Returns:
        The log-rank test and the times of each arm.

    Raises:
        UnusableLog: if a customer repeats, there is one arm only, a duration is negative or not finite, or lengths differ.
        InvalidSettings: if share or confidence_level is out of range.

    Caution: log-rank weighs all times alike and sees nothing where curves cross. That a customer is no longer watched must
    not depend on whether a conversion was near.

    Source: Mantel (1966) and Kaplan and Meier (1958), through statsmodels `survdiff` and `SurvfuncRight`.

    >>> soon, late = [1.0, 2.0, 3.0, 4.0, 5.0], [6.0, 7.0, 8.0, 9.0, 9.0]
    >>> answer = time_to_conversion(["a"] * 5 + ["b"] * 5, soon + late, [1] * 9 + [0], range(10))
    >>> [(one.arm, one.time) for one in answer.arms], round(answer.p_value, 4)
    ([('a', 3.0), ('b', 8.0)], 0.0018)
    """
    require_level(confidence_level)
    if not 0 < share < 1:
        raise InvalidSettings(f"share is {share!r}, need a number between 0 and 1. Write 0.02 for the first 2 percent.")
    names, times, events = _watched(arms, durations, converted, customers)
    found = tuple(
        _times(name, times[names == name], events[names == name], share, 1 - confidence_level)
        for name in sorted(set(names))
    )
    method = "log-rank test of time to conversion"
    reason = _unsaid(found)
    if reason:
        return TimeToConversion(None, None, 0, share, found, method, reason)
    try:
        statistic, degrees = float(survdiff(times, events, names.astype(str))[0]), len(found) - 1
    except np.linalg.LinAlgError:
        return TimeToConversion(None, None, 0, share, found, method, NEVER_TOGETHER)
    # statsmodels takes 1 - cdf, which is 0 where the p-value is under 1e-16.
    return TimeToConversion(
        statistic, float(scipy.stats.chi2.sf(statistic, degrees)), degrees, share, found, method, None
    )


def _unsaid(arms: tuple[ArmTimes, ...]) -> str | None:
    if len(arms) < 2:
        raise UnusableLog(f"every customer got the arm {arms[0].arm!r}. There is nothing to hold it against.")
    if not any(one.n_converted for one in arms):
        return f"none of {sum(one.n_customers for one in arms)} customers converted. Wait until some have."
    return None


def _times(name: str, times: FloatArray, events: NDArray[np.int64], share: float, alpha: float) -> ArmTimes:
    """Kaplan and Meier's curve of one arm, read at one height."""
    curve = SurvfuncRight(times, events)
    time = float(curve.quantile(share))
    if not isfinite(time):
        return ArmTimes(name, len(times), int(events.sum()), None, None, None)
    # The curve's error is 0 or undefined where everybody or nobody is left; those points are no ends.
    with np.errstate(divide="ignore", invalid="ignore"):
        lower, upper = (float(end) for end in curve.quantile_ci(share, alpha))
    ends = (lower if isfinite(lower) else None, upper if isfinite(upper) else None)
    return ArmTimes(name, len(times), int(events.sum()), time, *ends)


def _watched(
    arms: ArrayLike, durations: ArrayLike, converted: ArrayLike, customers: ArrayLike
) -> tuple[NDArray[np.object_], FloatArray, NDArray[np.int64]]:
    names = np.array([str(arm) for arm in np.asarray(arms).tolist()], dtype=object)
    times, events = np.asarray(durations, dtype=np.float64), np.asarray(converted, dtype=np.float64)
    keys = np.asarray(customers).tolist()
    if not len(names) or not len(names) == len(times) == len(events) == len(keys):
        raise UnusableLog(
            f"{len(names)} arms, {len(times)} durations, {len(events)} conversions and {len(keys)} customers. Pass the "
            "columns of the same rows, at least one."
        )
    if len(set(keys)) < len(keys):
        raise UnusableLog(
            f"{len(keys) - len(set(keys))} rows are of a customer who is there already. The log-rank test would count them "
            "as new ones: pass each customer once, from the first send on."
        )
    wrong = np.flatnonzero(~(np.isfinite(times) & (times >= 0) & np.isin(events, (0, 1))))
    if len(wrong):
        raise UnusableLog(
            f"row {wrong[0]}: duration {times[wrong[0]]}, converted {events[wrong[0]]} ({len(wrong)} such rows). Need a "
            "time of at least 0, and 1 or 0; for who has not converted the time watched so far."
        )
    return names, times, events.astype(np.int64)
