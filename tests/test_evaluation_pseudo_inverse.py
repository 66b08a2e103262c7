from functools import reduce
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.errors import InvalidSettings, UnusableLog
from evaluation.pseudo_inverse import pinv_table, pinv_weights, product_weights

LARGE = (12, 4, 4, 10)
seeds = st.integers(0, 2**32 - 1)
sizes_of_choices = st.lists(st.integers(1, 4), min_size=1, max_size=4).map(tuple)
orders = st.sampled_from([1, 2])


def rng_of(seed):
    return np.random.default_rng(seed)


def product_pmf(sizes, rng, floor=0.02):
    """Each dimension's pmf, and the joint pmf of drawing them independently."""
    pmfs = [(1 - floor) * rng.dirichlet(np.full(n, 0.5)) + floor / n for n in sizes]
    return pmfs, reduce(np.multiply.outer, pmfs)


def sequential_pmf(sizes, rng, floor=0.02, removed=None):
    """A joint pmf in which the pmf of every dimension depends on all arms before; `removed` arms are ineligible."""
    joint = np.ones(())
    for dimension, n in enumerate(sizes):
        conditional = (1 - floor) * rng.dirichlet(np.full(n, 0.5), size=joint.shape) + floor / n
        if removed is not None:
            conditional[..., removed[dimension]] = 0.0
            conditional /= conditional.sum(axis=-1, keepdims=True)
        joint = joint[..., None] * conditional
    return joint


def removed_arms(sizes, rng):
    """A proper subset of the arms of each dimension."""
    return [rng.permutation(n)[: rng.integers(0, n)] for n in sizes]


def reward_of(sizes, rng, order):
    """Rewards that are sums of what every set of at most `order` dimensions brings."""
    reward = np.full(sizes, rng.normal())
    for n_together in range(1, order + 1):
        for dimensions in combinations(range(len(sizes)), n_together):
            shape = [n if dimension in dimensions else 1 for dimension, n in enumerate(sizes)]
            reward = reward + rng.normal(size=shape)
    return reward


def choices(sizes):
    return np.indices(sizes).reshape(len(sizes), -1).T


def table_by_definition(behavior, target, order):
    """The pseudo-inverse as it is written down: all indicators, none left out, and numpy's pinv."""
    arms, columns = choices(behavior.shape), [np.ones(behavior.size)]
    for n_together in range(1, order + 1):
        for dimensions in combinations(range(behavior.ndim), n_together):
            places = np.ravel_multi_index(arms[:, dimensions].T, [behavior.shape[d] for d in dimensions])
            columns.extend((places == place).astype(float) for place in range(places.max() + 1))
    x = np.column_stack(columns)
    gram = x.T @ (x * behavior.reshape(-1, 1))
    table = x @ np.linalg.pinv(gram, rcond=1e-11, hermitian=True) @ (x.T @ target.ravel())
    return np.where(behavior > 0, table.reshape(behavior.shape), 0.0)


def close(table, expected, tolerance=1e-8):
    return np.abs(table - expected).max() <= tolerance * max(1.0, np.abs(expected).max())


@given(sizes=sizes_of_choices, seed=seeds)
def test_pinv_equals_the_closed_form_where_dimensions_are_drawn_independently(sizes, seed):
    rng = rng_of(seed)
    behavior_pmfs, behavior = product_pmf(sizes, rng)
    target_pmfs, target = product_pmf(sizes, rng, floor=0.0)
    arms = choices(sizes)
    ratios = np.column_stack([(target_pmfs[d] / behavior_pmfs[d])[arms[:, d]] for d in range(len(sizes))])
    first, second = product_weights(ratios)
    assert close(pinv_weights(behavior, target, arms, order=1), first)
    assert close(pinv_weights(behavior, target, arms, order=2), second)


def test_product_weights_agree_with_sums_done_by_hand():
    # Excesses 1, -.5 and 2: their sum 2.5; the pairs' products -.5, 2 and -1.
    first, second = product_weights([[2.0, 0.5, 3.0], [1.0, 1.0, 1.0]])
    assert first.tolist() == [3.5, 1.0]
    assert second.tolist() == [4.0, 1.0]


@given(n_dimensions=st.integers(1, 5), seed=seeds)
def test_closed_form_of_order_2_is_the_sum_over_sets_of_dimensions(n_dimensions, seed):
    ratios = rng_of(seed).gamma(0.3, 30.0, size=(7, n_dimensions))
    excess = ratios - 1
    pairs = sum((excess[:, d] * excess[:, e] for d, e in combinations(range(n_dimensions), 2)), start=np.zeros(7))
    first, second = product_weights(ratios)
    assert first == pytest.approx(1 - n_dimensions + ratios.sum(axis=1), rel=1e-12, abs=1e-9)
    assert second == pytest.approx(1 + excess.sum(axis=1) + pairs, rel=1e-9, abs=1e-9)


def test_one_huge_ratio_costs_no_digits_of_the_small_ones():
    _, second = product_weights([[1.0 + 2.0**40, 1.25, 1.5]])
    assert second[0] == 1 + 2.0**40 + 0.75 + 2.0**40 * 0.75 + 0.125


@settings(deadline=None)
@given(sizes=sizes_of_choices, seed=seeds, order=orders)
def test_pinv_is_the_pseudo_inverse_of_all_indicators(sizes, seed, order):
    rng = rng_of(seed)
    removed = removed_arms(sizes, rng)
    behavior = sequential_pmf(sizes, rng, floor=0.1, removed=removed)
    target = sequential_pmf(sizes, rng, floor=0.0, removed=removed)
    assert close(pinv_table(behavior, target, order), table_by_definition(behavior, target, order), 1e-7)


@given(sizes=sizes_of_choices, seed=seeds, order=orders, floor=st.sampled_from([0.3, 0.02, 1e-3]))
def test_weights_are_exactly_unbiased_for_rewards_of_their_order_under_any_sequential_log(sizes, seed, order, floor):
    rng = rng_of(seed)
    removed = removed_arms(sizes, rng)
    behavior = sequential_pmf(sizes, rng, floor, removed)
    target = sequential_pmf(sizes, rng, 0.0, removed)
    reward = reward_of(sizes, rng, min(order, len(sizes)))
    weights = pinv_table(behavior, target, order)
    assert (behavior * weights * reward).sum() == pytest.approx((target * reward).sum(), abs=1e-8)


def test_order_1_is_biased_where_pairs_interact_and_order_2_is_not():
    rng = rng_of(1)
    behavior, target = sequential_pmf((3, 4, 2), rng, 0.2), sequential_pmf((3, 4, 2), rng, 0.0)
    reward = reward_of((3, 4, 2), rng, order=2)
    value = (target * reward).sum()
    errors = [abs((behavior * pinv_table(behavior, target, order) * reward).sum() - value) for order in (1, 2)]
    assert errors[0] > 0.1
    assert errors[1] < 1e-10


def test_closed_form_is_biased_on_a_sequential_log_where_pinv_is_not():
    behavior = np.array([[0.45, 0.05], [0.05, 0.45]])
    target, reward = np.outer([0.2, 0.8], [0.9, 0.1]), np.add.outer([0.0, 1.0], [0.0, 2.0])
    # The ratios as a log would give them: the second dimension's pmf is the one after the logged first arm.
    second = np.array([0.9, 0.1]) / (behavior / behavior.sum(axis=1, keepdims=True))
    closed, _ = product_weights(np.column_stack([np.repeat([0.2 / 0.5, 0.8 / 0.5], 2), second.ravel()]))
    assert (target * reward).sum() == pytest.approx(1.0)
    assert (behavior.ravel() * closed * reward.ravel()).sum() == pytest.approx(1.48)
    assert (behavior * pinv_table(behavior, target, 1) * reward).sum() == pytest.approx(1.0, abs=1e-12)


@given(sizes=sizes_of_choices, seed=seeds, order=orders)
def test_mean_weight_is_1_under_the_log(sizes, seed, order):
    rng = rng_of(seed)
    behavior, target = sequential_pmf(sizes, rng), sequential_pmf(sizes, rng, 0.0)
    assert (behavior * pinv_table(behavior, target, order)).sum() == pytest.approx(1.0, abs=1e-9)


@given(sizes=sizes_of_choices, seed=seeds, order=st.integers(1, 4))
def test_a_target_that_is_the_log_has_weight_1_everywhere(sizes, seed, order):
    rng = rng_of(seed)
    behavior = sequential_pmf(sizes, rng, 1e-3, removed_arms(sizes, rng))
    assert close(pinv_table(behavior, behavior, order), (behavior > 0).astype(float))


@given(sizes=sizes_of_choices, seed=seeds, order=st.integers(1, 4))
def test_without_a_floor_what_is_hardly_ever_drawn_costs_no_digits_of_what_is(sizes, seed, order):
    rng = rng_of(seed)
    behavior = sequential_pmf(sizes, rng, 0.0, removed_arms(sizes, rng))
    errors = np.abs(pinv_table(behavior, behavior, order) - (behavior > 0))
    assert (behavior * errors).max() <= 1e-12


@given(sizes=sizes_of_choices, seed=seeds, beyond=st.integers(0, 3))
def test_order_of_all_dimensions_gives_the_plain_importance_weight(sizes, seed, beyond):
    rng = rng_of(seed)
    behavior, target = sequential_pmf(sizes, rng, 0.2), sequential_pmf(sizes, rng, 0.0)
    assert close(pinv_table(behavior, target, len(sizes) + beyond), target / behavior, 1e-7)


@given(seed=seeds, order=orders)
def test_weights_do_not_depend_on_how_arms_are_numbered(seed, order):
    rng = rng_of(seed)
    behavior, target = sequential_pmf((3, 4, 2), rng, 0.1), sequential_pmf((3, 4, 2), rng, 0.0)
    grid = np.ix_(rng.permutation(3), rng.permutation(4), rng.permutation(2))
    assert close(pinv_table(behavior[grid], target[grid], order), pinv_table(behavior, target, order)[grid])


@pytest.mark.parametrize("order", [1, 2])
def test_order_1_weights_spread_least_and_plain_weights_most(order):
    rng = rng_of(4)
    behavior, target = sequential_pmf((4, 3, 3), rng, 0.3), sequential_pmf((4, 3, 3), rng, 0.0)
    squares = [(behavior * pinv_table(behavior, target, n) ** 2).sum() for n in (order, order + 1)]
    assert squares[0] < squares[1]


def test_choices_the_log_cannot_make_have_weight_0_and_disturb_nothing():
    behavior = np.array([[0.25, 0.25, 0.0], [0.5, 0.0, 0.0]])
    target = np.array([[0.0, 0.5, 0.0], [0.5, 0.0, 0.0]])
    assert pinv_table(behavior, target, 2) == pytest.approx(np.array([[0.0, 2.0, 0.0], [1.0, 0.0, 0.0]]), abs=1e-12)


def test_picks_select_from_the_table_in_their_own_order():
    rng = rng_of(5)
    behavior, target = sequential_pmf((3, 2), rng), sequential_pmf((3, 2), rng)
    table = pinv_table(behavior, target, 1)
    assert pinv_weights(behavior, target, [[2, 1], [0, 0], [2, 1]], 1).tolist() == [
        table[2, 1],
        table[0, 0],
        table[2, 1],
    ]
    assert pinv_weights(behavior, target, np.empty((0, 2), dtype=int), 1).shape == (0,)


def test_neither_pmf_is_changed():
    rng = rng_of(6)
    behavior, target = sequential_pmf((3, 2), rng), sequential_pmf((3, 2), rng)
    before = behavior.copy(), target.copy()
    pinv_table(behavior, target, 2)
    assert (behavior == before[0]).all()
    assert (target == before[1]).all()


@pytest.mark.parametrize("order", [1, 2])
def test_an_arm_the_log_never_picks_is_refused_with_its_dimension_index_and_mass(order):
    behavior = np.array([[0.5, 0.5, 0.0], [0.0, 0.0, 0.0]])
    target = np.array([[0.5, 0.25, 0.25], [0.0, 0.0, 0.0]])
    with pytest.raises(UnusableLog, match=r"dimension 1 arm 2 with probability 0\.25.*more exploration\.$"):
        pinv_table(behavior, target, order)


def test_a_pair_the_log_never_picks_is_refused_by_order_2_only():
    behavior = np.array([[0.4, 0.3], [0.3, 0.0]])
    target = np.array([[0.2, 0.3], [0.4, 0.1]])
    reward = np.add.outer([0.0, 2.0], [1.0, 5.0])
    assert (behavior * pinv_table(behavior, target, 1) * reward).sum() == pytest.approx((target * reward).sum())
    with pytest.raises(
        UnusableLog, match=r"dimension 0 arm 1 with dimension 1 arm 1 with probability 0\.1.*lower order"
    ):
        pinv_table(behavior, target, 2)


def test_target_mass_that_is_only_rounding_is_let_pass():
    behavior, target = np.array([[0.5, 0.5, 0.0]]), np.array([[0.5, 0.5 - 1e-12, 1e-12]])
    assert pinv_table(behavior, target, 2) == pytest.approx(np.array([[1.0, 1.0, 0.0]]), abs=1e-9)


@pytest.mark.parametrize("first", [0, 1])
def test_arms_that_are_logged_only_together_are_refused_where_the_target_parts_them(first):
    behavior = np.zeros((2, 3))
    behavior[0, 1], behavior[1, 2] = (0.6, 0.4) if first else (0.4, 0.6)
    parted = np.zeros((2, 3))
    parted[1, 1] = 1.0
    with pytest.raises(UnusableLog, match="arms only together"):
        pinv_table(behavior, parted, 1)
    assert pinv_table(behavior, np.where(behavior > 0, 0.5, 0.0), 1)[0, 1] == pytest.approx(0.5 / behavior[0, 1])


def test_the_arm_named_in_a_refusal_is_numbered_as_in_the_pmf():
    # The likeliest arms 2 and 1 stand in for arm 0 while solving.
    behavior, target = np.zeros((3, 2)), np.zeros((3, 2))
    behavior[2, 1], behavior[0, 0] = 0.9, 0.1
    target[0, 1] = 1.0
    with pytest.raises(UnusableLog, match=r"picks dimension (0 arm 0 with probability 1|1 arm 0 with probability 0);"):
        pinv_table(behavior, target, 1)


@pytest.mark.parametrize(
    "broken", [[[0.5, 0.6]], [[1.5, -0.5]], [[np.nan, 1.0]], [[np.inf, 0.0]], [[]], 1.0, [[0.2, 0.2]]]
)
def test_what_is_no_pmf_is_refused_by_name(broken):
    good = [[0.5, 0.5]]
    with pytest.raises(UnusableLog, match=r"^behavior has shape"):
        pinv_table(broken, good, 1)
    with pytest.raises(UnusableLog, match=r"^target has shape"):
        pinv_table(good, broken, 1)


def test_pmfs_of_different_shape_are_refused():
    with pytest.raises(UnusableLog, match=r"behavior is over \(1, 2\) arms, target over \(2, 1\)"):
        pinv_table([[0.5, 0.5]], [[0.5], [0.5]], 1)


def test_an_order_below_1_is_refused():
    with pytest.raises(InvalidSettings, match="order is 0"):
        pinv_table([0.5, 0.5], [0.5, 0.5], 0)


@pytest.mark.parametrize("picks", [[0, 1], [[0]], [[0.0, 1.0]], [[0, 1, 0]]])
def test_picks_of_the_wrong_shape_or_type_are_refused(picks):
    with pytest.raises(UnusableLog, match="whole numbers of shape"):
        pinv_weights([[0.5, 0.5]], [[0.5, 0.5]], picks, 1)


@pytest.mark.parametrize("pick", [[0, 2], [0, -1], [1, 0], [0, 3]])
def test_a_pick_the_log_cannot_have_made_is_refused_with_its_row(pick):
    pmf = [[0.5, 0.5, 0.0]]
    with pytest.raises(UnusableLog, match="pick of row 1 is"):
        pinv_weights(pmf, pmf, [[0, 0], pick], 1)


@pytest.mark.parametrize("ratios", [[1.0, 2.0], [[]], 3.0])
def test_ratios_of_the_wrong_shape_are_refused(ratios):
    with pytest.raises(UnusableLog, match="ratios have shape"):
        product_weights(ratios)


@pytest.mark.parametrize("ratio", [np.nan, np.inf, -0.1])
def test_a_broken_ratio_is_refused_with_its_place(ratio):
    with pytest.raises(UnusableLog, match="ratio of row 1, dimension 0 is"):
        product_weights([[1.0, 1.0], [ratio, 1.0]])


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("rules", [False, True])
def test_twelve_by_four_by_four_by_ten_arms_stay_unbiased(order, rules):
    rng = rng_of(8)
    removed = removed_arms(LARGE, rng) if rules else None
    behavior, target = sequential_pmf(LARGE, rng, 0.1, removed), sequential_pmf(LARGE, rng, 0.0, removed)
    reward = reward_of(LARGE, rng, order)
    weights = pinv_table(behavior, target, order)
    assert (behavior * weights * reward).sum() == pytest.approx((target * reward).sum(), abs=1e-8)
