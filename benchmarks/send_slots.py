"""How fast send slots are learned, and what hours, texts and days bring on the take-home e-mail data.

Run: .venv/bin/python benchmarks/send_slots.py [--email email_takehome.csv.gz] [--smoke]

**Hours.** A campaign of eight send slots, half of whose arms are at the weekend, with quiet hours, rewarded by opens. Its
customers live in three zones and look at their mail at hours of their own (`simulator.habits`): most of those with one
interest have the same habit, the others any. Nothing else tells slots apart. The engine decides 20,000 sends, a batch of 200
at a time, and learns. Of the last fifth of the sends the exact expected rewards are compared: of the random policy, of what
was chosen, of the best slot for each interest in hindsight (what can be known from the context), and of the best for each
customer (whose habit nobody can see). Seeds are named; the interval is Student's over the seeds.

**E-mail.** Of the rows (text x version x weekday drawn at random) one half is learned from, and the policy that sends each its
best choice is valued on the other half, by inverse propensities; then the other way round. Only where the table is given.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import scipy.stats
from gates import Gate
from numpy.typing import NDArray
from timing import keep

from bandit import Context, Engine, read_campaign
from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import ContextValue, EncodedContext
from bandit.group import Group
from bandit.learner import Scorer, TrainingRow
from bandit.learners import learner_for
from policies import group_policies
from simulator.customers import drawn_customers
from simulator.drawn_world import WorldSettings, drawn_world
from simulator.engine_decider import Refresh, rehearse
from simulator.rehearsal import Phase
from simulator.tastes import TasteSizes
from simulator.truth import Truth
from simulator.world import Arrival

SEEDS = (11, 12, 13, 14, 15)
N_SENDS, N_CUSTOMERS, BATCH, LAST = 20_000, 3_000, 200, 0.2
ZONES = {"America/New_York": 0.35, "Europe/Berlin": 0.45, "Asia/Kolkata": 0.20}
CAMPAIGN = """
[campaign]
id = "hours"
[context.interest]
kind = "categorical"
values = ["books", "games", "garden", "music", "sport"]
[context.zone]
kind = "categorical"
protected = true
[reward]
window = "72h"
events = { open = 1.0 }
[policy]
name = "squarecb"
floor = 0.02
[limits]
quiet_hours = { from = "23:00", until = "06:00", zone = "zone" }
[send_slots]
grid = "weekday-weekend"
hours = [8, 12, 18, 22]
within = "7d"
"""


@dataclass(frozen=True, slots=True)
class Hours:
    """Expected rewards a send over the last sends of one seed."""

    seed: int
    uniform: float
    chosen: float
    by_interest: float
    by_customer: float

    @property
    def share(self) -> float:
        """Of what the context's oracle gains over the random policy."""
        return (self.chosen - self.uniform) / (self.by_interest - self.uniform)

    @property
    def share_of_all(self) -> float:
        """The same of an oracle that sees every customer's habit."""
        return (self.chosen - self.uniform) / (self.by_customer - self.uniform)


def hours(seed: int, n_sends: int) -> Hours:
    """Play one campaign."""
    campaign = read_campaign(CAMPAIGN)
    customers = drawn_customers(campaign.declared, seed, N_CUSTOMERS, zones=ZONES)
    told = [{**context, "zone": zone} for context, zone in zip(customers.contexts, customers.zones, strict=True)]
    customers = type(customers)(customers.ids, told, customers.zones)
    sizes = TasteSizes(arm=0.0, fit=0.0, pair=0.0)
    settings = WorldSettings(habits=0.5, sizes=sizes)
    world = drawn_world(campaign, customers, seed, n_sends, settings)
    engine = Engine(campaign, group_policies(campaign), salt=b"hours", secret=b"hours")
    kind = learner_for(campaign.learner, engine.policies[Group.LEARNER].needs)
    played = rehearse([Phase(world, n_sends)], [engine], kind, batch=BATCH, refresh=Refresh(every=BATCH))
    first = round(n_sends * (1.0 - LAST))
    arrivals = list(world.arrivals(n_sends))[first:]
    return _compared(seed, played.truth, first, arrivals, world.expected_rewards_after(arrivals))


def _compared(seed: int, truth: Truth, first: int, arrivals: Sequence[Arrival], rewards: FloatArray) -> Hours:
    interests = np.array([str(arrival.context["interest"]) for arrival in arrivals])
    of_best = np.zeros(len(arrivals))
    for interest in np.unique(interests):
        rows = interests == interest
        of_best[rows] = rewards[rows][:, rewards[rows].mean(axis=0).argmax()]
    last = slice(first, None)
    means = [float(part.mean()) for part in (truth.uniform[last], truth.values[last], of_best, truth.best[last])]
    return Hours(seed, *means)


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float, float]:
    """Mean with its interval over seeds."""
    mean, half = float(np.mean(values)), math.nan
    if len(values) > 1:
        half = float(
            scipy.stats.t.ppf(0.5 + level / 2, len(values) - 1) * np.std(values, ddof=1) / math.sqrt(len(values))
        )
    return mean, mean - half, mean + half


EMAIL = """
[campaign]
id = "take-home"
[context.country]
kind = "categorical"
values = ["US", "UK", "FR", "ES"]
[context.purchases]
kind = "numeric"
range = [0, 22]
[reward]
window = "72h"
events = { click = 1.0 }
[[dimension]]
name = "text"
arm = [{ id = "long_email" }, { id = "short_email" }]
[[dimension]]
name = "version"
arm = [{ id = "generic" }, { id = "personalized" }]
[[dimension]]
name = "weekday"
arm = [{ id = "Monday" }, { id = "Tuesday" }, { id = "Wednesday" }, { id = "Thursday" }, { id = "Friday" },
       { id = "Saturday" }, { id = "Sunday" }]
"""


@dataclass(frozen=True, slots=True)
class Email:
    """The take-home data: picks of shape (n, 3), clicks and encoded contexts."""

    campaign: Campaign
    picks: NDArray[np.int64]
    clicks: FloatArray
    contexts: list[EncodedContext]

    @classmethod
    def read(cls, path: Path, *, is_contextual: bool) -> Email:
        """The rows; without context everybody is alike."""
        campaign = read_campaign(EMAIL)
        with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        names = ("email_text", "email_version", "weekday")
        picks = [[d.index_of(row[n]) for d, n in zip(campaign.dimensions, names, strict=True)] for row in rows]
        given: list[dict[str, ContextValue]] = [{}] * len(rows)
        if is_contextual:
            given = [{"country": row["user_country"], "purchases": float(row["user_past_purchases"])} for row in rows]
        contexts = [campaign.schema.encode(Context(one)) for one in given]
        return cls(campaign, np.array(picks), np.array([float(row["clicked"]) for row in rows]), contexts)

    def values(self, seed: int, n_rows: int) -> FloatArray:
        """Each row's share of the value of what was learned from the other half; shape (n,)."""
        order = np.random.default_rng(seed).permutation(len(self.clicks))[:n_rows]
        halves = order[: n_rows // 2], order[n_rows // 2 :]
        found = np.zeros(len(self.clicks))
        for learned, unseen in (halves, halves[::-1]):
            best = self._learned(learned)
            for row in unseen.tolist():
                if best(self.contexts[row]) == tuple(self.picks[row].tolist()):
                    found[row] = self.clicks[row] * math.prod(self.campaign.sizes)
        return found[order]

    def _learned(self, rows: NDArray[np.int64]) -> Callable[[EncodedContext], tuple[int, ...]]:
        sizes = self.campaign.sizes
        kind = learner_for(self.campaign.learner, group_policies(self.campaign)[Group.LEARNER].needs)
        learner = kind.fresh(self.campaign)
        pmfs, propensities = tuple((1 / size,) * size for size in sizes), tuple(1 / size for size in sizes)
        learner.learn_many(
            [
                TrainingRow(
                    self.contexts[row], tuple(self.picks[row].tolist()), float(self.clicks[row]),
                    (float(self.clicks[row]),), propensities, pmfs,
                )
                for row in rows.tolist()
            ]
        )  # fmt: skip
        scorer = kind.live(self.campaign, learner)
        known: dict[tuple[object, ...], tuple[int, ...]] = {}

        def best(context: EncodedContext) -> tuple[int, ...]:
            key = tuple(context.values.values())
            if key not in known:
                known[key] = _greedy(scorer, context, sizes)
            return known[key]

        return best


def _greedy(scorer: Scorer[Any], context: EncodedContext, sizes: Sequence[int]) -> tuple[int, ...]:
    """The whole choice that scores best."""
    whole: dict[tuple[int, ...], float] = {}
    for picks in product(*map(range, sizes)):
        state = scorer.start(context)
        for d, pick in enumerate(picks[:-1]):
            state = scorer.after(state, d, pick)
        whole[picks] = scorer.whole(state, len(sizes) - 1, picks[-1]) or 0.0
    return max(whole, key=lambda picks: whole[picks])


def email(path: Path, n_rows: int | None) -> dict[str, object]:
    """Value of what was learned, with its interval, and what context adds."""
    fixed, contextual = (Email.read(path, is_contextual=flag) for flag in (False, True))
    n = n_rows or len(fixed.clicks)
    values, with_context = fixed.values(SEEDS[0], n), contextual.values(SEEDS[0], n)
    logged, (value, low, high) = float(fixed.clicks.mean()), _normal(values)
    gain = _normal(with_context - values)
    found = "a contextual gain was found" if gain[1] > 0.0 else "no contextual gain was found"
    return {
        "n_rows": n, "logged": logged, "value": value, "low": low, "high": high,
        "gain_of_context": gain, "found": found,
    }  # fmt: skip


def _normal(values: FloatArray) -> tuple[float, float, float]:
    mean, half = float(values.mean()), 1.96 * float(values.std(ddof=1)) / math.sqrt(len(values))
    return mean, mean - half, mean + half


def main() -> None:
    """Measure, print, keep."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="two short campaigns and few rows, nothing kept")
    parser.add_argument("--email", type=Path, help="the take-home table, as email_takehome.csv.gz; left out without it")
    given = parser.parse_args()
    smoke = given.smoke
    seeds, n_sends = (SEEDS[:2], 1000) if smoke else (SEEDS, N_SENDS)
    found = []
    for seed in seeds:
        found.append(hours(seed, n_sends))
        print(f"seed {seed}: {found[-1].share:.1%} of what the context's oracle gains, {found[-1]}", flush=True)
    share, share_of_all = interval([one.share for one in found]), interval([one.share_of_all for one in found])
    print(
        f"of the oracle's gain {share[0]:.1%} [{share[1]:.1%}, {share[2]:.1%}]; of what nobody can see {share_of_all[0]:.1%}"
    )
    result: dict[str, object] = {
        "n_sends": n_sends, "seeds": list(seeds), "hours": [asdict(one) | {"share": one.share} for one in found],
        "share": share, "share_of_all": share_of_all,
    }  # fmt: skip
    gates = [Gate("share of the oracle's send-time gain", share[0], least=0.8)]
    if given.email:
        mail = result["email"] = email(given.email, 2000 if smoke else None)
        print(mail)
        value, low, logged = (float(str(mail[name])) for name in ("value", "low", "logged"))
        gates += [
            Gate("e-mail value", value, least=0.025),
            Gate("its lower bound above the logged mean", low - logged, least=0.0),
        ]
    if smoke:
        print("ok")
        return
    for gate in gates:
        print(f"{gate.name}: {gate.figure} {'holds' if gate.holds else 'FAILS'}")
    keep("send_slots", result | {"gates": {gate.name: gate.holds for gate in gates}})


if __name__ == "__main__":
    main()
