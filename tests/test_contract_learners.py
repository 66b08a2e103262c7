"""What every learner in the registry promises: one sentence a promise, every learner."""

import numpy as np
import pytest

from bandit.learners import LEARNERS
from bandit.training import training_row

N_ROWS = 700
"""More than a learner keeps back, so that its candidates have begun."""


def campaign_for(worlds, name):
    policy = {"regression": "squarecb", "bootstrap": "thompson", "native": "native"}[name]
    return worlds.campaign(policy={"name": policy}, learner={"name": name})


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("n_rows", [0, 40, N_ROWS])
def test_a_learner_serves_as_it_stands_just_what_its_snapshot_would(worlds, name, n_rows):
    campaign, kind = campaign_for(worlds, name), LEARNERS[name]
    learner = kind.fresh(campaign)
    for row in worlds.rows(campaign, n_rows, lambda context, _: {"click": 0.5 if context["member"] else 0.1}):
        learner.learn(training_row(campaign, row))

    live, frozen = kind.live(campaign, learner), kind.serve(campaign, learner.snapshot(watermark=n_rows))
    assert live.n_learned == frozen.n_learned == n_rows
    for context in worlds.contexts(campaign, 20, seed=3):
        encoded = campaign.schema.encode(context)
        first, second = ((scorer, scorer.start(encoded)) for scorer in (live, frozen))
        for d, size in enumerate(campaign.sizes):
            offered = range(size)
            found, wanted = (scorer.offer(state, d, offered) for scorer, state in (first, second))
            assert found == wanted
            first, second = ((scorer, scorer.after(state, d, 1)) for scorer, state in (first, second))


@pytest.mark.parametrize("name", LEARNERS)
def test_learning_on_does_not_change_what_was_served_before(worlds, name):
    campaign, kind = campaign_for(worlds, name), LEARNERS[name]
    learner = kind.fresh(campaign)
    rows = [training_row(campaign, row) for row in worlds.rows(campaign, N_ROWS, lambda *_: {"click": 0.3})]
    for row in rows[:-200]:
        learner.learn(row)
    scorer = kind.live(campaign, learner)
    encoded = campaign.schema.encode(worlds.contexts(campaign, 1)[0])

    def answer():
        offer = scorer.offer(scorer.start(encoded), 0, range(campaign.sizes[0]))
        return np.array(offer.native if offer.scores is None else offer.scores)

    before = answer()
    for row in rows[-200:]:
        learner.learn(row)
    assert (answer() == before).all()


@pytest.mark.parametrize("name", LEARNERS)
@pytest.mark.parametrize("some", [1, 7, 1000])
def test_many_rows_teach_what_one_after_the_other_would_to_the_last_bit(worlds, name, some):
    campaign, kind = campaign_for(worlds, name), LEARNERS[name]
    one_by_one, many = kind.fresh(campaign), kind.fresh(campaign)
    chance = {"click": 0.3, "conversion": 0.1}
    rows = [training_row(campaign, row) for row in worlds.rows(campaign, N_ROWS, lambda *_: chance)]
    for row in rows:
        one_by_one.learn(row)
    for first in range(0, len(rows), some):
        many.learn_many(rows[first : first + some])
    assert one_by_one.snapshot(watermark=1) == many.snapshot(watermark=1)
