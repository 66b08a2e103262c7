"""docs/scenarios.md says what the scenarios are, and its figures are what they give."""

from __future__ import annotations

import re
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pytest

from bandit import read_campaign
from service.sample import sample_text
from simulator.funnel import Role
from simulator.reactions import delay_of
from simulator.scenarios import SCENARIOS

PAGE = (Path(__file__).parents[1] / "docs" / "scenarios.md").read_text(encoding="utf-8")


def figures(stages):
    """Mean reward of the random policy, and how many times that the best for everybody and for each would bring."""
    columns = []
    for stage in stages:
        arrivals = list(stage.world.arrivals(stage.n_sends))
        rewards = stage.world.expected_rewards_after(arrivals)
        pmf = stage.world.random_pmf([arrival.context for arrival in arrivals])
        for_everybody = np.where((pmf > 0.0).all(axis=0), rewards.mean(axis=0), -np.inf).argmax()
        best = np.where(pmf > 0.0, rewards, -np.inf).max(axis=1)
        columns.append(np.stack([(pmf * rewards).sum(axis=1), rewards[:, for_everybody], best]))
    random, for_everybody, best = np.concatenate(columns, axis=1).mean(axis=1)
    return f"{random:.4f} | {for_everybody / random:.2f} | {best / random:.2f}"


def test_every_scenario_has_its_paragraph_in_the_order_of_the_registry():
    sections = re.findall(r"^## ([a-z-]+)\n\n(.+?)\n(?=\n## |\Z)", PAGE, flags=re.MULTILINE | re.DOTALL)
    said = [(name, " ".join(text.split())) for name, text in sections]
    assert said == [(name, scenario.paragraph) for name, scenario in SCENARIOS.items()]


def test_what_paragraphs_say_in_words_is_so():
    late = delay_of(Role.CLICK, SCENARIOS["late-rewards"].settings.delays)
    assert late.share_within(timedelta(days=2.5)) == pytest.approx(0.5, abs=0.02)
    assert late.share_within(timedelta(days=7)) == pytest.approx(2 / 3, abs=0.02)
    assert 0.5 < late.share_within(timedelta(days=3)) < 0.6
    shock, odds = SCENARIOS["shock"].settings.change, 0.25 / 0.75
    assert shock is not None
    after = odds * np.exp(shock.lift)
    assert after / (1.0 + after) == pytest.approx(0.25 * 2 / 3, abs=0.005)
    begins, ends = habits_days(SCENARIOS["habits"].settings)
    for zone in ("America/New_York", "Europe/Berlin"):
        assert begins.astimezone(ZoneInfo(zone)).dst() != ends.astimezone(ZoneInfo(zone)).dst()


def habits_days(settings):
    """First and last moment."""
    return settings.start, settings.start + timedelta(days=settings.days)


@pytest.mark.parametrize("name", SCENARIOS)
def test_the_figures_of_the_page_are_those_of_the_scenario(name):
    campaign = read_campaign(sample_text("referral-contest"))
    assert f"| `{name}` | {figures(SCENARIOS[name].stages(campaign, 0, 600))} |" in PAGE
