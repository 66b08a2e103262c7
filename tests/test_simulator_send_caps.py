"""A rehearsal promises no send that the service would refuse, and says how many it refused."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import Engine
from bandit.fatigue import Cap
from bandit.group import Group
from bandit.learners import learner_for
from policies import group_policies
from service.rehearsal_report import document_of, text_of
from service.rehearsed_seed import Rehearsal
from service.rehearsing import rehearse
from service.replay_report import ReplayReport
from service.replay_report import document_of as replay_document
from service.replay_report import text_of as replay_text
from service.replaying import Contender, run_all
from simulator.engine_decider import rehearse as play_in_batches
from simulator.rehearsal import Phase
from simulator.replay import replay
from simulator.scenarios import SCENARIOS
from simulator.send_caps import SendCaps
from simulator.world import ImpossibleWorld

N, DAY = 400, timedelta(days=1)
LOOSE, TIGHT = [{"most": 1000, "within": "1h"}], [{"most": 2, "within": "10d"}]


@pytest.fixture(scope="module")
def campaign(worlds):
    """Builds a campaign of channels, one of which sends nothing."""

    def build(**sections):
        channels = worlds.dimension("channel", "email", "sms", {"id": "no_send", "no_send": True})
        subjects = worlds.dimension("subject", "plain", "bold")
        shared = {"dimension": [channels, subjects], "learner": None, "policy": {"name": "uniform"}}
        return worlds.campaign(**shared | sections)

    return build


def played(campaign, n=N, seed=3):
    stages = SCENARIOS["steady"].stages(campaign, seed, n)
    return replay(stages, [Engine(stage.campaign, group_policies(stage.campaign), b"a", b"b") for stage in stages])


def sends_of(found):
    """Times and channels of each customer's messages."""
    sends = defaultdict(list)
    (stage,) = found.stages
    for arrival, picks in zip(stage.arrivals, stage.picks.tolist(), strict=True):
        choice = stage.campaign.choice_of(picks)
        if not stage.campaign.sends_nothing(choice):
            sends[arrival.customer_id].append((arrival.at, choice["channel"]))
    return sends


def most_within(times, span):
    return max((sum(start <= at < start + span for at in times) for start in times), default=0)


def test_nobody_gets_more_than_the_caps_allow_and_every_send_is_made_or_counted(campaign):
    free, found = played(campaign(limits={"caps": LOOSE})), played(campaign(limits={"caps": TIGHT}))
    assert max(most_within([at for at, _ in sends], 10 * DAY) for sends in sends_of(free).values()) > 2
    assert max(most_within([at for at, _ in sends], 10 * DAY) for sends in sends_of(found).values()) == 2
    assert (free.n_capped, len(free.rewards)) == (0, N)
    assert found.n_capped > 0
    assert found.n_capped + len(found.rewards) == N
    assert len(found.truth.values) == len(found.rewards) == len(found.days)


def test_a_cap_of_a_channel_refuses_that_channel_alone_and_nothing_refuses_silence(campaign):
    found = played(campaign(limits={"caps": [{"most": 1, "within": "28d", "channel": "sms"}]}))
    sends = sends_of(found).values()
    assert max(sum(channel == "sms" for _, channel in one) for one in sends) == 1
    assert max(sum(channel == "email" for _, channel in one) for one in sends) > 2
    quiet = played(campaign(limits={"caps": [{"most": 1, "within": "28d"}]}))
    (stage,) = quiet.stages
    silent = sum(stage.campaign.sends_nothing(stage.campaign.choice_of(picks)) for picks in stage.picks.tolist())
    assert silent > len(sends_of(quiet))


def test_caps_that_bind_nobody_change_nothing(campaign):
    free, loose = played(campaign()), played(campaign(limits={"caps": LOOSE}))
    assert np.array_equal(free.rewards, loose.rewards)
    assert np.array_equal(free.truth.values, loose.truth.values)


def test_what_was_refused_is_in_nobodys_past(campaign):
    """Wear-out counts what went out: with one message in 28 days nobody has a past to look back on."""
    found = played(campaign(limits={"caps": [{"most": 1, "within": "28d"}]}, wear_out={"window": "28d"}))
    (stage,) = found.stages
    sent = {name: sends[0][0] for name, sends in sends_of(found).items()}
    for arrival, exposures in zip(stage.arrivals, stage.exposures, strict=True):
        assert len({(one.recency, one.frequency) for one in exposures}) <= 1
        for one in exposures:
            assert arrival.at - one.recency * DAY == pytest.approx(sent[arrival.customer_id], abs=timedelta(seconds=1))
    assert any(stage.exposures)


def test_a_play_in_batches_refuses_a_campaign_with_caps(campaign):
    (stage,) = SCENARIOS["steady"].stages(campaign(limits={"caps": TIGHT}), 3, 50)
    engine = Engine(stage.campaign, group_policies(stage.campaign), b"a", b"b")
    kind = learner_for(stage.campaign.learner, engine.policies[Group.LEARNER].needs)
    with pytest.raises(ImpossibleWorld, match=r"caps.*simulator\.replay"):
        play_in_batches([Phase(stage.world, 50)], [engine], kind, batch=10)


def test_reports_of_rehearsals_and_replays_say_what_was_refused(campaign):
    asked, worlds = campaign(limits={"caps": TIGHT}), SCENARIOS["steady"]
    found = rehearse(Rehearsal(asked, worlds, N, None, ()), (1, 2))
    assert found.n_sends + found.n_capped == pytest.approx(N, abs=1)
    assert document_of(found)["n_capped"] == found.n_capped > 0
    assert f"The caps refused {found.n_capped:,.1f} sends" in " ".join(text_of(found).split())
    report = ReplayReport.of("steady", asked.id, run_all([Contender("uniform", asked)], worlds, N, (1, 2)))
    (result,) = report.results
    assert replay_document(report)["policies"]["uniform"]["n_capped"] == result.n_capped == 2 * found.n_capped
    assert f"refused sends, which no figure counts: {result.n_capped:,} of uniform" in replay_text(report)
    assert "refused" not in replay_text(
        ReplayReport.of("steady", "a", run_all([Contender("a", campaign())], worlds, 50, (1,)))
    )


@given(
    hours=st.lists(st.integers(0, 60), min_size=1, max_size=25),
    waits=st.lists(st.integers(0, 30), min_size=25, max_size=25),
    most=st.integers(1, 3),
    within=st.integers(1, 40),
)
def test_whenever_messages_go_out_no_stretch_holds_too_many(campaign_with_cap, worlds, hours, waits, most, within):
    """Send slots: what is decided later may go out earlier."""
    caps, asked = SendCaps(), campaign_with_cap(most, within)
    kept = []
    for hour, wait in zip(sorted(hours), waits, strict=False):
        at = worlds.noon + timedelta(hours=hour)
        send_at = at + timedelta(hours=wait)
        if caps.allow(asked, "ann", at, send_at, {"subject": "plain", "cta": "join"}):
            kept.append(send_at)
    assert most_within(kept, timedelta(hours=within)) <= most
    assert len(kept) + caps.n_capped == len(hours)


@pytest.fixture(scope="module")
def campaign_with_cap(worlds):
    """A campaign's caps do not depend on its file, so one file serves all of them."""
    base = worlds.campaign(limits={"caps": TIGHT})

    def build(most, within):
        return replace(base, limits=replace(base.limits, caps=(Cap(most, timedelta(hours=within)),)))

    return build
