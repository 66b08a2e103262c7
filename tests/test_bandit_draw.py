"""Draws are uniform, repeatable, salted, and as frequent as their probability."""

from __future__ import annotations

import hashlib
import hmac
import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from bandit.draw import customer_key, draw, position_of, positions_of_each

LAW = settings(max_examples=100, deadline=None)
N = 200_000
LAST = 1.0 - 2.0**-53
GOLDEN = 0.6262368280784597  # frozen: changing it would redraw every decision ever logged
WEIGHTS = st.lists(st.sampled_from([0.0, 0.0, 1e-9, 0.0005, 0.1, 1.0, 7.0]), min_size=1, max_size=12).filter(any)
TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=6)


@pytest.fixture(scope="module")
def positions():
    return np.array([position_of("contest", f"d{i}", "subject", salt=b"pepper") for i in range(N)])


def test_positions_are_uniform(positions):
    counts = np.bincount((positions * 1000).astype(int), minlength=1000)
    chi_square = ((counts - N / 1000) ** 2 / (N / 1000)).sum()
    # 999 degrees of freedom: mean 999, standard deviation 44.7; five of them either way (too even is wrong too).
    assert abs(chi_square - 999) < 5 * math.sqrt(2 * 999)


def test_positions_lie_in_the_half_open_unit_interval_and_have_53_bits(positions):
    assert 0.0 <= positions.min() < 1e-4
    assert 1.0 - 1e-4 < positions.max() < 1.0
    scaled = positions * 2.0**53
    assert (scaled == np.floor(scaled)).all()
    assert (np.mod(scaled, 2.0) == 1.0).mean() == pytest.approx(0.5, abs=4 * 0.5 / math.sqrt(N))


def test_neighbouring_ids_have_unrelated_positions(positions):
    assert abs(np.corrcoef(positions[:-1], positions[1:])[0, 1]) < 4 / math.sqrt(N)


@pytest.mark.parametrize(
    ("campaign", "dimension", "salt"),
    [("contest", "subject", b"salt"), ("contest", "cta", b"pepper"), ("other", "subject", b"pepper")],
)
def test_another_salt_dimension_or_campaign_draws_independently(positions, campaign, dimension, salt):
    n = 20_000
    other = np.array([position_of(campaign, f"d{i}", dimension, salt=salt) for i in range(n)])
    assert abs(np.corrcoef(positions[:n], other)[0, 1]) < 4 / math.sqrt(n)


@LAW
@given(st.lists(TEXTS, min_size=1, max_size=4), st.binary(min_size=1, max_size=64))
def test_the_same_parts_and_salt_always_give_the_same_position(parts, salt):
    assert position_of(*parts, salt=salt) == position_of(*parts, salt=salt)


@LAW
@given(st.lists(TEXTS, max_size=4), st.lists(TEXTS, max_size=4))
@example(["ab", "c"], ["a", "bc"])
@example(["a", ""], ["a"])
@example(["1:a"], ["a"])
@example(["a1:b"], ["a", "b"])
@example(["a", "b"], ["a1:b"])
def test_parts_cut_at_another_place_give_another_position(one, other):
    same = position_of(*one, salt=b"pepper") == position_of(*other, salt=b"pepper")
    assert same == (one == other)


@LAW
@given(before=TEXTS, names=st.lists(TEXTS, max_size=3), after=st.lists(TEXTS, min_size=1, max_size=3))
def test_many_names_before_many_parts_lie_where_each_lies_alone(before, names, after):
    found = positions_of_each(before, names, after, salt=b"pepper")
    assert found.shape == (len(after), len(names))
    assert found.tolist() == [[position_of(before, name, part, salt=b"pepper") for name in names] for part in after]


def test_a_position_is_the_same_on_every_machine():
    message = "7:contest2:d17:subject"
    digest = hashlib.blake2b(message.encode(), digest_size=8, key=b"pepper").digest()
    assert position_of("contest", "d1", "subject", salt=b"pepper") == int.from_bytes(digest, "big") // 2**11 / 2**53
    assert position_of("contest", "d1", "subject", salt=b"pepper") == GOLDEN


@LAW
@given(WEIGHTS, st.sampled_from([0.0, 5e-324, 0.5, 1 / 3, LAST]) | st.floats(0.0, LAST))
@example([1.0, 0.0], LAST)
@example([0.0, 1.0], 0.0)
@example([1.0] * 10 + [0.0], LAST)
def test_an_arm_of_probability_zero_is_never_drawn(weights, position):
    pmf = (np.array(weights) / sum(weights)).tolist()
    assert pmf[draw(pmf, position)] > 0.0


@LAW
@given(WEIGHTS, st.floats(0.0, LAST))
def test_the_arm_drawn_is_the_one_whose_share_holds_the_position(weights, position):
    pmf = (np.array(weights) / sum(weights)).tolist()
    arm = draw(pmf, position)
    assert math.fsum(pmf[:arm]) - 1e-12 <= position < math.fsum(pmf[: arm + 1]) + 1e-12


def test_a_pmf_that_falls_short_of_one_by_rounding_still_draws_its_last_arm():
    assert draw((0.5, 0.5 - 1e-10, 0.0), LAST) == 1


@pytest.mark.parametrize("pmf", [(0.25, 0.0, 0.05, 0.7), (1.0,), (1 / 3, 1 / 3, 1 / 3), (0.9995, 0.0005)])
def test_arms_are_drawn_as_often_as_their_probability_says(positions, pmf):
    counts = np.bincount([draw(pmf, position) for position in positions.tolist()], minlength=len(pmf))
    for count, probability in zip(counts, pmf, strict=True):
        # Four standard deviations of a binomial count; an arm of 0 must have none at all.
        assert abs(count - N * probability) <= 4 * math.sqrt(N * probability * (1 - probability))


def test_an_arm_of_one_in_two_thousand_is_drawn_one_time_in_two_thousand_wherever_it_stands(positions):
    for place in range(3):
        pmf = [0.9995 / 2] * 2
        pmf.insert(place, 0.0005)
        drawn = sum(draw(pmf, position) == place for position in positions.tolist())
        assert abs(drawn - 100) <= 40  # 4 standard deviations of a count of 100


@LAW
@given(TEXTS, st.binary(min_size=1, max_size=200))
@example("ann@example.org", b"k" * 65)
def test_the_customer_key_is_the_hmac_of_the_id(customer_id, secret):
    expected = hmac.new(secret, customer_id.encode(), hashlib.sha256).hexdigest()
    assert customer_key(customer_id, secret=secret) == expected[:32]


def test_the_customer_key_of_the_standard_test_vector():
    # RFC 4231, test case 2.
    assert customer_key("what do ya want for nothing?", secret=b"Jefe") == "5bdcc146bf60754e6a042426089575c7"


def test_keys_of_different_customers_or_secrets_differ():
    keys = {customer_key(f"c{i}", secret=secret) for i in range(1000) for secret in (b"one", b"two")}
    assert len(keys) == 2000
