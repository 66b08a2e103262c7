"""Honest logs pass every audit, each fault is caught by the audit that must, and one bad row spoils one audit at most."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from bandit.errors import EngineError, InvalidSettings
from evaluation.audit import CERTAIN, CERTAIN_P, Audit, AuditVerdict, Measured, judged
from evaluation.audit_log import AuditLog, AuditSettings, Reports
from evaluation.audits import AUDITS, all_audits
from evaluation.sample_ratio import fixed_ratio_test

N, ARMS = 10_000, tuple("abcde")
GENDERS = ("female", "male", "other")
GROUPS = {"random": 0.1, "control": {"share": 0.1, "choice": {"subject": "a"}}}
CONTEXT = {
    "gender": {"kind": "categorical", "protected": True},
    "days": {"kind": "numeric", "range": [0, 100]},
    "member": {"kind": "boolean"},
}
DRAWS = {"arms: subject", "1/p: subject", "calibration: subject"}


def softmax(scores, floor):
    weights = np.exp(scores)
    return (1 - floor) * weights / weights.sum(axis=1, keepdims=True) + floor / scores.shape[1]


class Logs:
    """Logs of one dimension with known faults; estimates are right unless something changes."""

    def __init__(self, worlds):
        self.campaign = worlds.campaign(
            groups=GROUPS,
            context=CONTEXT,
            dimension=[worlds.dimension("subject", *ARMS)],
            reward={"window": "72h", "events": {"click": 1.0}},
        )

    def log(self, seed, fault="", n=N):
        rng = np.random.default_rng(seed)
        customers = np.array([f"c{i}" for i in range(n)], dtype=object)
        groups = rng.choice(["learner", "random", "control"], n, p=[0.8, 0.1, 0.1]).astype(object)
        scores = rng.normal(0, 1.5, (n, len(ARMS)))
        gender = rng.choice(GENDERS, n, p=[0.5, 0.46, 0.04])
        if fault == "unfair":
            scores[gender == "other", 0] += 1.5
        logged, sampled = self.pmfs(rng, scores, groups, fault)
        picks = (sampled.cumsum(axis=1) < rng.random((n, 1))).sum(axis=1).clip(max=len(ARMS) - 1)
        estimates = np.clip(0.05 * np.exp(0.3 * scores[np.arange(n), picks]), 0, 0.5)
        late = np.arange(n) > 0.75 * n
        rewards = (rng.random(n) < estimates * np.where(late & (fault == "drift"), 0.4, 1.0)).astype(float)
        days = rng.uniform(0, 100, n) + np.where(late & (fault == "other customers"), 20, 0)
        hours = np.datetime64("2026-01-01T00", "s") + 60 * np.arange(n)
        made = AuditLog(
            self.campaign, customers, groups, hours, hours + 72 * 3600, np.full(n, "matured", dtype=object), picks[:, None],
            logged[np.arange(n), picks][:, None], (logged,), np.where(groups == "learner", estimates, np.nan), rewards,
            {"gender": gender.tolist(), "days": days.tolist(), "member": (rng.random(n) < 0.5).tolist()},
            Reports(rng.exponential(5, int(rewards.sum())), np.zeros(int(rewards.sum()), dtype=bool)),
        )  # fmt: skip
        kept = np.ones(n, dtype=bool)
        if fault == "unlogged":
            kept = (picks != 0) | (groups != "learner") | (rng.random(n) > 0.1)
        if fault == "lost control":
            kept = (groups != "control") | (rng.random(n) > 0.25)
        return self.only(made, kept)

    def pmfs(self, rng, scores, groups, fault):
        logged = softmax(scores, 0.1)
        sampled = {
            "floor": softmax(scores, 0.05),
            "stale": softmax(scores + rng.normal(0, 0.75, scores.shape), 0.1),
            "temperature": softmax(scores / 1.1, 0.1),
        }.get(fault, logged)
        for group, pmf in (("random", np.full(len(ARMS), 0.2)), ("control", np.eye(len(ARMS))[0])):
            logged[groups == group] = sampled[groups == group] = pmf
        return logged, sampled

    def only(self, log, kept):
        return replace(
            log, customers=log.customers[kept], groups=log.groups[kept], decided_at=log.decided_at[kept], due_at=log.due_at[kept],
            states=log.states[kept], picks=log.picks[kept], propensities=log.propensities[kept], pmfs=(log.pmfs[0][kept],),
            estimates=log.estimates[kept], rewards=log.rewards[kept],
            context={name: np.array(column, dtype=object)[kept].tolist() for name, column in log.context.items()},
        )  # fmt: skip


@pytest.fixture(scope="module")
def logs(worlds):
    """Builds logs."""
    return Logs(worlds)


def alarms(log):
    return {one.name for one in all_audits(log) if one.verdict is AuditVerdict.ALARM}


def test_honest_logs_pass_and_every_audit_has_looked(logs):
    n_runs, raised = 4, 0
    for seed in range(n_runs):
        found = all_audits(logs.log(seed))
        silent = {one.name for one in found if one.verdict is AuditVerdict.CANNOT_SAY}
        assert silent == {"rewards: machine"}
        assert {one.name.partition(":")[0] for one in found} == set(AUDITS)
        assert not any(one.is_certain for one in found)
        raised += sum(one.verdict is AuditVerdict.ALARM for one in found)
    # Eight audits that may each be wrong once in twenty logs.
    assert raised <= stats.binom.ppf(0.999, 8 * n_runs, 0.05)


@pytest.mark.parametrize(
    ("fault", "caught_by", "missed_by"),
    [
        ("floor", {"1/p: subject", "calibration: subject"}, {"groups", "arms: subject"}),
        ("stale", {"1/p: subject", "calibration: subject"}, {"groups", "arms: subject"}),
        ("temperature", {"1/p: subject"}, {"groups", "arms: subject"}),
        ("unlogged", {"arms: subject"}, {"1/p: subject"}),
        ("lost control", {"groups"}, DRAWS),
        ("drift", {"drift"}, DRAWS | {"groups"}),
        ("other customers", {"population: days"}, DRAWS | {"groups", "population: member", "drift"}),
        ("unfair", {"parity: gender, subject"}, DRAWS | {"groups", "drift"}),
    ],
)
def test_each_fault_is_caught_by_its_audit(logs, fault, caught_by, missed_by):
    found = {one.name: one for one in all_audits(logs.log(11, fault))}
    raised = {name for name, one in found.items() if one.verdict is AuditVerdict.ALARM}
    assert caught_by <= raised
    assert not missed_by & raised
    assert all(found[name].advice for name in caught_by)


def test_only_a_wrong_log_breaks_it_and_only_beyond_chance(logs):
    broken = {one.name for one in all_audits(logs.log(11, "floor")) if one.breaks_log}
    assert "1/p: subject" in broken
    assert broken <= DRAWS
    for fault, name in (("other customers", "population: days"), ("unfair", "parity: gender, subject")):
        found = {one.name: one for one in all_audits(logs.log(11, fault))}
        assert found[name].is_certain
        assert not any(one.breaks_log for one in found.values())


def test_an_alarm_of_drift_that_the_learner_made_up_for_is_told_and_stands_no_more(logs):
    log = logs.log(12)
    early = np.arange(N) < 2000
    log = replace(log, estimates=np.where(early, np.maximum(log.estimates - 0.2, 0.0), log.estimates))
    (drift,) = [one for one in all_audits(log) if one.name == "drift"]
    assert drift.verdict is AuditVerdict.OK
    assert "higher than expected" in drift.found
    assert "expectations have held since" in drift.found
    assert drift.p_value > 0.05
    late = np.arange(N) >= 8000
    log = replace(log, estimates=np.where(late, np.minimum(log.estimates + 0.1, 1.0), log.estimates))
    (drift,) = [one for one in all_audits(log) if one.name == "drift"]
    assert drift.verdict is AuditVerdict.ALARM
    assert "lower than expected" in drift.found
    assert "expects more than comes" in drift.advice


def test_a_mismatch_of_groups_that_was_made_good_later_still_shows(logs):
    log = logs.log(13)
    groups = log.groups.copy()
    groups[:1500] = np.where(groups[:1500] == "control", "learner", groups[:1500])
    control = np.flatnonzero(log.groups[:1500] == "control")
    learners = np.flatnonzero(groups[1500:] == "learner")[: len(control)] + 1500
    groups[learners] = "control"
    assert (groups == "control").sum() == (log.groups == "control").sum()
    assert "groups" in alarms(replace(log, groups=groups))
    assert "groups" not in alarms(log)


def test_population_is_split_where_it_was_asked_to_be(logs):
    log = logs.log(14, "other customers")
    until = log.decided_at[int(0.75 * N)].astype("datetime64[s]").item()
    found = {one.name: one for one in all_audits(log, AuditSettings(earlier_until=until.astimezone()))}
    halves = {one.name: one for one in all_audits(log)}
    assert found["population: days"].statistic > halves["population: days"].statistic
    nothing = AuditSettings(earlier_until=log.decided_at[0].astype("datetime64[s]").item().astimezone())
    silent = {one.name: one for one in all_audits(log, nothing)}["population: days"]
    assert silent.verdict is AuditVerdict.CANNOT_SAY
    assert "nothing to compare" in silent.found


def test_one_bad_row_silences_its_audits_and_no_other(logs):
    log = logs.log(15)
    pmfs = log.pmfs[0].copy()
    pmfs[7, 0] = np.nan
    rewards = log.rewards.copy()
    rewards[np.flatnonzero(log.groups == "learner")[0]] = 7.0
    found = {one.name: one for one in all_audits(replace(log, pmfs=(pmfs,), rewards=rewards))}
    assert {name for name, one in found.items() if "row 7" in one.found} >= {"calibration: subject"} or log.groups[
        7
    ] == "control"
    assert "reward of row 0" in found["drift"].found
    assert found["drift"].verdict is AuditVerdict.CANNOT_SAY
    assert found["groups"].verdict is AuditVerdict.OK


def test_what_is_made_of_the_time_and_the_zone_that_hours_follow_raise_no_alarm(logs, worlds):
    honest = logs.log(3)
    campaign = worlds.campaign(
        groups=GROUPS,
        context={**CONTEXT, "zone": {"kind": "categorical", "values": ["Asia/Tokyo", "UTC"], "protected": True}},
        time={"zone": "zone", "fields": {"weekday": "weekday"}},
        dimension=[worlds.dimension("subject", *ARMS)],
        reward={"window": "72h", "events": {"click": 1.0}},
    )
    zones = np.where(honest.pmfs[0][:, 0] > 0.2, "UTC", "Asia/Tokyo").tolist()
    weekdays = np.where(np.arange(N) < N // 2, "mon", "sun").tolist()
    moving = replace(honest, campaign=campaign, context={**honest.context, "zone": zones, "weekday": weekdays})
    assert alarms(moving) == set()
    # A protected field of another meaning with the same values shows, and so does one of the caller's that moves so.
    told = replace(honest, context={**honest.context, "gender": zones, "member": [day == "mon" for day in weekdays]})
    assert {"parity: gender, subject", "population: member"} <= alarms(told)


def test_an_empty_log_cannot_say_anything(logs):
    found = all_audits(logs.only(logs.log(16, n=10), np.zeros(10, dtype=bool)))
    assert {one.verdict for one in found} == {AuditVerdict.CANNOT_SAY}
    assert all(one.advice and one.found for one in found)


def test_tests_of_one_audit_are_adjusted_for_each_other():
    tests = [Measured(f"f{k}", 1.0, p, 10, "x") for k, p in enumerate((0.02, 0.03, 0.9))]
    found = judged(tests, "means", "do this", 0.05)
    assert [one.p_value for one in found] == pytest.approx([0.06, 0.06, 0.9])
    assert {one.verdict for one in found} == {AuditVerdict.OK}
    assert judged(tests[:2], "means", "do this", 0.05)[0].p_value == pytest.approx(0.04)


def test_certain_is_one_in_ten_thousand_by_p_or_by_e():
    audit = Audit("a", "m", AuditVerdict.ALARM, 1.0, CERTAIN_P / 2, None, 5, "f", "do", judges_log=True)
    assert audit.breaks_log
    assert not replace(audit, judges_log=False).breaks_log
    assert not replace(audit, p_value=2 * CERTAIN_P).is_certain
    assert replace(audit, p_value=None, e_value=2 / CERTAIN).is_certain
    assert not replace(audit, p_value=None, e_value=0.5 / CERTAIN).is_certain


@pytest.mark.parametrize("share", [0.005, 0.02, 0.1])
def test_the_smallest_counts_that_are_tested_are_certain_by_chance_at_most_once_in_ten_thousand(share):
    n = int(np.ceil(2.5 / (share * (1 - share))))
    p_values = [fixed_ratio_test([k, n - k], [share, 1 - share]).p_value for k in range(min(n, 80) + 1)]
    chances = stats.binom.pmf(np.arange(len(p_values)), n, share)
    assert chances[np.array(p_values) < CERTAIN_P].sum() < CERTAIN
    assert chances[np.array(p_values) < CERTAIN].sum() > 10 * CERTAIN


@pytest.mark.parametrize(
    "wrong",
    [
        {"p_value": 1.5},
        {"e_value": -1.0},
        {"e_value": np.inf},
        {"advice": ""},
        {"found": ""},
        {"verdict": AuditVerdict.OK},
    ],
)
def test_an_audit_whose_parts_do_not_belong_together_is_refused(wrong):
    fine = Audit("a", "m", AuditVerdict.ALARM, 1.0, 0.01, None, 5, "f", "do")
    with pytest.raises(EngineError, match="do not belong together"):
        replace(fine, **wrong)


def test_columns_of_different_length_are_no_log(logs):
    log = logs.log(17, n=10)
    with pytest.raises(EngineError, match="columns of"):
        replace(log, rewards=log.rewards[:9])


@pytest.mark.parametrize("wrong", [{"level": 0.0}, {"level": 1.0}, {"run_length": 1.0}])
def test_settings_out_of_range_are_refused(wrong):
    with pytest.raises(InvalidSettings):
        AuditSettings(**wrong)
