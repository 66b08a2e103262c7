"""A simulated campaign: what goes wrong does so with messages alone, and the clock stops a window after the last step."""

from __future__ import annotations

from datetime import timedelta

import pytest

from service.simulation import Simulation, provider_counts
from service.store import Store
from simulator.faults import faults_of
from simulator.scenarios import SCENARIOS

N, STEP = 150, timedelta(days=14)


@pytest.fixture
def simulated(worlds, tmp_path):
    """Simulates a campaign of two arms and silence; answers the campaign, the simulation, and its sends."""

    def run(*faults, more=({"id": "nothing", "no_send": True},), **sections):
        arms = worlds.dimension("subject", "plain", "champion", *more)
        campaign = worlds.campaign(dimension=[arms], learner=None, policy={"name": "uniform"}, **sections)
        (stage,) = SCENARIOS["steady"].stages(campaign, 1, N)
        with Store(tmp_path / "manyarm.db", salt=worlds.salt, secret=worlds.secret) as store:
            log = store.open_log(campaign, worlds.noon)
            simulation = Simulation(stage.world, store, log, STEP, faults_of(faults))
            return campaign, simulation, [send for step in simulation.run(N) for send in step]

    return run


@pytest.mark.parametrize(("fault", "sent"), [("unsent-choice=1.0", {"subject": "plain"}), ("unvoided-sends=1.0", None)])
def test_where_silence_was_chosen_nothing_goes_wrong_with_the_message(simulated, fault, sent):
    campaign, _, sends = simulated(fault)
    silent = [send for send in sends if campaign.sends_nothing(send.decision.choice)]
    assert 20 < len(silent) < len(sends)
    for send in sends:
        assert send.sent == (send.decision.choice if send in silent else sent)
    assert not any(send.events for send in silent)
    assert provider_counts(sends, None, campaign)["sent"] == (len(sends) - len(silent) if sent else 0)


def test_a_last_step_of_which_caps_refuse_everything_is_waited_for_too(simulated):
    campaign, simulation, sends = simulated(more=(), limits={"caps": [{"most": 1, "within": "365d"}]})
    came = [arrival.at for arrival in simulation.world.arrivals(N)]
    last = came[0] + int((came[-1] - came[0]) / STEP) * STEP
    assert max(send.arrival.at for send in sends) < last
    assert simulation.end == last + STEP + campaign.reward.window


def test_before_anybody_came_there_is_no_end(worlds, tmp_path):
    campaign = worlds.campaign(policy={"name": "uniform"}, learner=None)
    (stage,) = SCENARIOS["steady"].stages(campaign, 1, N)
    with Store(tmp_path / "manyarm.db") as store:
        simulation = Simulation(stage.world, store, store.open_log(campaign, worlds.noon))
        assert simulation.end is None
