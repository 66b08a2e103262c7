"""The rehearsal of a campaign: what it says before the first send, and that it is true of the worlds it was played in."""

from __future__ import annotations

import json
import math
from dataclasses import asdict, astuple, replace
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser

import numpy as np
import pytest

from bandit.errors import InvalidSettings
from service.campaign_rehearsal import OfSeeds, OverSeeds
from service.reactions import WINDOWS
from service.rehearsal_page import page_of
from service.rehearsal_report import document_of, sections_of, text_of
from service.rehearsal_variants import Variant, variants_of
from service.rehearsed_seed import Rehearsal, rehearse_seed
from service.rehearsing import rehearse_campaign, rehearsed
from simulator.delay import DelayModel
from simulator.scenarios import SCENARIOS
from simulator.world import ImpossibleWorld

N_SENDS, SEEDS = 800, (0, 1)
NOON = datetime(2026, 1, 5, 12, tzinfo=UTC)
HARD = {"open": 0.6, "click": 0.3}
"""Rates at which a thousand sends say something."""


@pytest.fixture(scope="module")
def campaign(worlds):
    """Four subject lines, a fifth of the customers in control."""
    return worlds.campaign(
        campaign={"id": "four-lines", "learn_every": "96h"},
        reward={"window": "72h", "events": {"click": 1.0}},
        groups={"random": 0.1, "control": {"share": 0.2, "choice": {"subject": "a"}}},
        policy={"name": "squarecb", "floor": 0.1},
        dimension=[worlds.dimension("subject", *"abcd")],
    )


class Often:
    """A scenario in which people click often."""

    def __init__(self, name):
        self.scenario = SCENARIOS[name]

    def stages(self, campaign, seed, n_sends):
        return self.scenario.stages(campaign, seed, n_sends, rates=HARD)


@pytest.fixture(scope="module")
def rehearsal(campaign):
    """As planned, without effects, and with the floor and the window doubled."""
    tried = [one for one in variants_of(campaign) if one.name in {"floor 0.2", "window 144h"}]
    return Rehearsal(campaign, Often("steady"), N_SENDS, Often("no-effect"), (Variant("nothing", campaign), *tried))


@pytest.fixture(scope="module")
def runs(rehearsal):
    """What each seed showed."""
    return [rehearse_seed(rehearsal, seed) for seed in SEEDS]


@pytest.fixture(scope="module")
def found(rehearsal, runs):
    """All seeds together."""
    return rehearsed(rehearsal, runs)


@pytest.fixture(scope="module")
def still(campaign):
    """A rehearsal in worlds without effects; everything else left out."""
    return rehearse_campaign(
        campaign, Often("no-effect"), n_sends=N_SENDS, seeds=SEEDS, without_effects=None, variants=()
    )


def test_parts_of_the_cost_add_up_to_the_regret(runs, found):
    for run in runs:
        assert sum(astuple(run.losses)) == pytest.approx((run.best - run.value) * N_SENDS)
        assert min(run.losses.control, run.losses.random, run.losses.waiting, run.losses.unknown) > 0.0
    assert sum(line.reward.mean for line in found.losses[:-1]) == pytest.approx(found.losses[-1].reward.mean)


def test_a_world_without_effects_gives_no_lift_to_see(still):
    assert still.lift.difference.mean == pytest.approx(0.0, abs=1e-12)
    assert still.losses[-1].reward.mean == pytest.approx(0.0, abs=1e-9)
    assert (still.seen.better.n, still.seen.worse.n, still.seen.median_day) == (0, 0, None)
    assert "Not within this campaign in 2 of 2" in " ".join(text_of(still).split())


def test_worlds_with_effects_are_refused_as_worlds_without(campaign):
    with pytest.raises(ImpossibleWorld, match="every choice is as good as any other"):
        rehearse_campaign(
            campaign, Often("steady"), n_sends=50, seeds=[0], without_effects=Often("steady"), variants=()
        )


def test_a_variant_without_a_change_changes_nothing(found):
    nothing, floor, window = found.variants
    assert (nothing.difference.mean, nothing.difference.ci_upper, nothing.seen) == (0.0, 0.0, found.seen)
    assert floor.difference.mean != 0.0
    assert window.difference.mean != 0.0


def test_a_longer_window_is_judged_by_the_planned_one(campaign):
    """By its own window the longer one counts more clicks, and would look better for it alone."""
    longer = variants_of(campaign)[-1]
    both = Rehearsal(campaign, Often("steady"), 100, None, (longer,))
    alone = replace(both, campaign=longer.campaign, variants=())
    judged, own = rehearse_seed(both, 0).variants[0], rehearse_seed(alone, 0)
    assert judged.seen == own.seen
    assert judged.value * 1.005 < own.value < judged.value * 1.1


@pytest.mark.parametrize("seeds", [(), (1, 1)])
def test_every_rehearsal_needs_a_seed_of_its_own(campaign, seeds):
    with pytest.raises(InvalidSettings, match="Give each once"):
        rehearse_campaign(campaign, Often("steady"), n_sends=50, seeds=seeds)


def test_without_a_control_group_no_lift_is_promised(worlds, campaign):
    alone = replace(campaign, groups=replace(campaign.groups, control=0.0, control_choice={}))
    found = rehearse_campaign(alone, Often("steady"), n_sends=60, seeds=[0], variants=())
    assert (found.lift, found.seen, found.false_winner, found.visible) == (None, None, None, None)
    assert "Give both a share in [groups]" in text_of(found)
    assert "Give both a share in [groups]" in page_of(found)


def test_the_document_says_what_the_rehearsal_found(found):
    written = json.loads(json.dumps(document_of(found), allow_nan=False))
    assert written == json.loads(json.dumps(asdict(found)))
    assert written["seen"]["better"]["n"] == found.seen.better.n
    assert [one["part"] for one in written["losses"]] == [one.part for one in found.losses]


def test_the_text_answers_every_question_with_its_numbers(found):
    text = " ".join(text_of(found).split())
    for section in sections_of(found):
        assert section.question in text
        assert section.answer in text
        assert all(" ".join(row) in text for row in section.rows)
    assert f"{found.value.mean:.5f} ({found.value.ci_lower:.5f} to {found.value.ci_upper:.5f})" in text


class _Words(HTMLParser):
    """Text and tags of a page."""

    def __init__(self):
        super().__init__()
        self.tags, self.words = [], []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data):
        self.words.append(data)


def test_the_page_says_the_same_as_the_text_and_fetches_nothing(found):
    page = _Words()
    page.feed(page_of(found))
    for section in sections_of(found):
        assert section.question in page.words
        assert section.answer in page.words
    assert not [attrs for _, attrs in page.tags if {"src", "href"} & attrs.keys()]
    lines = [attrs["points"].split() for tag, attrs in page.tags if tag == "polyline"]
    assert sorted(map(len, lines)) == sorted(sum(v is not None for v in curve.mean) for curve in found.curves)


def test_names_are_text_on_the_page_and_never_markup(found):
    evil = "<script>alert(1)</script>"
    changed = replace(
        found,
        campaign=evil,
        variants=(replace(found.variants[0], name=evil),),
        late=(replace(found.late[0], type=evil),),
        curves=(replace(found.curves[0], name=evil),),
    )
    assert "<script" not in page_of(changed)
    assert page_of(changed).count("&lt;script") >= 5


def test_late_reactions_are_as_frequent_as_the_worlds_delays_say(found):
    line = found.late[0]
    n, delays = line.n * len(SEEDS), DelayModel().of("click")
    assert n > 300
    for end, share in zip(WINDOWS, line.after.values(), strict=True):
        expected = 1.0 - delays.share_within(end * timedelta(hours=72))
        assert abs(share - expected) < 4.0 * math.sqrt(expected * (1.0 - expected) / n)


def test_machines_are_told_from_persons(campaign):
    found = rehearse_campaign(campaign, Often("machines"), n_sends=200, seeds=[0], without_effects=None, variants=())
    assert found.machines.extra.mean > 0.01
    assert found.machines.relative > 0.02


def test_without_machines_they_add_nothing(found):
    assert found.machines.extra == OverSeeds(0.0, 0.0, 0.0)


def test_one_rehearsal_has_no_interval_and_says_none(campaign):
    found = rehearse_campaign(campaign, Often("steady"), n_sends=60, seeds=[4], without_effects=None, variants=())
    assert found.value == OverSeeds(found.value.mean)
    assert "None" not in text_of(found)
    assert "nan" not in text_of(found)


def test_the_same_seeds_give_the_same_document_and_others_another(campaign):
    first, again, other = (
        rehearse_campaign(campaign, Often("steady"), n_sends=60, seeds=[seed], without_effects=None, variants=())
        for seed in (4, 4, 5)
    )
    assert json.dumps(document_of(first)) == json.dumps(document_of(again))
    assert document_of(first)["value"] != document_of(other)["value"]


def test_an_interval_over_seeds_is_students():
    found = OverSeeds.of([1.0, 2.0, 3.0, 4.0], 0.9)
    assert (found.mean, found.ci_upper - found.mean) == pytest.approx((2.5, 2.353363 * np.sqrt(5 / 3 / 4)))


def test_a_share_of_no_seeds_at_all_is_still_uncertain():
    found = OfSeeds.where([False] * 20)
    assert (found.ci_lower, found.n, found.of) == (0.0, 0, 20)
    assert 0.15 < found.ci_upper < 0.17
