from itertools import product
from math import prod

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from bandit.errors import EngineError, InvalidSettings, UnusableLog
from evaluation.grouped_sends import GroupedSends
from evaluation.harm_stop import HarmedGroup, HarmStop, harm_stop


def harmed_in_order(harmed, share=0.5, **given):
    """Everybody has one send and the event; group by group in this order."""
    return harm_stop(GroupedSends.of(harmed, np.arange(len(harmed)), share), np.ones(len(harmed)), **given)


def mailing(rng, n_customers, share, rate, ratio=1.0, n_sends=1):
    treated = rng.random(n_customers) < share
    customers = rng.permutation(np.repeat(np.arange(n_customers), n_sends))
    events = rng.random(len(customers)) < np.where(treated, ratio * rate, rate)[customers]
    return GroupedSends.of(treated[customers], customers, share), events.astype(float)


def test_one_treated_event_is_as_much_evidence_as_a_hand_finds():
    # Even shares: a rate r times as high puts the event into treated with r / (1 + r) instead of 1/2.
    by_hand = np.mean([2 * r / (1 + r) for r in (1.25, 1.5, 2, 3, 5)])
    assert harmed_in_order([True]).e_value == pytest.approx(by_hand, rel=1e-12)


def test_shares_decide_what_an_event_means():
    # Of 19 in 20 customers an event is expected, so it says little; of 1 in 20 it says much.
    assert harmed_in_order([True], share=0.95).e_value < 1.05
    assert harmed_in_order([True], share=0.05).e_value > 2


def test_events_of_control_are_no_evidence():
    answer = harmed_in_order([False] * 10)
    assert (answer.e_value, answer.alarm, answer.alarm_row) == (1, False, None)


def test_no_events_are_no_evidence():
    sends = GroupedSends.of([True, False], ["ann", "bob"], share=0.5)
    answer = harm_stop(sends, [0, 0])
    assert answer == HarmStop(1.0, False, None, 2, HarmedGroup(1, 1, 0), HarmedGroup(1, 1, 0))


@pytest.mark.parametrize(("share", "margin"), [(0.5, 0.0), (0.9, 0.0), (0.5, 0.5)])
def test_it_alarms_no_more_often_than_promised_over_every_way_the_hash_can_fall(share, margin):
    # Treated have the event (1 + margin) times as often: the worst of what is called no harm.
    chance = share * (1 + margin) / (share * (1 + margin) + 1 - share)
    n, alarms = 9, 0.0
    for harmed in product([True, False], repeat=n):
        if harmed_in_order(harmed, share, confidence_level=0.5, margin=margin).alarm:
            alarms += prod(chance if each else 1 - chance for each in harmed)
    assert alarms <= 0.5
    assert alarms > 0.05 or share == 0.9


@given(harmed=st.lists(st.booleans(), min_size=1, max_size=30), share=st.floats(0.1, 0.9), seed=st.integers(0, 99))
def test_harm_that_comes_later_or_never_is_never_more_evidence(harmed, share, seed):
    # What the proof needs: the share may lose treated events or see them late, and evidence must not grow.
    rng, n = np.random.default_rng(seed), len(harmed)
    sends = GroupedSends.of(np.tile(harmed, 2), np.tile(np.arange(n), 2), share)
    at_once = np.concatenate([np.ones(n), np.zeros(n)])
    late = at_once.copy()
    delayed = np.flatnonzero(harmed)[rng.random(sum(harmed)) < 0.5]
    late[delayed] = 0
    late[delayed[: len(delayed) // 2] + n] = 1
    assert harm_stop(sends, late).e_value <= harm_stop(sends, at_once).e_value * (1 + 1e-12)


def test_only_the_first_event_of_a_customer_counts():
    treated = np.array([True, False, True, True, True])
    sends = GroupedSends.of(treated, ["ann", "bob", "ann", "ann", "eve"], share=0.5)
    answer = harm_stop(sends, [1, 0, 1, 1, 1])
    assert answer.treated == HarmedGroup(n_sends=4, n_customers=2, n_harmed=2)
    assert answer.control == HarmedGroup(n_sends=1, n_customers=1, n_harmed=0)
    assert answer.e_value == pytest.approx(harmed_in_order([True, True]).e_value)


def test_the_alarm_names_the_first_row_and_stays():
    harmed = [True] * 12 + [False] * 40
    answer = harmed_in_order(harmed)
    row = answer.alarm_row
    assert answer.alarm
    assert not harmed_in_order(harmed[: row - 1]).alarm
    assert harmed_in_order(harmed[:row]).alarm_row == row
    assert harmed_in_order(harmed[:12]).e_value == answer.e_value


def test_a_margin_asks_for_more_evidence():
    harmed = [True, True, False] * 20
    e_values = [harmed_in_order(harmed, margin=margin).e_value for margin in (0, 0.2, 1)]
    assert e_values[0] > e_values[1] > e_values[2] >= 1


def test_doubled_unsubscribes_are_found_and_equal_ones_are_not():
    rng, n_runs = np.random.default_rng(1), 60
    found = sum(harm_stop(*mailing(rng, 50_000, 0.5, 0.002, ratio=2.0)).alarm for _ in range(n_runs))
    false = sum(harm_stop(*mailing(rng, 50_000, 0.5, 0.002)).alarm for _ in range(n_runs))
    assert found >= stats.binom.ppf(0.001, n_runs, 0.8)
    assert false <= stats.binom.ppf(0.999, n_runs, 0.05)


def test_many_sends_a_customer_do_not_raise_false_alarms():
    rng, n_runs = np.random.default_rng(2), 100
    false = sum(harm_stop(*mailing(rng, 500, 0.8, 0.02, n_sends=rng.integers(1, 20, 500))).alarm for _ in range(n_runs))
    assert false <= stats.binom.ppf(0.999, n_runs, 0.05)


def test_rates_are_of_customers():
    assert HarmedGroup(n_sends=100, n_customers=10, n_harmed=2).rate == 0.2
    assert HarmedGroup(n_sends=0, n_customers=0, n_harmed=0).rate is None


@pytest.mark.parametrize("events", [[1], [1, 2], [0.5, 0], [np.nan, 0], []])
def test_events_that_are_not_one_0_or_1_a_send_are_refused(events):
    with pytest.raises(UnusableLog):
        harm_stop(GroupedSends.of([True, False], ["ann", "bob"], share=0.5), events)


@pytest.mark.parametrize("given", [{"margin": -0.1}, {"margin": np.inf}, {"margin": np.nan}, {"confidence_level": 0.0}])
def test_settings_out_of_range_are_refused(given):
    with pytest.raises(InvalidSettings):
        harmed_in_order([True], **given)


def test_counts_and_alarms_that_contradict_themselves_are_refused():
    group = HarmedGroup(1, 1, 0)
    with pytest.raises(EngineError, match="cannot come from a log"):
        HarmedGroup(1, 2, 0)
    with pytest.raises(EngineError, match="running maximum"):
        HarmStop(30.0, True, None, 2, group, group)
