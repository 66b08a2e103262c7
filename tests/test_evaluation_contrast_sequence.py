from math import log, sqrt

import numpy as np
import pytest

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.arm_scores import ArmRows, arm_scores
from evaluation.contrast_scores import Rest, Weighting, pair_scores
from evaluation.contrast_sequence import UNPLANNED, contrast_sequence

either = pytest.mark.parametrize("weighting", list(Weighting))
questions = pytest.mark.parametrize("ask", [lambda s: pair_scores(s, 0, 1), lambda s: Rest.of(s).against(0)])


def learned(n, rates, rng, floor=0.15, batch=25, drift=0.0):
    """A log of a learner that prefers what did best so far; its rewards arrive in batches, its base rate may rise."""
    n_arms, draws, luck = len(rates), rng.random(n), rng.random(n)
    sums, sent = np.zeros(n_arms), np.ones(n_arms)
    pmfs, drawn, rewards = np.empty((n, n_arms)), np.empty(n, dtype=int), np.empty(n)
    for start in range(0, n, batch):
        now = slice(start, start + batch)
        pmf = np.full(n_arms, floor / n_arms)
        pmf[np.argmax(sums / sent)] += 1 - floor
        pmfs[now], drawn[now] = pmf, np.searchsorted(np.cumsum(pmf), draws[now]).clip(max=n_arms - 1)
        rewards[now] = luck[now] < np.array(rates)[drawn[now]] + drift * start / n
        sums += np.bincount(drawn[now], weights=rewards[now], minlength=n_arms)
        sent += np.bincount(drawn[now], minlength=n_arms)
    known = np.arange(n) // batch * batch
    return {"pmfs": pmfs, "drawn": drawn, "rewards": rewards, "known": known}


def even(n=2000, rates=(0.3, 0.2), seed=1, n_arms=2):
    rng = np.random.default_rng(seed)
    drawn = rng.integers(0, n_arms, n)
    rewards = (rng.random(n) < np.array(rates)[drawn]).astype(float)
    return {"pmfs": np.full((n, n_arms), 1 / n_arms), "drawn": drawn, "rewards": rewards}


def scored(log_, **changed):
    return arm_scores(ArmRows.of(**log_ | changed))


def width(sequence):
    return sequence.ci_upper - sequence.ci_lower


def slow_lower(phi, least, contrast, weighting, plans, looks):
    """The lower bound send by send, in the words of the definition, and by bisection."""
    half, known, squares = 0.025, contrast.known, [0.0]
    h = [1.0 if weighting is Weighting.PLAIN else 1 / sqrt(noise) for noise in contrast.noise]
    for weight, score in zip(h, phi, strict=True):
        squares.append(squares[-1] + (weight * score) ** 2)

    def reached(m, n_seen):
        wealth = [1.0] * len(plans)
        for t in range(n_seen):
            rough = contrast.spread[t] * contrast.noise[t] * h[t] ** 2
            v = (200 * rough + squares[known[t]]) / (known[t] + 200)
            for gambler, plan in enumerate(plans):
                stake = h[t] * sqrt(2 * log(1 / half) / (plan * v))
                if m > least[t]:
                    stake = min(stake, 0.75 / (m - least[t]))
                wealth[gambler] *= 1 + stake * (phi[t] - m)
            if ((t + 1) % 16 == 0 or t + 1 == n_seen) and sum(wealth) / len(plans) >= 1 / half:
                return True
        return False

    found = []
    for look in looks:
        low, high = -1.0, 1.0
        for _ in range(22 if reached(low, look) else 0):
            middle = (low + high) / 2
            low, high = (middle, high) if reached(middle, look) else (low, middle)
        found.append(low)
    return np.maximum.accumulate(found)


@either
@questions
@pytest.mark.parametrize("planned", [300, 10, None])
def test_bounds_are_those_of_betting_send_by_send(weighting, ask, planned):
    log_ = learned(300, (0.6, 0.4, 0.4), np.random.default_rng(3), floor=0.6)
    contrast, looks = ask(scored(log_)), [165, 256, 300]
    answer = contrast_sequence(contrast, weighting, planned=planned, looks=looks)
    plans = UNPLANNED if planned is None else (planned,)
    lower = slow_lower(contrast.scores, contrast.lowest, contrast, weighting, plans, looks)
    upper = -slow_lower(-contrast.scores, -contrast.highest, contrast, weighting, plans, looks)
    np.testing.assert_allclose(answer.lower, lower, atol=2e-6)
    np.testing.assert_allclose(answer.upper, upper, atol=2e-6)
    assert answer.ci_lower > -1
    assert answer.ci_upper < 1


@either
@questions
def test_earlier_bounds_do_not_know_later_sends(weighting, ask):
    rng = np.random.default_rng(4)
    log_ = learned(1000, (0.3, 0.2, 0.2), rng)
    later = np.where(np.arange(1000) < 600, log_["rewards"], 1 - log_["rewards"])
    looks = [160, 403, 600, 1000]
    before, after, alone = (
        contrast_sequence(ask(scored(each)), weighting, looks=at)
        for each, at in (
            (log_, looks),
            (log_ | {"rewards": later}, looks),
            ({name: column[:600] for name, column in log_.items()}, looks[:3]),
        )
    )
    for name in ("lower", "upper"):
        np.testing.assert_allclose(getattr(before, name)[:3], getattr(after, name)[:3], atol=1e-8)
        np.testing.assert_allclose(getattr(before, name)[:3], getattr(alone, name), atol=1e-8)
    assert width(before) != width(after)


@pytest.mark.parametrize("planned", [2000, None])
def test_looks_that_were_skipped_change_nothing(planned):
    contrast = pair_scores(scored(even()), 0, 1)
    often = contrast_sequence(contrast, planned=planned, looks=np.arange(160, 2001, 160))
    once = contrast_sequence(contrast, planned=planned, looks=[1920])
    assert (often.ci_lower, often.ci_upper) == pytest.approx((once.ci_lower, once.ci_upper), abs=1e-8)


@either
@questions
def test_bounds_only_tighten_and_hold_the_difference(weighting, ask):
    contrast = ask(scored(even(6000, (0.3, 0.2, 0.2), n_arms=3)))
    answer = contrast_sequence(contrast, weighting, planned=6000, looks=[100, 500, 2000, 6000])
    assert np.all(np.diff(answer.lower) >= 0)
    assert np.all(np.diff(answer.upper) <= 0)
    assert 0 < answer.ci_lower < 0.1 < answer.ci_upper
    assert width(answer) < (answer.upper - answer.lower)[1] / 2
    assert weighting in answer.method


@either
def test_arms_the_other_way_round_mirror_the_bounds(weighting):
    scores = scored(learned(500, (0.3, 0.2, 0.2), np.random.default_rng(5)))
    one, other = (contrast_sequence(pair_scores(scores, *arms), weighting) for arms in ((0, 1), (1, 0)))
    assert (one.ci_lower, one.ci_upper) == pytest.approx((-other.ci_upper, -other.ci_lower), abs=1e-8)


def test_swapping_what_is_good_mirrors_the_bounds():
    log_ = even()
    one, other = (pair_scores(scored(log_, rewards=each), 0, 1) for each in (log_["rewards"], 1 - log_["rewards"]))
    good, bad = contrast_sequence(one), contrast_sequence(other)
    assert (good.ci_lower, good.ci_upper) == pytest.approx((-bad.ci_upper, -bad.ci_lower), abs=1e-8)


def test_reward_range_only_rescales():
    log_ = even()
    plain = contrast_sequence(pair_scores(scored(log_), 0, 1))
    rescaled = scored(log_, rewards=8 * log_["rewards"] - 3, reward_range=(-3, 5))
    answer = contrast_sequence(pair_scores(rescaled, 0, 1))
    assert (answer.ci_lower, answer.ci_upper) == pytest.approx((8 * plain.ci_lower, 8 * plain.ci_upper), abs=1e-7)


def test_lower_level_is_narrower():
    contrast = pair_scores(scored(even()), 0, 1)
    assert width(contrast_sequence(contrast, confidence_level=0.8)) < width(contrast_sequence(contrast))


@pytest.mark.parametrize("n", [2000, 20_000])
def test_plan_that_is_right_narrows_and_its_lack_costs_about_a_quarter(n):
    contrast = pair_scores(scored(even(n, (0.1, 0.08))), 0, 1)
    planned = contrast_sequence(contrast, planned=n)
    assert width(planned) < width(contrast_sequence(contrast)) < 1.35 * width(planned)


def test_overlap_is_narrower_where_sends_differ_in_what_they_tell():
    n, rng = 8000, np.random.default_rng(6)
    second = np.where(np.arange(n) % 2, 0.5, 0.03)
    drawn = (rng.random(n) < second).astype(int)
    log_ = {"pmfs": np.stack([1 - second, second], axis=1), "drawn": drawn, "rewards": rng.random(n) < 0.2}
    contrast = pair_scores(scored(log_), 0, 1)
    overlap, plain = (contrast_sequence(contrast, each, planned=n) for each in Weighting)
    assert width(overlap) < width(plain) / 1.2


def test_one_send_says_nothing():
    contrast = pair_scores(scored({"pmfs": [[0.5, 0.5]], "drawn": [0], "rewards": [1]}), 0, 1)
    answer = contrast_sequence(contrast)
    assert (answer.ci_lower, answer.ci_upper, answer.n.tolist()) == (-1, 1, [1])


def test_rewards_that_never_come_let_no_difference_be_claimed():
    log_ = even(4000, (0.0, 0.0))
    answer = contrast_sequence(pair_scores(scored(log_), 0, 1), planned=4000)
    assert answer.ci_lower < 0 < answer.ci_upper
    assert width(answer) < 0.1


@pytest.mark.parametrize("drift", [0.0, 0.3])
@pytest.mark.parametrize("weighting", list(Weighting))
def test_learners_logs_are_covered_after_every_send(weighting, drift):
    """100 logs of an adaptive learner, three arms that earn the same or .1 more; at most 10 may ever miss, at .95.

    The last look shows it, because bounds only tighten and looks that were skipped change nothing.
    """
    rng, missed = np.random.default_rng(11), {"pair": 0, "rest": 0}
    for at in range(100):
        gain = 0.1 * (at % 2)
        scores = scored(learned(600, (0.2 + gain, 0.2, 0.2), rng, drift=drift))
        for name, contrast in (("pair", pair_scores(scores, 0, 1)), ("rest", Rest.of(scores).against(0))):
            answer = contrast_sequence(contrast, weighting, planned=600)
            missed[name] += not answer.ci_lower <= gain <= answer.ci_upper
    assert max(missed.values()) <= 10


def test_effect_that_turns_round_is_refused():
    log_ = even(12_000)
    turned = np.where(np.arange(12_000) < 4000, log_["drawn"] == 0, log_["drawn"] == 1).astype(float)
    with pytest.raises(UnusableLog, match="No constant mean fits"):
        contrast_sequence(pair_scores(scored(log_, rewards=turned), 0, 1), planned=12_000)


def test_difference_beyond_every_possible_one_is_refused():
    """Logged as unlikely, drawn always: what each reward of the first arm adds to its estimate of 1/2 counts four times."""
    nothing = np.zeros(400, dtype=int)
    log_ = {"pmfs": np.full((400, 2), [0.25, 0.75]), "drawn": nothing, "rewards": np.ones(400), "known": nothing}
    with pytest.raises(UnusableLog, match=r"beyond every possible one, as at most 0\.025 of honest logs do"):
        contrast_sequence(pair_scores(scored(log_), 0, 1), planned=400)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"confidence_level": 1.0}, "confidence_level is 1.0"),
        ({"planned": 0}, "planned is 0"),
        ({"looks": []}, "looks are"),
        ({"looks": [0, 1]}, "looks are"),
        ({"looks": [2, 2]}, "looks are"),
        ({"looks": [2001]}, "looks are"),
        ({"looks": [1.5]}, "looks are"),
    ],
)
def test_settings_out_of_range_are_refused_by_name(settings, said):
    with pytest.raises(InvalidSettings, match=said):
        contrast_sequence(pair_scores(scored(even()), 0, 1), **settings)
