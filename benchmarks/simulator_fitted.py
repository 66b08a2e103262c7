"""A world fitted to two thirds of a real test, asked about the last third; one fitted to a log of a known world; and replays.

The real logs are Hillstrom's e-mail test of 2008 and the small Open Bandit data; where they are absent, so are their figures.
"""

from __future__ import annotations

import csv
import gzip
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from gates import Gate

from bandit import Campaign, RewardSpec, learner_for
from bandit.dimension import Arm, Dimension
from bandit.schema import CategoricalField, ContextField, NumericField, Schema
from evaluation.evaluate import conclude, tally
from evaluation.intervals import is_binary
from evaluation.log_batch import LogBatch
from evaluation.methods import Known, methods_of
from evaluation.target import FixedTarget, Rule, RulesTarget, Target, UniformTarget
from evaluation.weighing import TargetWeigher
from service.fitting import fit_rows_of
from service.foreign_log import ColumnMap, ForeignLog
from service.log_replaying import campaign_and_policy, groups_of
from service.log_source import ForeignSource
from simulator.click_world import ClickWorld
from simulator.doubly_robust_replay import DoublyRobustReplay
from simulator.email_worlds import ATTRIBUTES, email12hi
from simulator.fit_rows import FitRows
from simulator.fitted_world import FittedWorld
from simulator.fitting import fit_world
from simulator.rejection import Rejection
from simulator.world import luck

SEED = 20_261_128
DATA = Path(__file__).parents[2] / "shared" / "data"
HILLSTROM, OPEN_BANDIT = DATA / "hillstrom.dev.csv.gz", DATA / "obd_all_random.csv.gz"
CONTEXT = ("recency", "history", "mens", "womens", "zip_code", "newbie", "channel")
MENS, WOMENS, NONE = "Mens E-Mail", "Womens E-Mail", "No E-Mail"
REWARDS = ("visit", "conversion", "spend")
CLOSE = 2.0
"""Standard errors of SNIPS on rows that the fit has not seen."""
N_LOGGED = 30_000
TRULY_BEST = "truly best for each customer"


def fitted(*, smoke: bool) -> dict[str, Any]:
    """All figures."""
    found: dict[str, Any] = {"seed": SEED, "known world": known(1_000 if smoke else N_LOGGED)}
    if HILLSTROM.is_file():
        most = 1_000 if smoke else None
        found["hillstrom"] = {reward: held_out(reward, most) for reward in REWARDS[: 1 if smoke else None]}
        found["replay"] = {"hillstrom": replays(_mapped(HILLSTROM, "visit"), most)}
    if OPEN_BANDIT.is_file() and not smoke:
        columns = ColumnMap("item_id", "click", "0.0125", ("position", "user_feature_0", "user_feature_1"))
        found["replay"]["open bandit"] = replays(ForeignLog.read(OPEN_BANDIT, columns), None)
    return found


def gates_of_fitted(found: dict[str, Any]) -> list[Gate]:
    """Visits within two standard errors; a known world's policies within 10 %; replays no less exact than by rejection.

    What the truly best choice for each customer earns cannot be held to that: the log does not show who that is, and a
    ridge says less than is true rather than more. Neither can one arm of eighty with a click or two.
    """
    gates = [
        Gate(f"hillstrom visit: {name}, standard errors from SNIPS", one["apart"], -CLOSE, CLOSE)
        for name, one in found.get("hillstrom", {}).get("visit", {}).get("policies", {}).items()
    ]
    for name, one in found["known world"]["policies"].items():
        if name != TRULY_BEST:
            gates.append(Gate(f"known world: {name}, relative error", one["relative_error"], -0.1, 0.1))
    for log, policies in found.get("replay", {}).items():
        gates.append(
            Gate(f"{log}: uniform, doubly robust error / rejection's", policies["uniform"]["ratio"], largest=0.7)
        )
        gates.append(
            Gate(f"{log}: squarecb, doubly robust error / rejection's", policies["squarecb"]["ratio"], largest=1)
        )
    return gates


def held_out(reward: str, most: int | None) -> dict[str, Any]:
    """Fit to the first two thirds of the file; hold against SNIPS on the rest."""
    with tempfile.TemporaryDirectory() as folder:
        earlier, later = _split(HILLSTROM, Path(folder), most)
        start = time.perf_counter()
        rows, campaign = fit_rows_of(ForeignSource(_mapped(earlier, reward)))
        world = fit_world(rows, campaign, seed=SEED)
        seconds = time.perf_counter() - start
        batches = list(ForeignSource(_mapped(later, reward)).batches())
    contexts = [context for batch in batches for context in batch.contexts()]
    predicted = world.expected_rewards(contexts)
    return {
        "n_fitted": len(rows),
        "n_held_out": len(contexts),
        "seconds": round(seconds, 1),
        "types": _types(world),
        "policies": {name: _apart(world, target, predicted, batches) for name, target in _policies(batches[0]).items()},
    }


def _policies(batch: LogBatch) -> dict[str, Target]:
    pick = {arm: batch.layout.picks_of({"segment": arm}) for arm in (MENS, WOMENS, NONE)}
    rules = (Rule({"womens": (1,), "mens": (0,)}, pick[WOMENS]), Rule({}, pick[MENS]))
    return {
        "Mens always": FixedTarget(pick[MENS], "mens"),
        "Womens always": FixedTarget(pick[WOMENS], "womens"),
        "None always": FixedTarget(pick[NONE], "none"),
        "Womens to those who only bought womens'": RulesTarget(rules, "rules"),
        "uniform": UniformTarget(),
    }


def _apart(world: FittedWorld, target: Target, predicted: np.ndarray, batches: Sequence[LogBatch]) -> dict[str, float]:
    """The world's value of a target on some contexts, beside what the rows say."""
    methods = methods_of(("snips",))
    rewards = np.concatenate([batch.rewards for batch in batches])
    answer = conclude(tally(batches, methods, TargetWeigher(target)), methods, Known(is_binary(rewards)), "target")
    one = answer.answer.estimates["snips"]
    pmf = np.concatenate([target.pmfs(batch)[0] for batch in batches])
    order = [batches[0].layout.arms[0].index(arm) for arm in world.choices.dimensions["segment"]]
    value = float((pmf[:, order] * predicted).sum(axis=1).mean())
    return {
        "world": round(value, 5), "snips": round(one.value, 5), "se": round(one.se or 0.0, 5),
        "apart": round((value - one.value) / (one.se or np.nan), 2),
    }  # fmt: skip


def _types(world: FittedWorld) -> dict[str, Any]:
    return {
        one.name: {
            "n_events": one.n_events,
            "strengths": {part.name.lower(): strength for part, strength in one.strengths.items()},
            "slope": round(one.reliability.slope, 2),
            "tenths_within_limits": one.reliability.n_agreeing,
            "log_loss": round(one.reliability.log_loss, 5),
            "base_log_loss": round(one.reliability.base_log_loss, 5),
        }
        for one in world.evidence.types
    }


def _mapped(path: Path, reward: str) -> ForeignLog:
    return ForeignLog.read(path, ColumnMap("segment", reward, "0.3333333333333333", CONTEXT))


def _split(path: Path, folder: Path, most: int | None) -> tuple[Path, Path]:
    """The first two thirds of a table's rows and the last third, as files."""
    with gzip.open(path, "rt", encoding="utf-8", newline="") as file:
        header, *lines = islice(csv.reader(file), None if most is None else most + 1)
    cut = 2 * len(lines) // 3
    for name, some in (("earlier.csv", lines[:cut]), ("later.csv", lines[cut:])):
        with (folder / name).open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([header, *some])
    return folder / "earlier.csv", folder / "later.csv"


def known(n: int) -> dict[str, Any]:
    """Fit to a log of `email12hi`, half of it random and half sent to what a stale favourite of each customer was."""
    truth = email12hi(SEED, n)
    campaign = _campaign(tuple(truth.choices.dimensions["subject"]))
    rows = _logged(truth, campaign, n)
    start = time.perf_counter()
    world = fit_world(rows, campaign, seed=SEED)
    seconds = time.perf_counter() - start
    fresh = email12hi(SEED + 1, 5_000).contexts
    true, ours = truth.expected_rewards(fresh), world.expected_rewards(fresh)
    means = true.mean(axis=0)
    picks = {
        "best constant": np.full(len(fresh), means.argmax()),
        "worst constant": np.full(len(fresh), means.argmin()),
        TRULY_BEST: true.argmax(axis=1),
        "the fit's best for each customer": ours.argmax(axis=1),
        "by device": np.array([{"1": 0, "2": 4, "3": 8}[str(one["device"])[-1]] for one in fresh]),
    }
    at = np.arange(len(fresh))
    values = {name: (float(true[at, pick].mean()), float(ours[at, pick].mean())) for name, pick in picks.items()}
    values["uniform"] = float(true.mean()), float(ours.mean())
    reached = values["the fit's best for each customer"][0]
    best = values[TRULY_BEST][0]
    return {
        "n": n,
        "n_clicks": int(rows.labels.sum()),
        "seconds": round(seconds, 1),
        "types": _types(world),
        "gap_of_the_fits_best": round((reached - values["uniform"][0]) / (best - values["uniform"][0]), 3),
        "policies": {
            name: {"truth": round(one, 5), "world": round(other, 5), "relative_error": round(other / one - 1.0, 4)}
            for name, (one, other) in values.items()
        },
    }


def _campaign(arms: tuple[str, ...]) -> Campaign:
    fields: list[ContextField] = [CategoricalField(name, values) for name, values in ATTRIBUTES.categories.items()]
    fields += [NumericField(name, low, high) for name, (low, high) in ATTRIBUTES.ranges.items()]
    reward = RewardSpec(timedelta(hours=1), {"click": 1.0})
    return Campaign("known", Schema(tuple(fields)), (Dimension("subject", tuple(map(Arm, arms))),), reward)


def _logged(truth: ClickWorld, campaign: Campaign, n: int) -> FitRows:
    """Rows drawn half evenly, half for the customer's favourite of another world: propensities depend on the context."""
    contexts = [arrival.context for arrival in truth.arrivals(n)]
    arms = campaign.dimensions[0].ids
    pmf = np.full((n, len(arms)), 0.5 / len(arms))
    pmf[np.arange(n), email12hi(SEED + 2, 10).expected_rewards(contexts).argmax(axis=1)] += 0.5
    drawn = np.array([luck(SEED, f"d{i}", "logged", 1)[0] for i in range(n)])
    picks = (pmf.cumsum(axis=1) < drawn[:, None]).sum(axis=1).clip(max=len(arms) - 1)
    arrivals = truth.arrivals(n)
    clicked = [
        bool(truth.react(arrival, {"subject": arms[pick]}, decision_id=f"d{i}"))
        for i, (arrival, pick) in enumerate(zip(arrivals, picks, strict=True))
    ]
    return FitRows(
        truth.choices, contexts, picks[:, None], pmf[np.arange(n), picks], np.array(clicked, dtype=np.float64)[:, None],
        ("click",), (1.0,), [f"c{i}" for i in range(n)],
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Life:
    """What one replay said."""

    value: float
    se: float
    n_lived: int


def replays(log: ForeignLog, most: int | None) -> dict[str, Any]:
    """Doubly robust replay beside rejection on the same log, with the same readiness to accept rows."""
    every, campaign = fit_rows_of(ForeignSource(log))
    rows = every.only(slice(most))
    world = fit_world(rows, campaign, seed=SEED)
    kept = np.arange(len(rows))
    predicted = world.out_of_fold_rewards(kept)
    logged = list(islice(log.rows(), most))
    counts = np.bincount(rows.picks[:, 0])
    names = {"uniform": "uniform", "most sent arm": f"fixed:{log.arms[int(counts.argmax())]}", "squarecb": "squarecb"}
    found = {}
    for label, name in names.items():
        chosen, policy = campaign_and_policy(log, name, 0.05)
        kind = learner_for(chosen.learner, policy.needs)
        robust = DoublyRobustReplay(chosen, groups_of(policy), kind, SEED, log.least_propensity).replay(
            logged, predicted
        )
        kept_rewards = np.array(
            Rejection(chosen, groups_of(policy), kind, log.least_propensity, SEED).replay(logged).rewards
        )
        plain = _Life(
            float(kept_rewards.mean()), float(kept_rewards.std() / len(kept_rewards) ** 0.5), len(kept_rewards)
        )
        found[label] = _beside(_Life(robust.value, robust.se, robust.n_accepted), plain)
    return found


def _beside(robust: _Life, plain: _Life) -> dict[str, Any]:
    return {
        "doubly_robust": {"value": round(robust.value, 5), "se": round(robust.se, 5), "n_lived": robust.n_lived},
        "rejection": {"value": round(plain.value, 5), "se": round(plain.se, 5), "n_lived": plain.n_lived},
        "ratio": round(robust.se / plain.se, 3) if plain.se else None,
    }
