"""Rankings: do they learn whom to show what, and what does one cost?

Run: .venv/bin/python benchmarks/personalizer.py

- learning: somebody has one of three tiers, and for each tier one of five actions is better than the others, which the
  features do not say. An event in a hundred is learned from at a time. Beside it, fed with the same people and the same
  luck: Vowpal Wabbit with the learning settings that Azure Personalizer began with.
- speed: one `RankingEngine.rank` beside Vowpal Wabbit's own `predict(list of text lines)` of the same features.
"""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from datetime import UTC, datetime

import numpy as np
from timing import in_turns, keep, ratio
from vowpalwabbit import pyvw

from bandit.campaign import PolicySpec
from bandit.draw import draw
from bandit.ranking import RankingEngine, ServedRanking
from bandit.ranking_learner import MaturedRanking, RankingModel, train_rankings
from bandit.ranking_request import Action, RankingRequest
from bandit.ranking_rules import RankingRules
from policies import Uniform, policy_of

AT = datetime(2026, 1, 1, tzinfo=UTC)
TIERS, DEVICES = ("gold", "silver", "new"), ("phone", "desktop")
ACTIONS = (
    ("welcome", "soft", 5),
    ("vip", "fancy", 50),
    ("discount", "cheap", 2),
    ("news", "soft", 0),
    ("invite", "cheap", 9),
)
BEST = {"gold": 1, "silver": 2, "new": 0}
BEGAN_WITH = "--cb_explore_adf --epsilon 0.2 --power_t 0 -l 0.001 --cb_type mtr -q ::"
"""Azure Personalizer's first learning settings, as its portal showed them."""
WORLDS = {"rare": (0.03, 0.09, 8000), "common": (0.1, 0.4, 4000), "certain": (0.0, 1.0, 1000)}
"""Reward rate of the wrong actions and of the right one, and how many events."""
AT_ONCE = 100


def request(number: int, rng: np.random.Generator) -> RankingRequest:
    """Somebody, and the five actions."""
    user = {"tier": TIERS[rng.integers(3)], "device": DEVICES[rng.integers(2)], "age": int(rng.integers(18, 80))}
    context = ({"user": user}, {"hour": int(rng.integers(24)), "weekend": bool(rng.integers(2))})
    actions = tuple(Action(name, ({"tone": tone, "price": price},)) for name, tone, price in ACTIONS)
    return RankingRequest(f"e{number}", actions, context)


def ours(policy: str) -> Callable[[list[MaturedRanking]], Callable[[RankingRequest], int]]:
    """Learns from a hundred events, and says how to draw the next ones."""
    rules = RankingRules(policy=policy)
    engine = RankingEngine("bench", rules, policy_of(PolicySpec(policy, rules.floor)), Uniform(), salt=b"salt")
    snapshot = None

    def learn(rows: list[MaturedRanking]) -> Callable[[RankingRequest], int]:
        nonlocal snapshot
        snapshot = train_rankings("bench", snapshot, rows) if rows else None
        served = ServedRanking("r", RankingModel("bench", snapshot)) if snapshot else None
        return lambda asked: engine.serving(served).rank(asked, at=AT).chosen

    return learn


def theirs(rng: np.random.Generator) -> Callable[[list[MaturedRanking]], Callable[[RankingRequest], int]]:
    """Vowpal Wabbit's explorer on the same features."""
    vw = pyvw.Workspace(f"{BEGAN_WITH} --quiet")
    drawn: dict[str, float] = {}

    def learn(rows: list[MaturedRanking]) -> Callable[[RankingRequest], int]:
        for row in rows:
            lines = text_of(row.request)
            lines[1 + row.chosen] = f"0:{-row.reward}:{drawn[row.request.event_id]} " + lines[1 + row.chosen]
            vw.learn(lines)

        def choose(asked: RankingRequest) -> int:
            pmf = np.array(vw.predict(text_of(asked)))
            pmf /= pmf.sum()
            chosen = draw(pmf.tolist(), float(rng.random()))
            drawn[asked.event_id] = float(pmf[chosen])
            return chosen

        return choose

    return learn


def text_of(asked: RankingRequest) -> list[str]:
    """The same features as Vowpal Wabbit's text; the names are ours, so that nothing can break out of its place."""
    lines = ["shared |C " + " ".join(f"{_plain(name)}:{value}" for name, value in asked.features.context)]
    for action, features in zip(asked.actions, asked.features.actions, strict=True):
        named = " ".join(f"{_plain(name)}:{value}" for name, value in features)
        lines.append(f"|A {named} |I {action.id}")
    return lines


def _plain(name: str) -> str:
    return "".join(char if char.isalnum() else "_" for char in name)


def play(job: tuple[str, str, int]) -> tuple[str, str, float]:
    """Share of right actions in the last quarter of one world under one contestant."""
    world, contestant, seed = job
    low, high, n_events = WORLDS[world]
    rng, luck = np.random.default_rng(seed), np.random.default_rng(seed + 1000)
    learn = theirs(np.random.default_rng(seed + 2000)) if contestant == "began with" else ours(contestant)
    rows: list[MaturedRanking] = []
    choose, right = learn([]), []
    for number in range(n_events):
        asked = request(number + seed * n_events, rng)
        chosen = choose(asked)
        right.append(BEST[asked.context[0]["user"]["tier"]] == chosen)
        reward = float(luck.random() < (high if right[-1] else low))
        rows.append(MaturedRanking(number + 1, asked, chosen, "learner", reward))
        if len(rows) == AT_ONCE:
            choose, rows = learn(rows), []
    return world, contestant, float(np.mean(right[-n_events // 4 :]))


def learning(n_seeds: int) -> dict[str, dict[str, tuple[float, float]]]:
    """Mean and standard error of that share, for each world and contestant."""
    contestants = ("squarecb", "epsilon-greedy", "began with")
    jobs = [(world, one, seed) for world in WORLDS for one in contestants for seed in range(n_seeds)]
    found: dict[str, dict[str, list[float]]] = {world: {one: [] for one in contestants} for world in WORLDS}
    with ProcessPoolExecutor(2) as pool:
        for world, one, share in pool.map(play, jobs):
            found[world][one].append(share)
    return {
        world: {one: (float(np.mean(x)), float(np.std(x, ddof=1) / len(x) ** 0.5)) for one, x in by.items()}
        for world, by in found.items()
    }


def speed(n_actions: int, rounds: int) -> object:
    """Time of one ranking beside one prediction of Vowpal Wabbit from text, ten context features."""
    rng = np.random.default_rng(0)
    actions = tuple(Action(f"a{k}", ({"tone": f"t{k % 5}", "price": k, "new": True},)) for k in range(n_actions))
    asked = [
        RankingRequest(f"e{i}", actions, ({f"f{k}": f"v{rng.integers(4)}" for k in range(10)},)) for i in range(100)
    ]
    rows = [MaturedRanking(i + 1, one, i % n_actions, "learner", float(i % 7 == 0)) for i, one in enumerate(asked)]
    served = ServedRanking("r", RankingModel("bench", train_rankings("bench", None, rows)))
    rules = RankingRules()
    engine = RankingEngine("bench", rules, policy_of(PolicySpec("squarecb", 0.2)), Uniform(), b"salt", served)
    vw = pyvw.Workspace(f"{BEGAN_WITH} --quiet")
    ours_turn, text_turn = itertools.cycle(asked), itertools.cycle([text_of(one) for one in asked])

    def rank() -> object:
        one = next(ours_turn)
        return engine.rank(RankingRequest(one.event_id, one.actions, one.context), at=AT)

    times = in_turns({"rank": rank, "vw": lambda: vw.predict(next(text_turn))}, rounds=rounds)
    return ratio(times, "rank", "vw")


def main() -> None:
    """Both parts; results are kept in benchmarks/results/personalizer.json."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--rounds", type=int, default=15)
    options = parser.parse_args()
    ceiling = 1.0 - RankingRules().floor * (1.0 - 1.0 / len(ACTIONS))
    learned = learning(options.seeds)
    for world, by in learned.items():
        found = ", ".join(f"{one} {mean:.3f} ({error:.3f})" for one, (mean, error) in by.items())
        print(f"{world}: right actions in the last quarter: {found}; at random 0.200, the floor leaves {ceiling:.2f}")
    ratios = {f"{k} actions": speed(k, options.rounds) for k in (5, 50)}
    for name, found in ratios.items():
        print(f"{name}: rank / VW's predict from text: {found}")
    keep("personalizer", {"seeds": options.seeds, "learning": learned, "speed": ratios})


if __name__ == "__main__":
    main()
