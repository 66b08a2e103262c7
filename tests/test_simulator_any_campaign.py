"""Every scenario plays any campaign a file can describe, or says why it cannot."""

from __future__ import annotations

from datetime import timedelta

import numpy as np
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from simulator.scenarios import SCENARIOS
from simulator.world import ImpossibleWorld

MAY_REFUSE = {"misleading", "new-arms", "retired-arms"}
EVENTS = ("open", "click", "conversion", "purchase", "unsubscribe", "complaint", "reply", "call")

fields = st.one_of(
    st.builds(
        lambda n, required: {"kind": "categorical", "values": [f"v{k}" for k in range(n)], "required": required},
        st.integers(1, 4),
        st.booleans(),
    ),
    st.builds(lambda low: {"kind": "numeric", "range": [low, low + 7.5]}, st.integers(-5, 5)),
    st.builds(lambda required: {"kind": "boolean", "required": required}, st.booleans()),
    st.just({"kind": "categorical", "protected": True}),
    st.just({"kind": "numeric", "range": [0, 9], "protected": True}),
)
slots = st.sampled_from([("weekday-09", "weekend-20"), ("mon-00", "hour-23", "sun-12:30"), ("later",)])


@st.composite
def documents(draw):
    """A campaign of one to three dimensions; the first arm of each is for everybody, others may have rules."""
    context = dict(zip("abcde", draw(st.lists(fields, max_size=5)), strict=False))
    open_to_rules = [
        name for name, item in context.items() if item["kind"] == "boolean" and not item.get("protected", False)
    ]
    dimensions = []
    for number in range(draw(st.integers(1, 3))):
        arms = [{"id": f"arm{k}"} for k in range(draw(st.integers(1, 4)))]
        for arm in arms[1:]:
            if open_to_rules and draw(st.booleans()):
                arm["when"] = {draw(st.sampled_from(open_to_rules)): draw(st.booleans())}
            if number and draw(st.booleans()):
                arm["requires"] = {"d0": ["arm0"]}
        dimensions.append({"name": f"d{number}", "arm": arms})
    dimensions.append({"name": "slot", "arm": [{"id": arm} for arm in draw(slots)]})
    types = draw(st.lists(st.sampled_from(EVENTS), min_size=1, unique=True))
    events = {name: draw(st.sampled_from([-1.0, 0.5, 3.0])) for name in types}
    return {"context": context or None, "reward": {"window": "48h", "events": events}, "dimension": dimensions}


@given(document=documents(), name=st.sampled_from(list(SCENARIOS)), seed=st.integers(0, 2**64 - 1))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_any_campaign_is_played_with_a_truth_that_is_consistent(worlds, document, name, seed):
    campaign = worlds.campaign(**document)
    try:
        stages = SCENARIOS[name].stages(campaign, seed, 24)
    except ImpossibleWorld:
        assert name in MAY_REFUSE
        return
    for stage in stages:
        check(stage, np.random.default_rng(0))


def check(stage, rng):
    """What must hold for every world, whatever the campaign."""
    world, arrivals = stage.world, list(stage.world.arrivals(stage.n_sends))
    rewards, pmf = world.expected_rewards_after(arrivals), world.random_pmf([a.context for a in arrivals])
    low, high = stage.campaign.reward.bounds
    assert rewards.shape == pmf.shape == (stage.n_sends, len(world.choices))
    assert ((rewards >= low) & (rewards <= high)).all()
    np.testing.assert_allclose(pmf.sum(axis=1), 1.0)
    numbers = [int(rng.choice(len(row), p=row)) for row in pmf]
    choices = [world.choices.at(number) for number in numbers]
    np.testing.assert_allclose(
        world.rewards_of_choices(arrivals, choices), rewards[range(len(numbers)), numbers], rtol=1e-9, atol=1e-15
    )
    for arrival, choice in zip(arrivals, choices, strict=True):
        sent = world.sent_at(arrival, choice)
        assert timedelta(0) <= sent - arrival.at <= timedelta(days=8)
        for outcome in world.react(arrival, choice, decision_id=str(arrival.at)):
            assert outcome.type in stage.campaign.reward.events
            assert outcome.at >= sent
