"""Groups are sticky, have the shares that were asked for, and move only customers at a border."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Context, Group
from bandit.draw import begun_position
from bandit.group import Groups

LAW = settings(max_examples=60, deadline=None)
N = 20_000
SHARES = st.tuples(st.floats(0.0, 0.5), st.floats(0.0, 0.5))


def assigned(random, control, *, campaign="contest", salt=b"pepper", n=N):
    groups = Groups(random=random, control=control)
    return [groups.group_of(f"c{i}", campaign=campaign, salt=salt) for i in range(n)]


def moves(before, after):
    return Counter((old, new) for old, new in zip(before, after, strict=True) if old is not new)


def within(count, share, n=N):
    """Four and a half standard deviations of a binomial count."""
    return abs(count - n * share) <= 4.5 * math.sqrt(n * share * (1 - share))


@LAW
@given(SHARES, st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_the_same_customer_always_has_the_same_group(shares, customer):
    groups = Groups(*shares)
    first = groups.group_of(customer, campaign="contest", salt=b"pepper")
    assert groups.group_of(customer, campaign="contest", salt=b"pepper") is first
    assert groups.group_after(begun_position("contest", salt=b"pepper"), customer) is first


@pytest.mark.parametrize(("random", "control"), [(0.05, 0.05), (0.0, 0.3), (0.3, 0.0), (0.001, 0.5), (0.5, 0.5)])
def test_groups_have_the_shares_that_were_asked_for(random, control):
    counts = Counter(assigned(random, control))
    for group, share in Groups(random, control).shares.items():
        assert within(counts[group], share)


@LAW
@given(SHARES)
def test_shares_add_up_to_everybody(shares):
    assert sum(Groups(*shares).shares.values()) == pytest.approx(1.0, abs=1e-9)


def test_shares_of_nothing_and_of_everything_are_exact():
    assert set(assigned(0.0, 0.0, n=2000)) == {Group.LEARNER}
    assert set(assigned(0.0, 1.0, n=2000)) == {Group.CONTROL}
    assert set(assigned(1.0, 0.0, n=2000)) == {Group.RANDOM}


@pytest.mark.parametrize("change", [{"campaign": "autumn"}, {"salt": b"salt"}])
def test_another_campaign_or_salt_groups_independently(change):
    here, there = assigned(0.0, 0.5), assigned(0.0, 0.5, **change)
    both = sum(a is b is Group.CONTROL for a, b in zip(here, there, strict=True))
    assert within(both, 0.25)


def test_changing_policy_learner_rewards_or_arms_moves_nobody(worlds):
    groups = {"random": 0.3, "control": {"share": 0.3, "choice": {"subject": "plain", "cta": "join"}}}
    before = worlds.campaign(groups=groups)
    after = worlds.campaign(
        groups=groups,
        policy={"name": "epsilon-greedy", "floor": 0.5, "interactions": False},
        learner={"name": "regression", "target": "reward"},
        reward={"window": "7d", "events": {"order": 3.0}},
        context={"plan": {"kind": "boolean"}},
        dimension=[worlds.dimension("subject", "plain", "new"), worlds.dimension("cta", "join")],
    )
    for i in range(300):
        one, two = (
            worlds.engine(campaign).decide(f"c{i}", Context({}), decision_id="d", at=worlds.noon).group
            for campaign in (before, after)
        )
        assert one is two


def test_growing_the_random_share_moves_only_learner_customers_into_it():
    before, after = assigned(0.05, 0.1), assigned(0.15, 0.1)
    moved = moves(before, after)
    assert set(moved) == {(Group.LEARNER, Group.RANDOM)}
    assert within(sum(moved.values()), 0.1)


def test_growing_the_control_share_never_moves_anybody_out_of_it():
    moved = moves(assigned(0.05, 0.1), assigned(0.05, 0.2))
    assert not any(old is Group.CONTROL for old, _ in moved)
    into_control = sum(count for (_, new), count in moved.items() if new is Group.CONTROL)
    assert within(into_control, 0.1)


def test_growing_the_control_share_leaves_the_random_customers_where_they_were():
    moved = moves(assigned(0.05, 0.1), assigned(0.05, 0.15))
    assert set(moved) == {(Group.LEARNER, Group.CONTROL)}


def test_shrinking_a_share_undoes_what_growing_it_did():
    assert moves(assigned(0.2, 0.1), assigned(0.1, 0.1)) == {
        (new, old): count for (old, new), count in moves(assigned(0.1, 0.1), assigned(0.2, 0.1)).items()
    }
