"""The audit of guidance alarms where a learner prefers what it believes to be worse, and seldom where it does not care."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from evaluation.audit import AuditVerdict
from evaluation.audit_log import AuditLog, AuditSettings, Reports
from evaluation.audits import AUDITS
from evaluation.guidance_audit import LEAST_ROWS, audit_guidance

SETTINGS = AuditSettings()
N_ARMS = 4


@pytest.fixture(scope="module")
def logs(worlds):
    """Makes logs of one dimension whose pmfs follow what is believed, with a sign and a sharpness of one's own."""
    arms = worlds.dimension("subject", *"abcd")
    campaign = worlds.campaign(dimension=[arms], context=None)

    def made(n, sharpness, *, seed=0, since=0.0, removed=0.0):
        """`sharpness` below 0 is misguided, from the share `since` of the rows on; the sign is right before."""
        rng = np.random.default_rng(seed)
        beliefs = rng.normal(0.0, 1.0, (n, N_ARMS))
        signs = np.where(np.arange(n) < since * n, abs(sharpness), sharpness)
        eligible = rng.random((n, N_ARMS)) >= removed
        eligible[:, 0] = True
        weights = np.exp(signs[:, None] * beliefs) * eligible
        pmf = 0.9 * weights / weights.sum(axis=1, keepdims=True) + 0.1 * eligible / eligible.sum(axis=1, keepdims=True)
        picks = (pmf.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=N_ARMS - 1)
        # Customers differ far more than arms do.
        expected = 0.2 + 0.05 * rng.normal(size=n) + 0.01 * beliefs[np.arange(n), picks]
        at = np.datetime64("2026-01-01T00", "s") + 60 * np.arange(n)
        return AuditLog(
            campaign, np.arange(n).astype(object), np.full(n, "learner", dtype=object), at, at + 3600,
            np.full(n, "matured", dtype=object), picks[:, None], pmf[np.arange(n), picks][:, None], (pmf,), expected,
            np.zeros(n), {}, Reports(np.empty(0), np.empty(0, dtype=bool)),
        )  # fmt: skip

    return made


def verdicts(log):
    return [str(one.verdict) for one in audit_guidance(log, SETTINGS)]


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("removed", [0.0, 0.3])
def test_a_guided_learner_passes_and_one_with_its_sign_turned_round_does_not(logs, seed, removed):
    assert verdicts(logs(4000, 1.0, seed=seed, removed=removed)) == ["ok", "ok"]
    assert verdicts(logs(4000, -1.0, seed=seed, removed=removed)) == ["alarm", "alarm"]


def test_a_sign_that_is_turned_round_while_the_campaign_runs_shows_in_the_later_half(logs):
    found = audit_guidance(logs(6000, -1.0, since=0.5), SETTINGS)
    assert [one.name for one in found] == ["guidance: all rows", "guidance: later half"]
    assert [str(one.verdict) for one in found] == ["ok", "alarm"]
    assert "a sign turned round" in found[1].advice


def test_pmfs_that_have_nothing_to_do_with_beliefs_raise_an_alarm_in_at_most_one_log_of_twenty(logs):
    rng, alarms = np.random.default_rng(1), 0
    for seed in range(120):
        log = logs(600, 1.0, seed=seed)
        indifferent = replace(log, estimates=0.2 + 0.05 * rng.normal(size=600))
        alarms += "alarm" in verdicts(indifferent)
    assert 1 <= alarms <= 13


def test_an_alarm_never_says_that_the_log_is_wrong(logs):
    found = audit_guidance(logs(20_000, -2.0), SETTINGS)
    assert all(one.verdict is AuditVerdict.ALARM for one in found)
    assert found[0].p_value < 1e-6
    assert not any(one.breaks_log for one in found)


def test_without_enough_rows_or_without_preferences_nothing_can_be_said(logs):
    few = audit_guidance(logs(LEAST_ROWS - 1, -1.0), SETTINGS)
    assert [str(one.verdict) for one in few] == ["cannot say", "cannot say"]
    assert "too few rows that favour some arms say what was expected: 99" in few[0].found
    assert verdicts(logs(1000, 0.0)) == ["cannot say", "cannot say"]
    none = replace(logs(1000, -1.0), estimates=np.full(1000, np.nan))
    assert [one.n for one in audit_guidance(none, SETTINGS)] == [0, 0]


def test_only_the_learners_rows_are_asked(logs):
    log = logs(2000, -1.0)
    groups = log.groups.copy()
    groups[::2] = "random"
    assert [one.n for one in audit_guidance(replace(log, groups=groups), SETTINGS)] == [1000, 500]


def test_a_row_whose_propensity_is_nothing_spoils_no_other_audit(logs):
    log = logs(2000, -1.0)
    propensities = log.propensities.copy()
    propensities[3] = 0.0
    assert verdicts(replace(log, propensities=propensities)) == ["cannot say", "alarm"]
    assert AUDITS["guidance"] is audit_guidance
