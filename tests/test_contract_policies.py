"""What every policy promises, for every policy there is, floored or not, and for Vowpal Wabbit's own explorers."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Estimates
from bandit.campaign import PolicySpec
from bandit.errors import InvalidEstimates
from bandit.estimates import Need, Offer
from bandit.native import EXPLORERS
from policies import POLICIES, Fixed, Floor, Uniform, policy_of

LAW = settings(max_examples=50, deadline=None)
"""Making a situation costs far more than a policy's answer to it, so each is put to every policy."""
FLOORS = [0.0, 0.05]
MAKERS = {name: (lambda n_arms, name=name: POLICIES[name]()) for name in POLICIES}
MAKERS["fixed"] = lambda n_arms: Fixed((n_arms // 2,))
PERMUTABLE = [name for name in MAKERS if name != "fixed"]  # a fixed arm moves with the order by what it is
SCORES = st.one_of(
    st.floats(-1.0, 1.0),
    st.floats(-1e6, 1e6),
    st.floats(-1e-12, 1e-12),
    st.sampled_from([0.0, -0.0, 1e-300, 5e-324, 0.1, 1e6]),
)


@dataclass(frozen=True)
class Situation:
    """Scores and which arms are eligible; every kind of estimate at once, so that each policy finds its own."""

    scores: np.ndarray
    eligible: np.ndarray
    n_learned: int

    @property
    def estimates(self):
        gaps = self.scores - np.where(self.eligible, self.scores, -np.inf).max(axis=-1, keepdims=True)
        native = np.where(self.eligible, np.exp(np.minimum(gaps, 0.0)), 0.0)
        # Three members: two believe the scores, one thinks all arms alike.
        members = np.stack([self.scores, self.scores, np.zeros_like(self.scores)])
        return Estimates(self.scores, self.n_learned, native / native.sum(axis=-1, keepdims=True), members=members)

    def together(self, policy):
        """As many decisions at once are made, and audited: arrays."""
        return policy.pmf(self.estimates, self.eligible, dimension=0)

    def pmf(self, policy):
        """As one decision is made: plain numbers of the arms on offer, spread over all arms."""
        offered = np.flatnonzero(self.eligible).tolist()
        spread = np.zeros(self.scores.size)
        spread[offered] = policy.shares(self.estimates.on_offer(0, offered, len(self.eligible)))
        return spread

    def row(self, number):
        return Situation(self.scores[number], self.eligible[number], self.n_learned)


@st.composite
def situations(draw, n_rows=None):
    n_arms = draw(st.integers(1, 12))
    rows = [draw(st.lists(SCORES, min_size=n_arms, max_size=n_arms)) for _ in range(n_rows or 1)]
    masks = [draw(st.lists(st.booleans(), min_size=n_arms, max_size=n_arms).filter(any)) for _ in rows]
    n_learned = draw(st.sampled_from([0, 1, 100, 10_000, 10_000_000]))
    scores, eligible = np.array(rows), np.array(masks)
    many = Situation(scores, eligible, n_learned)
    return many if n_rows else many.row(0)


def every_policy(situation, names=tuple(MAKERS), floors=FLOORS):
    """Each of these policies with each of these floors."""
    for name, floor in product(names, floors):
        made = MAKERS[name](situation.scores.shape[-1])
        yield Floor(made, floor) if floor else made, floor


def assert_distribution(pmf, eligible):
    assert pmf.shape == eligible.shape
    assert np.isfinite(pmf).all()
    assert (pmf >= 0.0).all()
    assert np.abs(pmf.sum(axis=-1) - 1.0).max() <= 1e-12
    assert (pmf[~eligible] == 0.0).all()


@LAW
@given(situation=situations())
def test_every_policy_answers_with_a_distribution_over_exactly_the_eligible_arms(situation):
    for made, floor in every_policy(situation, floors=(*FLOORS, 1.0)):
        pmf = situation.pmf(made)
        assert_distribution(pmf, situation.eligible)
        if floor:
            assert (pmf[situation.eligible] > 0.0).all(), made


@LAW
@given(situation=situations())
def test_every_eligible_arm_has_at_least_its_part_of_the_floor(situation):
    for made, floor in every_policy(situation, floors=(0.05, 0.5, 1.0)):
        assert situation.pmf(made)[situation.eligible].min() >= floor / situation.eligible.sum() - 1e-12, made


@LAW
@given(situation=situations(), floor=st.floats(0.001, 1.0))
def test_the_floor_is_mixed_in_and_leaves_the_rest_in_proportion(floor, situation):
    for made, _ in every_policy(situation, floors=(0.0,)):
        expected = (1.0 - floor) * situation.pmf(made) + floor * situation.eligible / situation.eligible.sum()
        assert situation.pmf(Floor(made, floor)) == pytest.approx(expected, abs=1e-12), made


@LAW
@given(situation=situations(), random=st.randoms())
def test_arms_in_another_order_have_the_same_probabilities_in_that_order(situation, random):
    order = list(range(situation.scores.size))
    random.shuffle(order)
    shuffled = Situation(situation.scores[order], situation.eligible[order], situation.n_learned)
    for made, _ in every_policy(situation, PERMUTABLE):
        assert shuffled.pmf(made) == pytest.approx(situation.pmf(made)[order], abs=1e-9), made


@LAW
@given(situation=situations(n_rows=3))
def test_rows_decided_together_are_rows_decided_one_by_one(situation):
    for made, _ in every_policy(situation):
        together = situation.together(made)
        assert_distribution(together, situation.eligible)
        one_by_one = [(row.pmf(made), row.together(made)) for row in map(situation.row, range(len(together)))]
        assert np.abs(together[:, np.newaxis] - np.array(one_by_one)).max() <= 1e-12, made


@LAW
@given(situation=situations(), score=SCORES)
def test_arms_with_equal_scores_have_equal_probabilities(situation, score):
    tied = Situation(
        np.where(np.arange(situation.scores.size) % 2 == 0, score, situation.scores),
        situation.eligible,
        situation.n_learned,
    )
    for made, _ in every_policy(tied, PERMUTABLE):
        same = tied.pmf(made)[::2][tied.eligible[::2]]
        assert np.ptp(same) <= 1e-12 if same.size else True, made


@LAW
@given(
    st.lists(st.sampled_from([-0.2, 0.0, 0.1, 0.1 + 1e-6]), min_size=2, max_size=12),
    st.lists(st.integers(-4, 4), min_size=12, max_size=12),
    st.integers(0, 10**6),
)
def test_the_last_digits_of_sums_that_are_added_in_another_order_change_nothing(scores, last_digits, n_learned):
    exact = np.array(scores)
    rounded = exact + np.array(last_digits[: exact.size]) * 2.0**-54
    every = np.ones(exact.size, dtype=bool)
    for made, _ in every_policy(Situation(exact, every, n_learned), PERMUTABLE):
        expected = Situation(exact, every, n_learned).pmf(made)
        for pmf in (
            Situation(rounded, every, n_learned).pmf(made),
            Situation(rounded, every, n_learned).together(made),
        ):
            np.testing.assert_allclose(pmf, expected, atol=1e-9, err_msg=str(made))


@pytest.mark.parametrize("name", ["squarecb", "epsilon-greedy", "thompson"])
def test_without_a_tolerance_an_arm_that_is_ahead_by_its_last_digit_alone_is_the_best(name):
    every, made = np.array([True] * 3), Floor(MAKERS[name](3), 0.1)
    ahead = np.array([0.1, 0.3, 0.3 + 2.0**-54])
    for tie, ties in ((1e-12, True), (0.0, False)):
        estimates = Estimates(ahead, 1000, members=ahead[None], tie=tie)
        for pmf in (made.pmf(estimates, every, dimension=0), made.shares(estimates.on_offer(0, range(3), 3))):
            assert sum(pmf) == pytest.approx(1.0)
            assert (pmf[1] == pytest.approx(pmf[2])) == ties
            assert (pmf[2] > 1.5 * pmf[1]) != ties


@LAW
@given(situation=situations())
def test_a_better_score_never_makes_an_eligible_arm_less_likely_than_a_worse_one(situation):
    order = np.argsort(situation.scores[situation.eligible], kind="stable")
    for made, _ in every_policy(situation, PERMUTABLE):
        assert (np.diff(situation.pmf(made)[situation.eligible][order]) >= -1e-12).all(), made


@LAW
@given(situation=situations(), arm=st.integers(0, 11))
def test_one_eligible_arm_gets_everything(situation, arm):
    only = np.arange(situation.scores.size) == arm % situation.scores.size
    alone = Situation(situation.scores, only, situation.n_learned)
    for made, _ in every_policy(alone):
        assert alone.pmf(made)[only] == pytest.approx([1.0], abs=1e-12), made


@LAW
@given(situation=situations())
def test_deciding_changes_neither_estimates_nor_rules_nor_the_answer_next_time(situation):
    scores, eligible, estimates = situation.scores.copy(), situation.eligible.copy(), situation.estimates
    native = estimates.native.copy()
    for made, _ in every_policy(situation, floors=(0.05,)):
        first = situation.pmf(made)
        for _ in range(2):
            assert made.pmf(estimates, situation.eligible, dimension=0) == pytest.approx(first, abs=1e-12), made
            assert (situation.pmf(made) == first).all(), made
        assert (situation.scores == scores).all(), made
        assert (situation.eligible == eligible).all(), made
        assert (estimates.native == native).all(), made


@pytest.mark.parametrize("n_learned", [0, 1, 1000, 10_000_000])
def test_squarecb_explores_less_the_more_was_learned(n_learned):
    situation = Situation(np.array([0.05, 0.03, 0.02]), np.ones(3, dtype=bool), n_learned)
    more = replace(situation, n_learned=2 * n_learned + 2)
    best, better = (each.pmf(policy_of(PolicySpec("squarecb", 0.0)))[0] for each in (situation, more))
    assert best <= better < 1.0
    assert better > best or n_learned == 0


def test_a_fixed_arm_that_a_rule_removed_gives_way_to_the_uniform():
    eligible = np.array([[True, False, True], [True, True, True]])
    assert Fixed((1,)).pmf(Estimates(), eligible, dimension=0).tolist() == [[0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]
    assert Fixed((1,)).shares(Offer(0, (0, 2))) == [0.5, 0.5]
    assert Fixed((0, 1)).shares(Offer(1, (0, 1, 2))) == [0.0, 1.0, 0.0]


def test_policies_that_need_nothing_never_look_at_the_estimates():
    for made in (Uniform(), Fixed((0,)), Floor(Uniform(), 0.1)):
        assert made.needs is Need.NOTHING
        assert made.pmf(Estimates(), np.array([True, True]), dimension=0).sum() == 1.0
        assert sum(made.shares(Offer(0, (0, 1)))) == 1.0


@pytest.mark.parametrize(
    ("name", "advice"),
    [(n, "regression") for n in POLICIES if POLICIES[n].needs is Need.SCORES] + [("native", "squarecb")],
)
def test_a_policy_without_the_estimates_it_needs_says_what_to_choose_instead(name, advice):
    with pytest.raises(InvalidEstimates, match=advice):
        policy_of(PolicySpec(name)).pmf(Estimates(), np.array([True, True]), dimension=0)
    with pytest.raises(InvalidEstimates, match=advice):
        policy_of(PolicySpec(name)).shares(Offer(0, (0, 1)))


@pytest.fixture(scope="module", params=EXPLORERS)
def explorer(request, worlds):
    """A trained explorer, and the same model for the campaign with its arms in another order."""
    arms = ["plain", "champion", "dominate", "a|b"]
    campaigns = [
        worlds.campaign(
            dimension=[worlds.dimension("subject", *(arms[k] for k in order))],
            policy={"name": "native"},
            learner={"name": "native", "explorer": request.param, "epsilon": 0.1, "gamma_scale": 50.0, "temper": 5.0},
        )
        for order in (range(4), (2, 0, 3, 1))
    ]
    rows = worlds.rows(
        campaigns[0],
        300,
        lambda c, choice: {"click": 0.5 if (c["level"] == "high") == (choice["subject"] == "champion") else 0.1},
    )
    snapshot = worlds.train(campaigns[0], rows)
    moved = replace(snapshot, campaign_hash=campaigns[1].content_hash)
    serve = worlds.kind(campaigns[0]).serve
    contexts = [campaigns[0].schema.encode(context) for context in worlds.contexts(campaigns[0], 6)]
    return serve(campaigns[0], snapshot), serve(campaigns[1], moved), contexts


@pytest.mark.parametrize("floor", [0.0, 0.05, 0.5])
def test_an_explorers_pmf_is_a_distribution_over_exactly_the_eligible_arms_and_respects_the_floor(explorer, floor):
    made = policy_of(PolicySpec("native", floor))
    scorer, _, contexts = explorer
    for context in contexts:
        for bits in range(1, 16):
            eligible = np.array([bool(bits >> k & 1) for k in range(4)])
            offered = np.flatnonzero(eligible).tolist()
            estimates = scorer.estimates(scorer.start(context), 0, offered)
            pmf = made.pmf(estimates, eligible, dimension=0)
            assert_distribution(pmf, eligible)
            assert made.shares(estimates.on_offer(0, offered, len(pmf))) == pytest.approx(pmf[offered], abs=1e-12)
            assert pmf[eligible].min() >= floor / eligible.sum() - 1e-12
            assert eligible.sum() > 1 or pmf.max() == pytest.approx(1.0, abs=1e-12)
            assert (scorer.estimates(scorer.start(context), 0, offered).native == estimates.native).all()


@pytest.mark.parametrize("name", [name for name in EXPLORERS if name != "rnd"])  # rnd starts from random scores
def test_an_untrained_explorer_shares_among_equals(worlds, name):
    campaign = worlds.campaign(policy={"name": "native"}, learner={"name": "native", "explorer": name})
    kind = worlds.kind(campaign)
    scorer = kind.serve(campaign, kind.fresh(campaign).snapshot(watermark=0))
    for context in worlds.contexts(campaign, 3):
        native = scorer.estimates(scorer.start(campaign.schema.encode(context)), 0, range(3)).native
        assert native == pytest.approx([1 / 3] * 3, abs=1e-6)


def test_an_explorers_pmf_is_equivariant_to_the_order_of_the_arms(explorer):
    one, two, contexts = explorer
    for context in contexts:
        here = one.estimates(one.start(context), 0, range(4)).native
        there = two.estimates(two.start(context), 0, range(4)).native
        assert there == pytest.approx(here[[2, 0, 3, 1]], abs=1e-6)


def test_softmax_tells_large_scores_apart_alike_for_one_decision_and_for_many():
    scores = np.array([1e6, 0.0, np.nextafter(1e6, np.inf)])
    made, arms = policy_of(PolicySpec("softmax", 0.0)), [0, 1, 2]
    one = made.shares(Estimates(scores).on_offer(0, arms, 3))
    assert made.pmf(Estimates(scores), np.ones(3, dtype=bool), dimension=0) == pytest.approx(one, abs=1e-12)
