"""Comparisons of groups, arms and segments: what is said, and that what cannot be said has its reason."""

from __future__ import annotations

import numpy as np
import pytest

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.arm_comparison import REST, compare_arms
from evaluation.arm_scores import ArmRows, arm_scores
from evaluation.arm_values import arm_values
from evaluation.contrast_scores import Weighting
from evaluation.finding import Word
from evaluation.group_comparison import GroupRows, Rule, compare_groups
from evaluation.segment_comparison import segment_arms, segment_lifts

RULE = Rule((0.0, 1.0), 6000, 0.01)
NAMES = ("learner", "control")


def group_rows(n=4000, share=0.5, rates=(0.1, 0.1), told=None, seed=1, **guardrails):
    """n customers with a send each; `told` is the share that the campaign claims, if another one."""
    rng = np.random.default_rng(seed)
    treated = rng.random(n) < share
    rewards = (rng.random(n) < np.where(treated, *rates)).astype(float)
    events = {name: (rng.random(n) < np.where(treated, *two)).astype(float) for name, two in guardrails.items()}
    return GroupRows(treated, np.arange(n), rewards, share if told is None else told, events)


def arm_rows(n=6000, rates=(0.1, 0.1, 0.1), pmf=(0.2, 0.3, 0.5), seed=2, **columns):
    rng = np.random.default_rng(seed)
    drawn = rng.choice(len(pmf), size=n, p=pmf)
    rewards = (rng.random(n) < np.asarray(rates)[drawn]).astype(float)
    return ArmRows.of(np.tile(pmf, (n, 1)), drawn, rewards, **columns)


def test_a_group_that_earns_more_wins_and_one_that_earns_less_stops():
    assert compare_groups(NAMES, group_rows(rates=(0.3, 0.1)), RULE).finding.word is Word.WINNER
    assert compare_groups(NAMES, group_rows(rates=(0.1, 0.3)), RULE).finding.word is Word.HARM


def test_equal_groups_keep_going_and_a_wide_margin_ends_it():
    assert compare_groups(NAMES, group_rows(), RULE).finding.word is Word.GO_ON
    assert compare_groups(NAMES, group_rows(), Rule((0.0, 1.0), 6000, 0.2)).finding.word is Word.SAME


def test_harm_overrules_a_winner():
    found = compare_groups(NAMES, group_rows(rates=(0.3, 0.1), unsubscribe=(0.2, 0.05), complaint=(0.01, 0.01)), RULE)
    assert found.sequence.ci_lower > 0
    assert found.guardrails["unsubscribe"].alarm
    assert not found.guardrails["complaint"].alarm
    assert found.finding.word is Word.HARM
    assert "unsubscribe" in found.finding.rule


def test_several_guardrails_share_the_false_alarms_of_one():
    alone = compare_groups(NAMES, group_rows(unsubscribe=(0.094, 0.06), n=6000, seed=3), RULE).guardrails["unsubscribe"]
    assert alone.alarm
    # Evidence that is enough for one question, and not for one of so many.
    n_others = int(alone.e_value / 20) + 1
    others = {f"other{i}": (0.0, 0.0) for i in range(n_others)}
    rows = group_rows(unsubscribe=(0.094, 0.06), n=6000, seed=3, **others)
    among = compare_groups(NAMES, rows, RULE).guardrails["unsubscribe"]
    assert among.e_value == alone.e_value
    assert not among.alarm


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (group_rows(told=0.9), "share"),
        (GroupRows(np.ones(10, bool), np.arange(10), np.ones(10), 0.5), "no send of control has matured"),
        (GroupRows(np.zeros(10, bool), np.arange(10), np.ones(10), 0.5), "no send of learner has matured"),
    ],
)
def test_groups_that_cannot_be_watched_say_why(rows, said):
    found = compare_groups(NAMES, rows, RULE)
    assert found.finding.word is Word.CANNOT_SAY
    assert said in found.finding.rule
    assert found.sequence is None


def test_unknown_shares_leave_the_one_look_and_an_unknown_range_as_well():
    rows = group_rows()
    for found in (
        compare_groups(NAMES, GroupRows(rows.treated, rows.customers, rows.rewards, None), RULE),
        compare_groups(NAMES, rows, Rule(None, None, 0.01)),
    ):
        assert found.finding.word is Word.CANNOT_SAY
        assert found.lift.p_value is not None
        assert found.sequence is None


def test_the_one_look_says_when_it_may_be_read():
    rows = group_rows()
    assert "rely on the bounds" in compare_groups(NAMES, rows, Rule((0.0, 1.0), None, 0.01)).fixed_date
    assert compare_groups(NAMES, rows, RULE).fixed_date.startswith("not to be read before the planned 6,000")
    assert compare_groups(NAMES, rows, Rule((0.0, 1.0), 4000, 0.01)).fixed_date.startswith("valid at this one look")


@pytest.mark.parametrize(("planned", "margin"), [(0, 0.1), (None, 0.0), (None, float("nan")), (10, -1.0)])
def test_a_rule_that_is_none_is_refused(planned, margin):
    with pytest.raises(InvalidSettings, match=r"planned|margin"):
        Rule((0.0, 1.0), planned, margin)


def test_the_best_arm_wins_if_it_beats_each_other_arm():
    found = compare_arms("subject", tuple("abc"), arm_rows(rates=(0.4, 0.1, 0.1)), RULE)
    assert (found.leader, found.finding.word) == ("a", Word.WINNER)
    assert [pair.other for pair in found.pairs] == ["b", "c"]
    assert all(pair.arm == "a" and pair.bounds[0] > 0 for pair in found.pairs)
    assert found.lines[0].rest.other == REST


def test_an_arm_better_than_the_rest_does_not_win_while_another_may_be_as_good():
    found = compare_arms("subject", tuple("abc"), arm_rows(rates=(0.4, 0.4, 0.1)), RULE)
    assert found.finding.word is Word.GO_ON
    assert "earns more than 1 of 2 other arms" in found.finding.rule
    assert {found.lines[at].rest.finding.word for at in (0, 1)} == {Word.WINNER}


def test_pairs_are_adjusted_for_all_pairs_and_so_are_wider_than_alone():
    rows = arm_rows(rates=(0.4, 0.1, 0.1))
    three = compare_arms("subject", tuple("abc"), rows, RULE).pairs[0]
    assert three.p_adjusted == pytest.approx(min(1.0, 3 * three.once.p_value))
    two = compare_arms("subject", tuple("ab"), arm_rows(rates=(0.4, 0.1), pmf=(0.4, 0.6)), RULE).pairs[0]
    assert two.p_adjusted == two.once.p_value


def test_arms_that_never_met_or_never_earned_have_a_reason():
    pmfs = np.array([[0.5, 0.5, 0.0]] * 400)
    rows = ArmRows.of(pmfs, [0, 1] * 200, [1, 0, 0, 0] * 100)
    lines = compare_arms("subject", tuple("abc"), rows, RULE).lines
    assert (lines[2].value.n_eligible, lines[2].value.value, lines[2].value.shrunk) == (0, None, None)
    assert lines[2].rest.finding.word is Word.CANNOT_SAY
    nothing = compare_arms("subject", tuple("ab"), ArmRows.of([[0.5, 0.5]] * 50, [0, 1] * 25, [0] * 50), RULE)
    assert nothing.finding.word is Word.CANNOT_SAY


def test_an_arms_value_is_the_mean_it_would_have_earned_whatever_the_pmf():
    found = arm_values(arm_scores(arm_rows(n=40_000, rates=(0.05, 0.1, 0.2), pmf=(0.1, 0.1, 0.8))))
    for one, truth in zip(found, (0.05, 0.1, 0.2), strict=True):
        assert abs(one.value - truth) < 4 * one.se
    assert [one.n_eligible for one in found] == [40_000] * 3
    assert sum(one.n_drawn for one in found) == 40_000


def test_values_are_in_reward_units_and_errors_count_customers():
    rng = np.random.default_rng(4)
    drawn, rewards = rng.integers(0, 2, 400), rng.choice([-1.0, 1.0], 400)
    twice = [np.repeat(column, 2) for column in (drawn, rewards)]
    options = {"reward_range": (-1.0, 3.0)}
    alone = arm_values(
        arm_scores(ArmRows.of([[0.5, 0.5]] * 800, *twice, known=np.repeat(np.arange(400) * 2, 2), **options))
    )
    pairs = ArmRows.of(
        [[0.5, 0.5]] * 800,
        *twice,
        customers=np.repeat(np.arange(400), 2),
        known=np.repeat(np.arange(400) * 2, 2),
        **options,
    )
    for one, two in zip(alone, arm_values(arm_scores(pairs)), strict=True):
        assert one.value == two.value
        assert -1.0 < one.value < 1.0
        assert two.se == pytest.approx(one.se * 2**0.5, rel=0.01)


def test_segments_find_the_arm_that_is_good_in_one_of_them():
    n = 8000
    rng = np.random.default_rng(6)
    segments = np.array(["new", "old"], dtype=object)[rng.integers(0, 2, n)]
    drawn = rng.integers(0, 2, n)
    rewards = (rng.random(n) < np.where((segments == "new") & (drawn == 0), 0.3, 0.1)).astype(float)
    found = segment_arms(tuple("ab"), ArmRows.of([[0.5, 0.5]] * n, drawn, rewards), segments, Weighting.PLAIN)
    by = {(one.segment, one.arm): one for one in found}
    assert by["new", "a"].q_value < 0.001
    assert by["old", "a"].q_value > 0.05
    assert by["new", "a"].n + by["old", "a"].n == n


def test_lifts_by_segment_are_those_of_the_segments_rows_alone():
    rows = group_rows(rates=(0.3, 0.1))
    segments = np.where(np.arange(4000) < 1000, "early", "late").astype(object)
    early, late = segment_lifts(rows, segments)
    alone = GroupRows(rows.treated[:1000], rows.customers[:1000], rows.rewards[:1000], 0.5).lift(0.95)[0]
    assert (early.segment, late.segment) == ("early", "late")
    assert early.lift == alone
    assert early.q_value >= early.lift.p_value


def test_names_are_no_segments():
    segments = np.array([f"c{i}" for i in range(4000)], dtype=object)
    with pytest.raises(UnusableLog, match="4000 different values"):
        segment_lifts(group_rows(), segments)
