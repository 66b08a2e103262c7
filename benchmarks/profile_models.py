"""Models of customers on histories whose truth is known: are chances calibrated in every decile, in the order of time?

Run: .venv/bin/python benchmarks/profile_models.py

Models are made from what happened before a day, and held against what happened after it (and against the true chances, which
the simulated world knows). Two worlds: in one few customers lapse, in the other a third of them have lapsed unseen. Of each
decile of the chances that were given there stand the mean chance, the share that came true with its exact .95 interval, its
binomial noise (one standard deviation as a share of the mean chance), the mean true chance, and the error of each seed's own
decile against it: models are made anew for each, and so differ.

"Within 10 %": mean chance / observed share - 1 is within .10 in every decile, the customers of all seeds together. A decile
whose noise is above .05 cannot be told from one that is right, or wrong, by .10: there the mean true chance, which has no
such noise, is what the mean chance is held against. The world where many lapse has deciles with chances of one in a thousand;
it is reported, and its gate is on deciles with a true chance of .01 and more.
"""

from __future__ import annotations

import argparse
import time
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from gates import Gate
from numpy.typing import NDArray
from scipy import stats
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.metrics import log_loss
from threadpoolctl import threadpool_limits
from timing import keep

from bandit.arrays import BoolArray, FloatArray
from bandit.profile.customer_models import PURCHASE, VALUE, CustomerModels, fit_customer_models
from bandit.profile.customer_value import spending_at
from bandit.profile.history import History
from bandit.profile.judgement import Judgement
from bandit.profile.models_spec import ModelsSpec
from bandit.profile.next_purchase import NEXT_PURCHASE
from bandit.profile.occurrences import occurrences_of, origins_before
from bandit.profile.spec import ProfileSpec
from simulator.customer_histories import BEGIN, Histories, customer_histories

SEEDS = (1, 2, 3)
WORLDS = {"few lapse": 1500.0, "many lapse": 250.0}
DAYS, NOW, HORIZON = 400, 370, 30
MOST_NOISE, MOST_ERROR, LEAST_CHANCE = 0.05, 0.10, 0.01


class Seen:
    """Chances given, what came true, and the true chances, of all seeds."""

    def __init__(self) -> None:
        self.chances: list[FloatArray] = []
        self.happened: list[BoolArray] = []
        self.truths: list[FloatArray] = []

    def add(self, chances: FloatArray, happened: BoolArray, truths: FloatArray) -> None:
        """What one seed gave."""
        self.chances.append(chances)
        self.happened.append(happened)
        self.truths.append(truths)

    def deciles(self) -> list[dict[str, Any]]:
        """Ten rows, from the lowest chances on."""
        given, came, true = (np.concatenate(one) for one in (self.chances, self.happened, self.truths))
        rows = [decile(given[part], came[part], true[part]) for part in tenths(given)]
        by_seed = [
            [error_in(given[part], true[part]) for part in tenths(given)]
            for given, true in zip(self.chances, self.truths, strict=True)
        ]
        return [{**row, "errors against truth, by seed": errors} for row, *errors in zip(rows, *by_seed, strict=True)]


def tenths(chances: FloatArray) -> list[NDArray[np.intp]]:
    """Places of customers, from the lowest chances on, in ten parts."""
    return np.array_split(np.argsort(chances, kind="stable"), 10)


def error_in(chances: FloatArray, truths: FloatArray) -> float | None:
    """Mean chance over mean true chance, less 1; None where nothing is true."""
    return float(chances.mean() / truths.mean() - 1.0) if truths.any() else None


def decile(chances: FloatArray, happened: BoolArray, truths: FloatArray) -> dict[str, Any]:
    """One row of the table."""
    given, came, true = float(chances.mean()), float(happened.mean()), float(truths.mean())
    noise = float(np.sqrt((truths * (1.0 - truths)).sum()) / len(truths) / max(true, 1e-12))
    by_observed = given / came - 1.0 if came else None
    by_truth = error_in(chances, truths)
    ends = stats.binomtest(int(happened.sum()), len(happened)).proportion_ci(0.95, "exact")
    return {
        "customers": len(chances), "came true": int(happened.sum()), "given": given, "observed": came,
        "observed, .95 interval": [float(ends.low), float(ends.high)], "true": true, "noise": noise,
        "error against observed": by_observed, "error against truth": by_truth,
        "error": by_observed if noise <= MOST_NOISE else by_truth,
    }  # fmt: skip


def measured(histories: Histories, seed: int, seen: Seen) -> dict[str, Any]:
    """Make models of one world as of a day, and hold them against what came."""
    now = BEGIN + timedelta(days=NOW)
    spec = ModelsSpec(value=HORIZON, seed=seed)
    whole = History(histories.events, ProfileSpec(), spec)
    past = whole.before(now)
    started = time.perf_counter()
    models = fit_customer_models(past, now)
    made = time.perf_counter()
    features = models.features_at(past, now)
    spending = spending_at(past.purchases, past.born, now)
    numbers = models.numbers_of(features, spending)
    told = time.perf_counter()
    customers = pd.Index(features.index, dtype=object)
    places = pd.Index(histories.ids).get_indexer(customers)
    bought = whole.purchases.within(customers, now, HORIZON)
    found: dict[str, Any] = {
        "refused": dict(models.refusals),
        "seconds": {"making": made - started, "telling": told - made},
    }
    if models.purchase is None:
        return found
    chances = numbers[PURCHASE].to_numpy()
    seen.add(chances, bought, histories.chances(now, HORIZON)[places])
    peer = unrestricted(models, past, features, seed)
    found |= {
        "base rate": float(bought.mean()),
        "form": models.purchase.form,
        "losses by which the form was taken": dict(models.purchase.losses),
        "calibration": models.purchase.calibration.method,
        "log loss": float(log_loss(bought, chances)),
        "log loss of the base rate": float(log_loss(bought, np.full(len(bought), bought.mean()))),
        "log loss of boosting with interactions": float(log_loss(bought, peer)),
        "log loss of the truth": float(
            log_loss(bought, np.clip(histories.chances(now, HORIZON)[places], 1e-9, 1 - 1e-9))
        ),
        "others": {name: others(one) for name, one in models.judgements.items() if name != PURCHASE},
    }
    return found | {
        "value": value_of(histories, numbers, whole, now, places),
        "times": times_of(numbers, whole, customers, now),
    }


def others(judgement: Judgement) -> dict[str, float]:
    """How the other chances were judged when they were made."""
    return {
        "log loss": judgement.log_loss,
        "log loss of the base rate": judgement.base_log_loss,
        "auc": judgement.auc,
        "largest difference in a decile": max(abs(one.expected - one.observed) for one in judgement.bins),
    }


def value_of(
    histories: Histories, numbers: pd.DataFrame, whole: History, now: datetime, places: NDArray[np.intp]
) -> dict[str, float]:
    """Expected spend beside what was spent."""
    events = whole.events
    later = events[
        events["type"].isin(["purchase"]) & (events["at"] >= now) & (events["at"] < now + timedelta(days=HORIZON))
    ]
    spent = later.groupby("customer_id", observed=True)["value"].sum().reindex(numbers.index.astype(object)).fillna(0.0)
    amounts = spent.to_numpy()
    inside = (amounts >= numbers[f"{VALUE}_lower"] - 1e-9) & (amounts <= numbers[f"{VALUE}_upper"] + 1e-9)
    true = histories.spends(now, HORIZON)[places]
    return {
        "mean given": float(numbers[VALUE].mean()),
        "mean spent": float(amounts.mean()),
        "mean true": float(true.mean()),
        "correlation with the truth": float(np.corrcoef(numbers[VALUE], true)[0, 1]),
        "within the .8 interval": float(inside.mean()),
    }


def times_of(numbers: pd.DataFrame, whole: History, customers: pd.Index, now: datetime) -> dict[str, float]:
    """Of customers whose median can be checked by now: the share who bought before it, which should be one half."""
    medians = numbers[NEXT_PURCHASE].to_numpy()
    checked = np.nan_to_num(medians, nan=np.inf) <= HORIZON
    first = whole.purchases.first_after(customers, now)
    return {
        "customers": int(checked.sum()),
        "bought before the median": float((first[checked] < medians[checked]).mean()),
    }


def unrestricted(models: CustomerModels, past: History, features: pd.DataFrame, seed: int) -> FloatArray:
    """Chances of boosted trees that may look at several features: what a sum of shapes costs."""
    now = BEGIN + timedelta(days=NOW)
    history = past.sampled()
    origins = origins_before(now, HORIZON, history.events["at"].min().to_pydatetime())
    tables = [models.features_at(history, origin) for origin in origins]
    purchases = occurrences_of(history.events, ["purchase"])
    happened = np.concatenate(
        [purchases.within(pd.Index(t.index, dtype=object), o, HORIZON) for t, o in zip(tables, origins, strict=True)]
    )
    rows = pd.concat(tables).select_dtypes("number").dropna(axis=1, how="all")
    trees = HistGradientBoostingClassifier(
        max_iter=150,
        learning_rate=0.06,
        max_leaf_nodes=15,
        min_samples_leaf=100,
        random_state=seed,
        early_stopping=False,
    )
    with threadpool_limits(limits=1):
        found: FloatArray = trees.fit(rows, happened).predict_proba(features[rows.columns])[:, 1]
    return found


def gates(name: str, deciles: list[dict[str, Any]]) -> list[Gate]:
    """Every decile within 10 %; where many lapse, those whose chance is worth a name."""
    found = []
    for number, one in enumerate(deciles, 1):
        if name == "few lapse" or one["true"] >= LEAST_CHANCE:
            found.append(Gate(f"{name}: decile {number}, error", one["error"], -MOST_ERROR, MOST_ERROR))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--customers", type=int, default=20_000)
    parser.add_argument("--smoke", action="store_true", help="few customers, nothing written: does it run?")
    options = parser.parse_args()
    n_customers, seeds = (1200, SEEDS[:1]) if options.smoke else (options.customers, SEEDS)
    worlds = dict(list(WORLDS.items())[:1]) if options.smoke else WORLDS
    document: dict[str, Any] = {"seeds": list(seeds), "customers": n_customers, "horizon": HORIZON, "worlds": {}}
    all_gates = []
    for name, stays_for in worlds.items():
        seen = Seen()
        made = {}
        for seed in seeds:
            histories = customer_histories(n_customers, days=DAYS, seed=seed, stays_for=stays_for)
            made[f"seed {seed}"] = measured(histories, seed, seen)
        deciles = seen.deciles()
        all_gates += gates(name, deciles)
        document["worlds"][name] = {"deciles": deciles, **made}
    document["gates"] = [{"gate": one.name, "figure": one.figure, "holds": one.holds} for one in all_gates]
    if options.smoke:
        print("ok")
        return
    keep("profile_models", document)
    broken = [one for one in all_gates if not one.holds]
    for one in broken:
        print(f"BROKEN: {one.name} {one.figure}")
    raise SystemExit(1 if broken else 0)


if __name__ == "__main__":
    main()
