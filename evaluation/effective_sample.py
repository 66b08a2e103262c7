"""Wilson's interval on the effective sample of any estimate of a rate: as many sends as its standard error amounts to.

Weighed clicks are few and skewed: the logs in which rare heavy rows happened not to be clicked say a low value and a small
error at once, so that a normal interval mostly fails upwards. Wilson's leans that way.
"""

from __future__ import annotations

from dataclasses import replace

from evaluation.estimator import Estimate
from evaluation.intervals import wilson

METHOD = "Wilson on the effective sample"


def on_effective_sample(found: Estimate, confidence_level: float = 0.95) -> Estimate:
    """The same value with Wilson's interval in place of the normal one.

    Args:
        found: an estimate of a mean of rewards that are 0 or 1, with its standard error.
        confidence_level: in (0, 1).

    Returns:
        An interval inside [0, 1]; the estimate as it is where its value is no rate between 0 and 1, or it has no error.

    Source: Wilson (1927) on n = v (1 - v) / s^2.

    >>> found = on_effective_sample(Estimate(0.1, 0.03, 0.0412, 0.1588, "normal"))
    >>> round(found.ci_lower, 4), round(found.ci_upper, 4)
    (0.0552, 0.1744)
    """
    if not found.se or not 0.0 < found.value < 1.0:
        return found
    n_effective = found.value * (1.0 - found.value) / found.se**2
    interval = wilson(found.value * n_effective, n_effective, confidence_level)
    return replace(found, ci_lower=interval.ci_lower, ci_upper=interval.ci_upper, method=METHOD)
