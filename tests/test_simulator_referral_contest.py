"""The referral contest keeps its promises: simulated rewards have the exact means it reports, and nothing is luck."""

from __future__ import annotations

import pickle
from collections import Counter
from datetime import timedelta
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from bandit import read_campaign
from service.sample import sample_text
from simulator.contest_arms import DIMENSIONS, REWARD_EVENTS
from simulator.effects import DEFAULT_RATES
from simulator.population import CATEGORIES, PROTECTED
from simulator.referral_contest import ReferralContest
from simulator.world import Arrival, ImpossibleWorld

BUSY_RATES = {"click": 0.30, "conversion": 0.40, "unsubscribe": 0.08, "complaint": 0.05}


@pytest.fixture(scope="module")
def contest():
    return ReferralContest(0)


@pytest.fixture(scope="module")
def busy():
    """Everything happens often and the window is short, so that a wrong mean shows in few reactions."""
    return ReferralContest(1, n_customers=400, rates=BUSY_RATES, window=timedelta(hours=24))


def reward_of(world, arrival, choice, decision_id):
    outcomes = world.react(arrival, choice, decision_id=decision_id)
    return sum(world.reward_events[o.type] for o in outcomes if o.at - arrival.at <= world.window)


def assert_mean(errors):
    """The mean of independent errors lies within 4 standard errors of 0."""
    assert abs(np.mean(errors)) < 4 * np.std(errors) / np.sqrt(len(errors))


@pytest.mark.parametrize("which", ["best", "worst", "plain"])
def test_rewards_of_one_choice_average_to_its_expected_reward(busy, which):
    arrival = next(busy.arrivals(1))
    index = {"best": np.argmax, "worst": np.argmin, "plain": lambda _: 0}[which](
        busy.expected_rewards([arrival.context])[0]
    )
    choice = busy.choices.at(int(index))
    expected = busy.expected_reward(arrival.context, choice)
    assert_mean([reward_of(busy, arrival, choice, f"{which}-{i}") - expected for i in range(15_000)])


def test_rewards_of_random_choices_average_to_their_expected_rewards(busy):
    n = 25_000
    picks = np.random.default_rng(9).integers(len(busy.choices), size=n).tolist()
    arrivals = list(busy.arrivals(n))
    expected = busy.expected_rewards([arrival.context for arrival in arrivals[:400]])  # everybody, in order of arrival
    row_of = {arrival.customer_id: row for row, arrival in enumerate(arrivals[:400])}
    errors = [
        reward_of(busy, arrival, busy.choices.at(pick), f"d{i}") - expected[row_of[arrival.customer_id], pick]
        for i, (arrival, pick) in enumerate(zip(arrivals, picks, strict=True))
    ]
    assert_mean(errors)


def test_expected_rewards_of_all_choices_equal_the_single_ones(contest):
    contexts = [customer.context for customer in contest.customers[:2]]
    single = [[contest.expected_reward(context, choice) for choice in contest.choices] for context in contexts]
    np.testing.assert_allclose(contest.expected_rewards(contexts), single, rtol=1e-10, atol=1e-15)


def test_repeated_contexts_keep_their_rows(contest):
    contexts = [contest.customers[i].context for i in (3, 1, 3, 0, 1)]
    apart = np.concatenate([contest.expected_rewards([context]) for context in contexts])
    np.testing.assert_array_equal(contest.expected_rewards(contexts), apart)
    assert contest.expected_rewards([]).shape == (0, 1_920)


def test_uniform_value_and_best_choice_equal_brute_force(contest):
    for customer in contest.customers[:2]:
        rewards = {i: contest.expected_reward(customer.context, c) for i, c in enumerate(contest.choices)}
        best = max(rewards, key=rewards.__getitem__)
        choice, value = contest.best_choice(customer.context)
        assert contest.uniform_value(customer.context) == pytest.approx(np.mean(list(rewards.values())), rel=1e-10)
        assert choice == contest.choices.at(best)
        assert value == pytest.approx(rewards[best], rel=1e-10)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_best_choice_per_customer_is_worth_two_to_three_times_a_uniform_one(seed):
    world = ReferralContest(seed, n_customers=1_000)
    rewards = world.expected_rewards([customer.context for customer in world.customers])
    assert 2.2 < rewards.max(axis=1).mean() / rewards.mean() < 2.8
    assert rewards.mean(axis=0).max() < 0.8 * rewards.max(axis=1).mean()  # no single choice suits all


def test_click_rate_under_a_uniform_choice_is_four_percent(contest):
    clicks = contest.responses.probability_grid([customer.context for customer in contest.customers[::10]])[0]
    # 500 of 5,000 customers, whose rates have a relative spread of about .5: 4 standard errors are .09.
    assert clicks.mean() == pytest.approx(0.04, rel=0.09)


def test_every_engagement_level_likes_another_choice_best_with_several_subjects_among_them(contest):
    rewards = contest.expected_rewards([customer.context for customer in contest.customers[:1_500]])
    level = np.array([customer.context["engagement_level"] for customer in contest.customers[:1_500]])
    best = [contest.choices.at(int(rewards[level == v].mean(axis=0).argmax())) for v in CATEGORIES["engagement_level"]]
    assert len({tuple(choice.values()) for choice in best}) == 5
    assert len({choice["subject"] for choice in best}) >= 4


def test_the_same_seed_gives_the_same_world_to_the_byte(contest):
    again = ReferralContest(0)
    assert again == contest
    assert list(again.arrivals(300)) == list(contest.arrivals(300))
    contexts = [customer.context for customer in contest.customers[:50]]
    assert again.expected_rewards(contexts).tobytes() == contest.expected_rewards(contexts).tobytes()
    assert reactions(again) == reactions(contest)


def test_a_world_survives_the_way_to_another_process(contest):
    copied = pickle.loads(pickle.dumps(contest))
    assert copied == contest
    assert reactions(copied) == reactions(contest)


def test_another_seed_gives_another_world(busy):
    other = ReferralContest(2, n_customers=400, rates=BUSY_RATES, window=timedelta(hours=24))
    assert other != busy
    assert reactions(other) != reactions(busy)


def reactions(world):
    choice = world.choices.at(7)
    return [world.react(a, choice, decision_id=f"d{i}") for i, a in enumerate(world.arrivals(400))]


def test_another_decision_id_is_another_draw_and_the_same_one_is_not(busy):
    arrival, choice = next(busy.arrivals(1)), busy.choices.at(0)
    drawn = [busy.react(arrival, choice, decision_id=f"d{i}") for i in range(100)]
    assert drawn == [busy.react(arrival, choice, decision_id=f"d{i}") for i in range(100)]
    assert len(set(drawn)) > 30


def test_every_event_follows_its_decision_once_and_every_conversion_its_click(busy):
    seen = Counter()
    for i, arrival in enumerate(busy.arrivals(3_000)):
        outcomes = busy.react(arrival, busy.choices.at(i % 1_920), decision_id=f"d{i}")
        at = {outcome.type: outcome.at for outcome in outcomes}
        assert len(at) == len(outcomes)
        assert [o.at for o in outcomes] == sorted(at.values())
        assert all(arrival.at < moment for moment in at.values())
        assert "conversion" not in at or at["click"] <= at["conversion"]
        seen.update(at.keys())
    assert set(seen) == set(REWARD_EVENTS)


def test_some_events_come_after_the_window(busy):
    late = [
        outcome
        for i, arrival in enumerate(busy.arrivals(2_000))
        for outcome in busy.react(arrival, busy.choices.at(0), decision_id=f"d{i}")
        if outcome.at > arrival.at + timedelta(days=30)
    ]
    assert late


def test_arrivals_come_in_time_order_within_the_campaign(contest):
    times = [arrival.at for arrival in contest.arrivals(12_000)]
    assert times == sorted(times)
    assert contest.start <= times[0]
    assert times[-1] < contest.start + timedelta(days=contest.days, seconds=1)
    assert all(moment.utcoffset() == timedelta(0) for moment in times[:10])


def test_everybody_receives_a_send_before_anybody_receives_the_next(busy):
    sends = Counter(arrival.customer_id for arrival in busy.arrivals(1_000))
    assert set(sends.values()) == {2, 3}
    assert len(sends) == 400


def test_a_changed_context_does_not_reach_the_next_send(busy):
    contexts = {customer.customer_id: dict(customer.context) for customer in busy.customers}
    for arrival in busy.arrivals(900):
        assert arrival.context == contexts[arrival.customer_id]
        arrival.context.clear()


def test_gender_changes_neither_reward_nor_reaction(busy):
    arrival, choice = next(busy.arrivals(1)), busy.choices.at(0)
    others = [Arrival(arrival.customer_id, arrival.at, {**arrival.context, "gender": g}) for g in PROTECTED["gender"]]
    assert len({busy.expected_reward(other.context, choice) for other in others}) == 1
    assert len({busy.react(other, choice, decision_id="d3") for other in others}) == 1


@pytest.fixture(scope="module")
def slotted():
    """The busy contest with real send slots."""
    slots = read_campaign(sample_text("referral-contest")).send_slots
    settings = {"n_customers": 400, "rates": BUSY_RATES, "window": timedelta(hours=24)}
    return ReferralContest(1, **settings, send_slots=slots)


def test_with_send_slots_the_same_customers_do_the_same_as_much_later_as_their_message_goes_out(busy, slotted):
    pairs = list(zip(busy.arrivals(300), slotted.arrivals(300), strict=True))
    waits = set()
    for i, (now, later) in enumerate(pairs):
        choice = busy.choices.at(i * 7 % 1_920)
        wait = slotted.sent_at(later, choice) - later.at
        waits.add(wait > timedelta(hours=1))
        assert {**now.context, "zone": later.context["zone"]} == later.context
        assert (now.at, busy.sent_at(now, choice)) == (later.at, now.at)
        before, after = (
            world.react(one, choice, decision_id=f"d{i}") for world, one in ((busy, now), (slotted, later))
        )
        assert [(one.type, one.at + wait) for one in before] == [(one.type, one.at) for one in after]
        assert busy.expected_reward(now.context, choice) == slotted.expected_reward(later.context, choice)
    assert waits == {True, False}


def test_a_message_goes_out_when_the_customers_clock_shows_the_hour_of_its_arm(slotted):
    zones = set()
    for i, arrival in enumerate(slotted.arrivals(200)):
        choice = slotted.choices.at(i * 11 % 1_920)
        local = slotted.sent_at(arrival, choice).astimezone(ZoneInfo(arrival.context["zone"]))
        days, hour = choice["send_slot"].split("-")
        assert (local.hour, local.minute, "weekend" if local.weekday() >= 5 else "weekday") == (int(hour), 0, days)
        zones.add(arrival.context["zone"])
    assert {"America/New_York", "Europe/Berlin", "Asia/Kolkata"} <= zones


def test_a_world_with_send_slots_survives_the_way_to_another_process(slotted):
    copied = pickle.loads(pickle.dumps(slotted))
    assert copied == slotted
    assert reactions(copied) == reactions(slotted)


def test_a_longer_window_counts_more_of_the_same_reactions():
    short, long = (
        ReferralContest(0, n_customers=50, window=timedelta(hours=h), reward_events={"click": 1.0}) for h in (1, 72)
    )
    context = short.customers[0].context
    ratio = long.uniform_value(context) / short.uniform_value(context)
    clicks = short.delays.of("click")
    assert ratio == pytest.approx(clicks.share_within(long.window) / clicks.share_within(short.window))


def test_effects_do_not_change_when_customers_are_added():
    few, many = ReferralContest(3, n_customers=100), ReferralContest(3, n_customers=150)
    difference = few.responses.choice_logits - many.responses.choice_logits
    np.testing.assert_allclose(difference, np.broadcast_to(difference[0], difference.shape), atol=1e-12)


def test_dimensions_and_worths_can_be_those_of_another_campaign():
    world = ReferralContest(
        0, n_customers=50, dimensions={"subject": ("a", "b"), "channel": ("mail", "push")}, reward_events={"click": 1.0}
    )
    choice, value = world.best_choice(world.customers[0].context)
    assert set(choice) == {"subject", "channel"}
    assert 0.0 < value < 1.0


def test_the_contest_has_the_arms_it_is_known_for():
    assert {name: len(arms) for name, arms in DIMENSIONS.items()} == {
        "subject": 12,
        "cta": 4,
        "benefit": 4,
        "send_slot": 10,
    }


@pytest.mark.parametrize(
    ("changes", "advice"),
    [
        ({"seed": -1}, "from 0 up"),
        ({"seed": 0, "days": 0.0}, "both must be positive"),
        ({"seed": 0, "window": timedelta(0)}, "both must be positive"),
        ({"seed": 0, "reward_events": {"open": 1.0}}, "customers here never do that"),
        ({"seed": 0, "reward_events": {"click": float("nan")}}, "finite worths"),
        ({"seed": 0, "rates": {**DEFAULT_RATES, "click": 4}}, "not percent"),
    ],
)
def test_an_impossible_contest_is_refused_with_advice(changes, advice):
    with pytest.raises(ImpossibleWorld, match=advice):
        ReferralContest(**{"n_customers": 20, **changes})


def test_a_negative_number_of_sends_is_refused(busy):
    with pytest.raises(ImpossibleWorld, match="0 or more"):
        next(busy.arrivals(-1))
