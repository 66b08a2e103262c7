"""Whether rewards are counted, arrive in time and are people's is said in shares, with a rule of thumb beyond chance."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from bandit.errors import UnusableLog
from evaluation.audit import AuditVerdict
from evaluation.audit_log import AuditLog, AuditSettings, Reports
from evaluation.reward_audit import SILENT, audit_rewards
from evaluation.reward_health import reward_health

NO_REPORTS = Reports(np.empty(0), np.empty(0, dtype=bool))
DAY = np.datetime64("2026-11-22")


def reports(n, n_late=0, n_machine=None):
    order = np.arange(n)
    return Reports(order / 10.0, order < n_late, None if n_machine is None else order < n_machine)


@pytest.fixture
def verdicts(worlds):
    """The audit of a log with these states, decided one an hour with a window of a day: its verdicts by name."""
    campaign = worlds.campaign(dimension=[worlds.dimension("subject", "a", "b")])

    def audited(states, reported):
        n = len(states)
        hours = DAY.astype("datetime64[h]") + np.arange(n)
        log = AuditLog(
            campaign, np.arange(n).astype(str).astype(object), np.full(n, "learner", dtype=object), hours, hours + 24,
            np.array(states, dtype=object), np.zeros((n, 1), dtype=int), np.full((n, 1), 0.5), (np.full((n, 2), 0.5),),
            np.full(n, np.nan), np.full(n, np.nan), {f.name: [None] * n for f in campaign.schema.fields}, reported,
        )  # fmt: skip
        found = audit_rewards(log, AuditSettings())
        assert all(one.p_value is None and not one.breaks_log for one in found)
        return {one.name.removeprefix("rewards: "): one.verdict.value for one in found}, found

    return audited


def test_counts_by_hand():
    states = ["matured"] * 5 + ["pending"] * 3 + ["void"] * 2
    overdue = [True] * 6 + [False] * 4
    answer = reward_health(states, overdue, reports(11, n_late=2, n_machine=4))
    counts = (answer.n, answer.n_matured, answer.n_pending, answer.n_overdue, answer.n_void)
    assert counts == (10, 5, 3, 1, 2)
    assert (answer.n_outcomes, answer.n_late, answer.n_machine) == (11, 2, 4)
    assert answer.delays == pytest.approx({0.5: 0.5, 0.9: 0.9, 0.99: 0.99})


def test_without_outcomes_there_are_no_delays():
    assert reward_health(["pending"], [False], NO_REPORTS).delays == {}


@pytest.mark.parametrize(("states", "overdue"), [(["lost"], [False]), (["void"], [False, False])])
def test_rows_that_are_nothing_are_refused(states, overdue):
    with pytest.raises(UnusableLog):
        reward_health(states, overdue, NO_REPORTS)


def test_a_healthy_log_is_ok_and_machines_are_not_recorded(verdicts):
    found, _ = verdicts(["matured"] * 300 + ["pending"] * 24 + ["void"] * 3, reports(60, n_late=2))
    assert found == {"matured": "ok", "void": "ok", "arriving": "ok", "late": "ok", "machine": "cannot say"}


@pytest.mark.parametrize(
    ("name", "states", "reported"),
    [
        ("matured", ["pending"] * 300 + ["matured"] * 100, reports(50)),
        ("void", ["void"] * 100 + ["matured"] * 300, reports(50)),
        ("arriving", ["matured"] * SILENT, NO_REPORTS),
        ("late", ["matured"] * 300, reports(100, n_late=20)),
        ("machine", ["matured"] * 300, reports(100, n_late=0, n_machine=80)),
    ],
)
def test_each_illness_raises_its_own_alarm_with_advice(verdicts, name, states, reported):
    found, audits = verdicts(states, reported)
    assert [key for key, verdict in found.items() if verdict == "alarm"] == [name]
    assert all(bool(one.advice) == (one.verdict is not AuditVerdict.OK) for one in audits)


def test_a_share_that_chance_explains_is_no_alarm(verdicts):
    assert verdicts(["matured"] * 30, reports(20, n_late=2))[0]["late"] == "ok"
    assert verdicts(["void"] * 2 + ["matured"] * 10, reports(20))[0]["void"] == "ok"


def test_silence_of_a_short_log_says_nothing(verdicts):
    assert verdicts(["matured"] * 100, NO_REPORTS)[0]["arriving"] == "cannot say"
    assert verdicts(["pending"] * 10, NO_REPORTS)[0]["matured"] == "cannot say"


def test_how_long_outcomes_take_is_told(verdicts):
    _, audits = verdicts(["matured"] * 300, replace(reports(101)))
    assert "50% within 5.0 h, 90% within 9.0 h, 99% within 9.9 h" in audits[3].found
