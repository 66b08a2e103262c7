"""Who was rewarded is told by what outcomes were worth: what recent messages cost makes no send a rewarded one."""

from __future__ import annotations

import numpy as np
import pytest

from evaluation.arm_contrasts import arm_contrast
from evaluation.arm_scores import ArmRows, arm_scores
from evaluation.contrast_scores import pair_scores
from evaluation.evaluate import conclude, tally
from evaluation.group_sequence import group_sequence
from evaluation.grouped_sends import GroupedSends
from evaluation.log_batch import Layout, LogBatch
from evaluation.methods import Known, methods_of
from evaluation.overlap import Verdict
from evaluation.reward_model import training_rows
from evaluation.target import FixedTarget
from evaluation.weighing import TargetWeigher
from service.lift_seen import DailyLooks, FirstDays, always_valid, naive
from service.log_source import with_one_reward
from service.outcome_worths import with_worths

N, COST = 4000, 0.02
METHODS = methods_of(("snips", "cressie-read"))


@pytest.fixture
def campaign(worlds):
    """Two arms, a click worth 1, each recent message .02."""
    return costly(worlds)


def costly(worlds, *quiet, click=1.0, cost=COST):
    return worlds.campaign(
        dimension=[worlds.dimension("subject", "a", "b", *quiet)],
        reward={"window": "72h", "events": {"click": click}, "recent_send": {"cost": cost, "within": "7d"}},
    )


def clicks_of(n_clicks, n=N):
    """So many clicks in n rows, half of them on each arm."""
    found = np.zeros(n)
    found[np.arange(n_clicks) * (n // n_clicks) + np.arange(n_clicks) % 2] = 1.0
    return found


def batch_of(clicks, counts, cost=COST):
    """Two arms in turn with even chances; a row's reward is its click less the cost of its recent messages."""
    n = len(clicks)
    picks, counts = np.arange(n)[:, None] % 2, np.broadcast_to(counts, n)
    return LogBatch(
        Layout(("subject",), (("a", "b"),)), np.arange(1, n + 1), clicks - cost * counts, picks, np.full((n, 1), 0.5),
        (np.full((n, 2), 0.5),), recent_sends=counts.tolist(),
    )  # fmt: skip


def answer_of(batch):
    target = TargetWeigher(FixedTarget((0,), "fixed:a"))
    found = tally([batch], METHODS, target, target)
    return conclude(found, METHODS, Known(found.is_binary, (-0.2, 1.0)), "fixed:a", "the same")


@pytest.mark.parametrize("is_declared", [True, False])
@pytest.mark.parametrize(("n_clicks", "verdict"), [(6, Verdict.THIN), (400, Verdict.RELIABLE)])
def test_few_clicks_are_thin_whatever_each_message_costs(campaign, is_declared, n_clicks, verdict):
    """With and without a campaign file that says what recent messages cost."""
    clicks = clicks_of(n_clicks)
    free, charged = batch_of(clicks, 0), batch_of(clicks, 2)
    if is_declared:
        charged = with_worths(charged, campaign)
    found = [answer_of(batch) for batch in (free, charged)]
    assert [one.answer.overlap.rewarded for one in found] == pytest.approx([n_clicks / 2] * 2)
    assert [one.against.overlap.rewarded for one in found] == pytest.approx([n_clicks / 2] * 2)
    assert {one.verdict for one in found} == {verdict}


def test_a_click_counts_though_recent_messages_cost_all_that_it_was_worth_or_more(worlds):
    dear = costly(worlds, click=0.2, cost=0.1)
    batch = batch_of(0.2 * np.array([1.0, 0.0, 1.0, 1.0, 0.0]), [3, 3, 2, 0, 0], cost=0.1)
    assert batch.rewards[2] == 0.0
    assert with_worths(batch, dear).rewarded.tolist() == [True, False, True, True, False]
    assert with_worths(batch, dear).only(np.arange(5) > 1).rewarded.tolist() == [True, True, False]
    # Nobody says what they cost: what may be nothing but cost is not taken for a reward.
    assert batch.rewarded.tolist() == [False, False, False, True, False]


def test_what_sends_nothing_bears_no_cost_and_so_its_reward_is_its_worth(worlds):
    campaign = costly(worlds, {"id": "no_send", "no_send": True})
    layout = Layout(("subject",), (("a", "b", "no_send"),))
    made = LogBatch(
        layout, np.arange(1, 4), np.array([0.0, -0.06, 0.94]), np.array([[2], [0], [1]]), np.ones((3, 1)),
        recent_sends=[3, 3, 3],
    )  # fmt: skip
    assert with_worths(made, campaign).worths.tolist() == [0.0, 0.0, 1.0]


@pytest.mark.parametrize("recent", [None, [None] * 4, [0] * 4])
def test_without_recent_messages_every_reward_but_0_counts(worlds, recent):
    batch = worlds.even(4, rewards=np.array([-1.0, 0.0, 0.3, 2.0]), recent_sends=recent)
    assert batch.rewarded.tolist() == [True, False, True, True]
    assert not batch.may_cost


def test_a_learner_of_rewards_begins_once_enough_outcomes_came_not_costs(campaign):
    batch = with_worths(batch_of(clicks_of(6, 60), 2), campaign)
    plain = with_one_reward(campaign)
    rows = list(training_rows(batch, plain, -0.2, 1.2))
    assert sum(row.labels[0] for row in rows) == 6.0


def test_a_comparison_of_arms_with_few_clicks_is_thin_whatever_each_message_costs(campaign):
    batch = with_worths(batch_of(clicks_of(6), np.arange(N) % 3), campaign)
    bare = {"drawn": batch.picks[:, 0], "rewards": batch.rewards, "reward_range": (-0.2, 1.0)}
    rows = ArmRows.of(batch.pmfs[0], **bare, rewarded=batch.rewarded)
    scores = arm_scores(rows)
    found = arm_contrast(pair_scores(scores, 0, 1))
    assert found.effective_rewards == pytest.approx((3.0, 3.0))
    assert found.is_thin
    quarter = np.arange(N) < N // 4
    assert arm_contrast(pair_scores(scores.where(quarter), 0, 1)).effective_rewards == pytest.approx((1.0, 1.0))


def test_groups_say_nothing_before_twenty_rewarded_customers_though_costs_differ():
    """Nobody of control has clicked yet; the spread of costs alone looks like knowledge."""
    rng, n = np.random.default_rng(2), 600
    customers, counts = np.tile(np.arange(n), 3), np.repeat([0, 1, 2], n)
    treated = customers % 2 == 0
    clicks = treated & (customers % 20 == 0) & (counts == 1)
    rewards = clicks - COST * np.minimum(counts, rng.integers(0, 3, 3 * n))
    sends, asked = GroupedSends.of(treated, customers, 0.5), {"reward_range": (-0.2, 1.0), "planned": 3 * n}
    fooled = group_sequence(sends, rewards, **asked)
    assert fooled.ci_upper - fooled.ci_lower < 1.2
    silent = group_sequence(sends, rewards, **asked, rewarded=clicks)
    assert (silent.ci_lower, silent.ci_upper) == pytest.approx((-1.2, 1.2))
    # From the first look on at which both groups have twenty, the bounds are those of the rewards.
    many = customers % 20 < 2
    looks = [1500, 3 * n]
    rows = np.flatnonzero(many & (counts == 2))
    found = group_sequence(sends, many - COST * counts, looks=looks, **asked, rewarded=many & (counts == 2))
    assert [int((rows < look).sum()) for look in looks] == [30, 60]
    assert found.upper[0] - found.lower[0] == pytest.approx(2.4)
    assert found.upper[1] - found.lower[1] < 1.0


def test_who_looks_daily_counts_clicks_and_not_costs():
    n = 4000
    treated = np.arange(n) % 2 == 0
    clicks, counts = treated & (np.arange(n) % 4 == 0), np.full(n, 60)
    due = np.arange(n) / n * 20.0
    plain = DailyLooks.of(treated, np.arange(n), clicks.astype(float), due)
    charged = DailyLooks.of(treated, np.arange(n), clicks - COST * counts, due, worths=clicks.astype(float))
    assert naive(charged) == naive(plain) != FirstDays()
    assert always_valid(charged, 0.5, (-1.2, 1.0), n).better is not None
