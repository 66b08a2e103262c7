"""The audit of guidance: does the learner send what it believes to be better?

A policy with a sign turned round logs honest probabilities, so every audit of the draws agrees with it, and its rewards are
too noisy to give it away soon. But each row says what reward the learner expected of what was drawn, and those numbers
have no luck in them.
"""

from __future__ import annotations

from math import sqrt

import numpy as np
import scipy

from bandit.arrays import FloatArray
from bandit.group import Group
from evaluation.audit import Audit, Measured, judged
from evaluation.audit_log import AuditLog, AuditSettings

MEANS = "the learner expects more of what it sends than of a choice at random"
LEAST_ROWS = 100
"""Fewer rows are not nearly normal."""

TINIEST = 1e-12
"""Weights that differ by less are the rounding of one and the same."""

ADVICE = (
    "The policy prefers what the learner believes to be worse: look for a sign turned round in a reward, a sort or a policy. "
    "Its probabilities may be honest all the same, and then values of other policies from this log can be believed."
)


def audit_guidance(log: AuditLog, settings: AuditSettings) -> tuple[Audit, ...]:
    """Expected rewards of the learner's draws against those of a uniform draw, in all rows and in the later half of them.

    z = sum_t g_t / sqrt(sum_t g_t^2), g_t = (1 - w_t) (e_t - e): w_t is the probability of the choice under a uniform draw of
    the eligible arms over its propensity, e_t what was expected of it, e the mean of e_t weighted by w_t. One-sided: to
    explore more than is good is no fault. The later half is for a fault that came while the campaign ran.
    """
    rows = np.flatnonzero((log.groups == Group.LEARNER) & ~np.isnan(log.estimates))
    halves = (("guidance: all rows", rows), ("guidance: later half", rows[len(rows) // 2 :]))
    return judged([_measured(name, log, some) for name, some in halves], MEANS, ADVICE, settings.level)


def _measured(name: str, log: AuditLog, rows: np.ndarray) -> Measured:
    weights, expected = _uniform_weights(log, rows), log.estimates[rows]
    if len(rows) < LEAST_ROWS or not (weights > 0.0).all() or np.ptp(weights) < TINIEST:
        return Measured(
            name, None, None, len(rows), f"too few rows that favour some arms say what was expected: {len(rows)}"
        )
    uniform = float(np.average(expected, weights=weights))
    gains = (1.0 - weights) * (expected - uniform)
    spread = sqrt(float((gains**2).sum()))
    z = float(gains.sum()) / spread if spread > 0.0 else 0.0
    found = (
        f"expected of what was sent {float(expected.mean()):.4g} a send, of a choice at random {uniform:.4g} "
        f"({z:+.1f} standard errors)"
    )
    return Measured(name, z, float(scipy.stats.norm.cdf(z)), len(rows), found)


def _uniform_weights(log: AuditLog, rows: np.ndarray) -> FloatArray:
    """Probability of each choice under a uniform draw of the eligible arms over its propensity; shape (n_rows,).

    0 where a propensity is none: the row checks name such rows.
    """
    promised = np.ones(len(rows))
    for d, pmf in enumerate(log.pmfs):
        promised *= np.count_nonzero(pmf[rows] > 0.0, axis=1) * log.propensities[rows, d]
    return np.divide(1.0, promised, out=np.zeros(len(rows)), where=promised > 0.0)
