"""A world is fitted to what was sent: a log that sends next to nothing, or to too few customers, says so and is refused."""

from __future__ import annotations

import numpy as np
import pytest

from bandit.errors import UnusableLog
from simulator.fit_rows import LEAST_ROWS, FitRows
from simulator.fitting import fit_world, folds_of
from simulator.world import ChoiceGrid

N, N_CUSTOMERS, SILENT = 900, 60, 2


@pytest.fixture(scope="module")
def campaign(worlds):
    return worlds.campaign(
        context={"level": {"kind": "categorical", "values": ["low", "high"]}},
        reward={"window": "6h", "events": {"click": 1.0}},
        dimension=[worlds.dimension("subject", "plain", "champion", {"id": "nothing", "no_send": True})],
    )


CUSTOMERS = [f"c{i % N_CUSTOMERS}" for i in range(N)]


def rows(campaign, sent):
    """A log in which some rows are messages, and a third of them brings a click."""
    rng = np.random.default_rng(0)
    picks = np.where(sent, rng.integers(2, size=N), SILENT)
    return FitRows(
        ChoiceGrid({d.name: d.ids for d in campaign.dimensions}),
        [{"level": ("low", "high")[i // 7 % 2]} for i in range(N)],
        picks[:, None],
        np.full(N, 1 / 3),
        (sent & (rng.random(N) < 1 / 3)).astype(float)[:, None],
        ("click",),
        (1.0,),
        CUSTOMERS,
    )


@pytest.mark.parametrize("n_sent", [0, 1, LEAST_ROWS - 1])
def test_a_log_of_too_few_messages_is_told_how_many_it_has(campaign, n_sent):
    with pytest.raises(
        UnusableLog, match=rf"^{n_sent} of {N} rows sent a message.* need at least {LEAST_ROWS} messages"
    ):
        fit_world(rows(campaign, np.arange(N) < n_sent), campaign, seed=0)


@pytest.mark.parametrize("fold", range(3))
def test_messages_to_customers_of_one_fold_alone_are_refused(campaign, fold):
    """Whoever got none would be judged by nobody."""
    sent = folds_of(CUSTOMERS, 3, 0) == fold
    with pytest.raises(
        UnusableLog, match=rf"^all {sent.sum()} messages went to customers of one fold.*too few customers"
    ):
        fit_world(rows(campaign, sent), campaign, seed=0, folds=3)


def test_messages_to_customers_of_two_folds_are_enough(campaign):
    sent = folds_of(CUSTOMERS, 3, 0) != 0
    world = fit_world(rows(campaign, sent), campaign, seed=0, folds=3)
    found = world.expected_rewards([{"level": "low"}])[0]
    assert found[SILENT] == 0.0
    assert found[:SILENT] == pytest.approx(1 / 3, abs=0.1)
    assert np.isfinite(world.out_of_fold_rewards(np.arange(N))).all()
