"""Rules remove arms before the draw, and say which rule removed which arm."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Context
from bandit.dimension import Arm, Dimension, Range
from bandit.eligibility import Eligibility
from bandit.errors import NoEligibleArm
from bandit.removal import Removal

LAW = settings(max_examples=150, deadline=None)
SUBJECT = Dimension("subject", (Arm("plain"), Arm("champion"), Arm("dominate")))
BENEFIT = Dimension(
    "benefit",
    (
        Arm("base"),
        Arm("vip", when={"level": frozenset({"power"})}),
        Arm("newcomer", when={"days": Range(0.0, 30.0)}),
        Arm("member", when={"member": frozenset({True})}),
        Arm("bold", requires={"subject": frozenset({"champion", "dominate"})}),
        Arm("both", when={"level": frozenset({"power"})}, requires={"subject": frozenset({"champion"})}),
    ),
)
RULES = Eligibility((SUBJECT, BENEFIT))
LEVELS, DAYS, MEMBERS = (
    st.sampled_from(["power", "low", None]),
    st.none() | st.floats(0, 365),
    st.none() | st.booleans(),
)


def offered(context, picks):
    mask = RULES.mask(1, context, picks)
    return {arm.id for arm, eligible in zip(BENEFIT.arms, mask, strict=True) if eligible}


@LAW
@given(LEVELS, DAYS, MEMBERS, st.integers(0, 2))
def test_an_arm_is_on_offer_exactly_where_all_its_rules_hold(level, days, member, subject):
    expected = {
        "base": True,
        "vip": level == "power",
        "newcomer": days is not None and days <= 30,
        "member": member is True,
        "bold": subject in (1, 2),
        "both": level == "power" and subject == 1,
    }
    context = {"level": level, "days": days, "member": member}
    assert offered(context, (subject,)) == {arm for arm, holds in expected.items() if holds}


@LAW
@given(LEVELS, DAYS, MEMBERS, st.integers(0, 2))
def test_every_arm_is_either_on_offer_or_among_the_removals(level, days, member, subject):
    context = {"level": level, "days": days, "member": member}
    removed = [removal.arm for removal in RULES.removals(1, context, (subject,))]
    assert len(set(removed)) == len(removed)
    assert set(removed) | offered(context, (subject,)) == set(BENEFIT.ids)
    assert not set(removed) & offered(context, (subject,))


@pytest.mark.parametrize(("days", "eligible"), [(0.0, True), (30.0, True), (30.000001, False), (-0.001, False)])
def test_both_ends_of_a_range_are_inside_it(days, eligible):
    assert ("newcomer" in offered({"days": days}, (0,))) is eligible


@pytest.mark.parametrize("context", [{}, {"level": None, "days": None, "member": None}])
def test_a_missing_value_satisfies_no_rule_on_it(context):
    assert offered(context, (1,)) == {"base", "bold"}


def test_a_dimension_without_rules_offers_every_arm():
    assert RULES.mask(0, {}, ()).all()
    assert RULES.removals(0, {}, ()) == ()


def test_removals_say_in_words_which_rule_and_what_was_found():
    context = {"level": "low", "days": 31.0, "member": False}
    assert RULES.removals(1, context, (0,)) == (
        Removal("vip", "when level (found 'low')"),
        Removal("newcomer", "when days (found 31.0)"),
        Removal("member", "when member (found False)"),
        Removal("bold", "requires subject (picked 'plain')"),
        Removal("both", "when level (found 'low')"),
    )


def test_an_empty_dimension_is_an_error_that_names_the_rule_behind_each_arm():
    only = Dimension("benefit", (BENEFIT.arms[1], BENEFIT.arms[4]))
    with pytest.raises(NoEligibleArm) as caught:
        Eligibility((SUBJECT, only)).mask(1, {"level": "low"}, (0,))
    message = str(caught.value)
    assert "no arm of dimension 'benefit' is eligible" in message
    assert "'vip' by when level (found 'low')" in message
    assert "'bold' by requires subject (picked 'plain')" in message
    assert "give this dimension an arm without rules, or widen one of these" in message


@pytest.mark.parametrize("dimension", [0, 1])
def test_scribbling_on_a_mask_changes_no_other(dimension):
    mask = RULES.mask(dimension, {"level": "power"}, (1,))
    before = mask.tolist()
    mask[:] = False
    assert RULES.mask(dimension, {"level": "power"}, (1,)).tolist() == before


@LAW
@given(LEVELS, DAYS, MEMBERS, st.integers(0, 2))
def test_the_positions_on_offer_are_those_of_the_mask_in_file_order(level, days, member, subject):
    context = {"level": level, "days": days, "member": member}
    for dimension in (0, 1):
        mask = RULES.mask(dimension, context, (subject,))
        assert list(RULES.offered(dimension, context, (subject,))) == np.flatnonzero(mask).tolist()


def test_one_customers_mask_says_nothing_about_the_next():
    assert "vip" in offered({"level": "power"}, (0,))
    assert "vip" not in offered({"level": "low"}, (0,))
    assert "vip" in offered({"level": "power"}, (0,))


def test_rules_see_the_context_as_used_so_a_clipped_number_counts_as_its_end(worlds):
    campaign = worlds.campaign(
        dimension=[worlds.dimension("cta", "join", {"id": "late", "when": {"days": [10, 10]}})],
    )
    engine = worlds.engine(campaign)
    decision = engine.decide("ann", Context.of(days=99), decision_id="d", at=worlds.noon)
    assert decision.picks[0].pmf["late"] == 0.5


def test_rules_hold_through_a_whole_chain_of_dimensions():
    chain = Eligibility(
        (
            SUBJECT,
            Dimension("cta", (Arm("join"), Arm("invite", requires={"subject": frozenset({"champion"})}))),
            Dimension("slot", (Arm("any"), Arm("night", requires={"cta": frozenset({"invite"})}))),
        )
    )
    assert chain.mask(2, {}, (1, 1)).tolist() == [True, True]
    assert chain.mask(2, {}, (1, 0)).tolist() == [True, False]
    assert chain.mask(1, {}, (0,)).tolist() == [True, False]


def test_masks_of_all_earlier_choices_are_the_masks_of_each():
    chain = Eligibility(
        (
            SUBJECT,
            Dimension("cta", (Arm("join"), Arm("invite", requires={"subject": frozenset({"champion"})}))),
            Dimension("slot", (Arm("any"), Arm("night", when={"level": frozenset({"power"})}))),
        )
    )
    for context in ({"level": "power"}, {"level": "low"}, {}):
        at_once = chain.masks(2, context).reshape(len(SUBJECT.arms), 2, 2)
        for subject in range(len(SUBJECT.arms)):
            for cta in range(2):
                assert at_once[subject, cta].tolist() == chain.mask(2, context, (subject, cta)).tolist()
            assert chain.masks(1, context)[subject].tolist() == chain.mask(1, context, (subject,)).tolist()
