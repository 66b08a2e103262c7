"""Score intervals for two independent rates: what their difference and their ratio may be.

The score test is inverted here instead of calling statsmodels' `confint_proportions_2indep`: up to 0.15 its difference
has a wrong coefficient (statsmodels issue 10269), and its solver gives up on tables that e-mail makes, such as 10 of
100,000 against 2 of 1,000. Its ratio is right for rates that are not close to 1; a test holds us to it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from math import inf, sqrt

import scipy

from bandit.errors import UnusableLog
from evaluation.intervals import Interval, require_level, require_successes


def score_difference(
    *, treated: float, n_treated: int, control: float, n_control: int, confidence_level: float = 0.95
) -> Interval:
    """Treated rate minus control rate, with the score interval.

    Args:
        treated: successes among the treated sends.
        n_treated: treated sends.
        control: successes among the control sends.
        n_control: control sends.
        confidence_level: in (0, 1).

    Returns:
        The differences that the score test does not reject; inside [-1, 1], and never without width.

    Raises:
        UnusableLog: if a group has no sends, or its successes do not fit them.

    Source: Miettinen and Nurminen (1985), Statistics in Medicine 4.

    >>> answer = score_difference(treated=50, n_treated=1000, control=30, n_control=1000)
    >>> round(answer.ci_lower, 4), round(answer.ci_upper, 4)
    (0.0029, 0.0378)
    """
    table = _Table(treated, n_treated, control, n_control)

    def error(gap: float) -> float:
        rate = table.control_rate_given_gap(gap)
        return table.error(rate + gap, rate)

    estimate = table.rate_treated - table.rate_control
    excess = _excess(lambda gap: abs(estimate - gap), error, confidence_level)
    lower, upper = _root(excess, estimate, -1.0), _root(excess, estimate, 1.0)
    return Interval(estimate, lower, upper, n_treated + n_control, "score, difference of rates")


def score_ratio(
    *, treated: float, n_treated: int, control: float, n_control: int, confidence_level: float = 0.95
) -> Interval:
    """Treated rate divided by control rate, with the score interval.

    Args:
        treated: successes among the treated sends.
        n_treated: treated sends.
        control: successes among the control sends, above 0.
        n_control: control sends.
        confidence_level: in (0, 1).

    Returns:
        The ratios that the score test does not reject, 1 meaning no difference.

    Raises:
        UnusableLog: if a group has no sends, its successes do not fit, or control has no success to divide by.

    Source: Koopman (1984), Biometrics 40; with the n/(n - 1) of Miettinen and Nurminen (1985).

    >>> answer = score_ratio(treated=50, n_treated=1000, control=30, n_control=1000)
    >>> round(answer.ci_lower, 4), round(answer.ci_upper, 4)
    (1.0733, 2.5906)
    """
    table = _Table(treated, n_treated, control, n_control)
    if control == 0:
        raise UnusableLog(
            f"0 of {n_control} control sends were rewarded. A ratio to a rate of 0 has no value: "
            "wait for the first control reward, or read the difference instead."
        )

    def error(ratio: float) -> float:
        rate = table.control_rate_given_ratio(ratio)
        return table.error(ratio * rate, rate, ratio)

    estimate = table.rate_treated / table.rate_control
    excess = _excess(lambda ratio: abs(table.rate_treated - ratio * table.rate_control), error, confidence_level)
    far = max(1.0, 2 * estimate)
    while excess(far) < 0:
        far *= 2
    lower, upper = _root(excess, estimate, 0.0), _root(excess, estimate, far)
    return Interval(estimate, lower, upper, n_treated + n_control, "score, ratio of rates")


@dataclass(frozen=True, slots=True)
class _Table:
    """Successes and sends of two groups."""

    treated: float
    n_treated: int
    control: float
    n_control: int

    def __post_init__(self) -> None:
        require_successes(self.treated, self.n_treated)
        require_successes(self.control, self.n_control)

    @property
    def rate_treated(self) -> float:
        return self.treated / self.n_treated

    @property
    def rate_control(self) -> float:
        return self.control / self.n_control

    def error(self, rate_treated: float, rate_control: float, ratio: float = 1.0) -> float:
        """Standard error of (treated rate - ratio * control rate) if these were the true rates."""
        variance = rate_treated * (1 - rate_treated) / self.n_treated
        variance += ratio**2 * rate_control * (1 - rate_control) / self.n_control
        n = self.n_treated + self.n_control
        return sqrt(max(variance, 0.0) * n / (n - 1))

    def control_rate_given_ratio(self, ratio: float) -> float:
        """Most likely control rate if the treated rate is `ratio` times as high: the stable root of a quadratic."""
        square, both = (self.n_treated + self.n_control) * ratio, self.treated + self.control
        linear = self.n_treated * ratio + self.treated + self.n_control + self.control * ratio
        return min(1.0, 2 * both / (linear + sqrt(max(linear**2 - 4 * square * both, 0.0))))

    def control_rate_given_gap(self, gap: float) -> float:
        """Most likely control rate if the treated rate is `gap` higher: where the log-likelihood stops rising.

        The textbook's cubic loses half the digits at rates near 0; the slope falls steadily, so halving is safe.
        """

        def slope(rate: float) -> float:
            rising = _pull(self.treated, rate + gap) + _pull(self.control, rate)
            falling = _pull(self.n_treated - self.treated, 1 - rate - gap)
            return rising - falling - _pull(self.n_control - self.control, 1 - rate)

        low, high = max(0.0, -gap), min(1.0, 1 - gap)
        if low >= high or slope(low) <= 0:
            return low
        if slope(high) >= 0:
            return high
        return float(scipy.optimize.bisect(slope, low, high, xtol=1e-18, rtol=1e-14))


def _pull(count: float, rate: float) -> float:
    if count == 0:
        return 0.0
    return count / rate if rate > 0 else inf


def _excess(
    gap: Callable[[float], float], error: Callable[[float], float], confidence_level: float
) -> Callable[[float], float]:
    """Sign of (score statistic minus its critical value), squeezed into [-.5, .5] so that a zero error is no pole."""
    require_level(confidence_level)
    critical = float(scipy.stats.norm.ppf((1 + confidence_level) / 2))

    def excess(value: float) -> float:
        distance = gap(value)
        return distance / (distance + critical * error(value)) - 0.5 if distance > 0 else -0.5

    return excess


def _root(excess: Callable[[float], float], estimate: float, far: float) -> float:
    """Where the test starts to reject between the estimate and the far end of what is possible."""
    if excess(far) <= 0:
        return far
    return float(scipy.optimize.brentq(excess, estimate, far, xtol=1e-15, rtol=1e-13))
