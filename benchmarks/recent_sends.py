"""What a cost of recent messages does: who is left in peace, and what a send earns once the wear is paid for.

Run: .venv/bin/python benchmarks/recent_sends.py [--smoke]

A campaign of three subject lines and an arm that sends nothing, rewarded by clicks, is played in the world "steady" of
`simulator.scenarios` until 6,000 sends were asked for; each message of the 14 days before costs .01. Three decide, each with a
fifth of the customers at random: the learner that knows of the cost, the same learner without the key, and the random policy. Of
the last half of the learner's own sends, by how many messages a customer had got lately, the share that stays unsent is
counted; the exact expected rewards, less the cost of what was sent, are compared.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import scipy.stats
from numpy.typing import NDArray
from timing import keep

from bandit import Campaign, Engine, read_campaign
from bandit.group import Group
from bandit.recent_sends import RecentSendCost
from bandit.wear_out import PastSend
from policies import group_policies
from simulator.replay import replay
from simulator.replayed import ReplayedStage
from simulator.scenarios import SCENARIOS

SEEDS = (21, 22, 23, 24, 25)
N_SENDS, STEP = 6_000, timedelta(days=1)
SPEC = RecentSendCost(0.01, timedelta(days=14))
CAMPAIGN = """
[campaign]
id = "peace"
[context.level]
kind = "categorical"
values = ["low", "mid", "high"]
[reward]
window = "24h"
events = { click = 1.0 }
{recent_send}
[groups]
random = 0.2
[policy]
name = "{policy}"
[[dimension]]
name = "subject"
arm = [{ id = "plain" }, { id = "champion" }, { id = "dominate" }, { id = "no_send", no_send = true }]
"""
DECIDERS = {
    "learner that knows the cost": ('recent_send = { cost = 0.01, within = "14d" }', "squarecb"),
    "learner without it": ("", "squarecb"),
    "random": ("", "uniform"),
}


@dataclass(frozen=True, slots=True)
class Judged:
    """The learner's own sends in the last half of a campaign, shape (n,) each.

    Attributes:
        recent: messages that the customer had got lately.
        silent: whether nothing was sent.
        net: exact expected reward, less the cost.
    """

    recent: NDArray[np.int64]
    silent: NDArray[np.bool_]
    net: NDArray[np.float64]


def campaign_of(name: str) -> Campaign:
    """The campaign as one of them runs it."""
    recent_send, policy = DECIDERS[name]
    return read_campaign(CAMPAIGN.replace("{recent_send}", recent_send).replace("{policy}", policy))


def counted(stage: ReplayedStage) -> list[int]:
    """Messages that each customer had got lately, whether the campaign counts them or not."""
    got: dict[str, list[PastSend]] = {}
    found = []
    for arrival, picks in zip(stage.arrivals, stage.picks.tolist(), strict=True):
        past = got.setdefault(arrival.customer_id, [])
        found.append(SPEC.count(stage.campaign.dimensions, past, arrival.at))
        past.append(PastSend(arrival.at, stage.campaign.choice_of(picks)))
    return found


def judged(name: str, seed: int, n_sends: int) -> Judged:
    """Play one campaign to its end."""
    stages = SCENARIOS["steady"].stages(campaign_of(name), seed, n_sends)
    engines = [Engine(one.campaign, group_policies(one.campaign), b"salt", b"secret") for one in stages]
    (stage,) = replay(stages, engines, step=STEP).stages
    recent = np.array(counted(stage))
    silent = stage.picks[:, 0] == stage.campaign.dimensions[0].index_of("no_send")
    cost = np.zeros(n_sends) if stage.campaign.reward.recent_send else SPEC.cost * np.where(silent, 0, recent)
    last = (np.arange(n_sends) >= n_sends // 2) & (stage.groups == Group.LEARNER.value)
    return Judged(recent[last], silent[last], (stage.truth.values - cost)[last])


def mean_of(values: list[float]) -> dict[str, float]:
    """Mean over the seeds, with Student's interval."""
    mean = float(np.mean(values))
    half = float(scipy.stats.sem(values) * scipy.stats.t.ppf(0.975, len(values) - 1)) if len(values) > 1 else 0.0
    return {"mean": round(mean, 5), "lower": round(mean - half, 5), "upper": round(mean + half, 5)}


def measured(seeds: tuple[int, ...], n_sends: int) -> dict[str, Any]:
    """All campaigns with all seeds."""
    found: dict[str, Any] = {}
    for name in DECIDERS:
        runs = [judged(name, seed, n_sends) for seed in seeds]
        recent, silent = (np.concatenate([getattr(run, part) for run in runs]) for part in ("recent", "silent"))
        found[name] = {
            "earned a send, cost paid": mean_of([float(run.net.mean()) for run in runs]),
            "unsent by recent messages": {
                str(k): {"share": round(float(silent[recent == k].mean()), 3), "sends": int((recent == k).sum())}
                for k in sorted(set(recent.tolist()))
            },
        }
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few sends, nothing written: does it run?")
    options = parser.parse_args()
    if options.smoke:
        print(measured(SEEDS[:1], 200), "ok")
        return
    keep("recent_sends", {"seeds": SEEDS, "sends": N_SENDS, "deciders": measured(SEEDS, N_SENDS)})


if __name__ == "__main__":
    main()
