"""The demo: the referral contest, simulated end to end with known truth."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import numpy as np

from bandit.arrays import BoolArray
from bandit.campaign_file import read_campaign
from bandit.errors import UnusableStore
from service.chart import Curve, draw_curves
from service.group_report import GroupReport, report_groups
from service.sample import sample_text
from service.simulation import Send, Simulation
from service.store import Store
from service.verification import Verification, Watch, verify_store
from simulator.referral_contest import ReferralContest
from simulator.truth import Truth, value_of_choices

CAMPAIGN, DATABASE, CHART, REPORT = "campaign.toml", "manyarm.db", "learning_curve.png", "report.txt"
SENDS_PER_CUSTOMER = 6
DAYS = 28
RATES = {"click": 0.08, "conversion": 0.25, "unsubscribe": 0.003, "complaint": 0.0005}
"""Of a list of people who know the product: what a uniform choice would bring a send (conversions: a click)."""
BY = "engagement_level"

WatchSends = Callable[[Iterator[list[Send]]], Iterator[list[Send]]]
"""Passes the steps through, so that a progress bar can watch them."""


@dataclass(frozen=True, slots=True)
class Demonstration:
    """What the demo found; the truth is known because the customers are simulated."""

    folder: Path
    seed: int
    report: GroupReport
    verification: Verification
    learned_value: float
    uniform_value: float
    best_value: float


def demonstrate(folder: Path, *, n_sends: int, seed: int, watch: WatchSends, watch_rows: Watch) -> Demonstration:
    """Run the campaign, leave its files in a folder, and check its own log.

    Raises:
        UnusableStore: if the folder holds a database already: its log would be mixed with another world's.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / DATABASE
    for there in (path, folder / CAMPAIGN):
        if there.exists():
            raise UnusableStore(
                f"{there} is there already. Name another folder with --out, or move it; nothing was changed."
            )
    text = sample_text("referral-contest")
    (folder / CAMPAIGN).write_text(text, encoding="utf-8")
    campaign = read_campaign(text)
    world = ReferralContest(
        seed,
        n_customers=max(n_sends // SENDS_PER_CUSTOMER, 10),
        window=campaign.reward.window,
        days=DAYS,
        rates=RATES,
    )
    salt = f"demo {seed}".encode()
    with Store(path, salt=salt, secret=salt) as store:
        log = store.open_log(campaign, world.start)
        sends = [send for step in watch(Simulation(world, store, log).run(n_sends)) for send in step]
        report = report_groups(store.decisions(log), campaign, by=BY)
        verification = verify_store(store, watch=watch_rows)
    truth = value_of_choices(world, [s.arrival for s in sends], [s.decision.choice for s in sends])
    _draw(folder / CHART, sends, truth, world)
    late = _later_half_of_learner(sends)
    return Demonstration(
        folder,
        seed,
        report,
        verification,
        float(truth.values[late].mean()),
        float(truth.uniform[late].mean()),
        float(truth.best[late].mean()),
    )


def _later_half_of_learner(sends: list[Send]) -> BoolArray:
    """Which sends are the learner's and lie in the later half of the campaign; shape (n_sends,), boolean."""
    learner = np.array([send.decision.group.value == "learner" for send in sends])
    late: BoolArray = learner & (np.arange(len(sends)) >= len(sends) // 2)
    return late


def _draw(path: Path, sends: list[Send], truth: Truth, world: ReferralContest) -> None:
    days = np.array([(send.arrival.at - world.start) / timedelta(days=1) for send in sends])
    groups = np.array([send.decision.group.value for send in sends])
    curves = [
        Curve(name, days[groups == name], truth.values[groups == name]) for name in ("learner", "random", "control")
    ]
    curves.append(Curve("best possible (knows every customer)", days, truth.best))
    draw_curves(
        path,
        curves,
        title="Referral contest: true reward a send",
        x_label="day of the campaign",
        y_label="expected reward a send, running mean",
    )
