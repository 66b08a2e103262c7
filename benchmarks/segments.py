"""Segments of customers: how often they are found where there are none, and how often where there are some.

Run: .venv/bin/python benchmarks/segments.py

Tables of customers are drawn without structure, of eight kinds: one cloud, features that hang together, a box, waiting times,
long tails, counts, categories, and a mixture as shops have it. The whole search is made on each, as `manyarm profile --segments
learned` does; an answer with segments is a false one. Then three clouds are drawn at several distances: of those tables,
an answer with three segments that agree with the truth (adjusted Rand index above .8) is a right one. Last the time is
taken, for learning and for assigning.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pandas as pd
from gates import Gate
from scipy import stats
from sklearn.metrics import adjusted_rand_score
from timing import keep

from bandit.profile.segment_search import N_REFERENCES, SegmentSearch, learn_segments
from bandit.profile.segment_spec import LearnedSpec, SegmentSpec

SEED = 20261129
DISTANCES = (3.0, 4.0, 5.0, 6.0)
RIGHT = 0.8
Draw = Callable[[np.random.Generator, int], pd.DataFrame]


def _numbers(values: np.ndarray) -> pd.DataFrame:
    return pd.DataFrame(values, columns=[f"f{k}" for k in range(values.shape[1])])


def cloud(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return _numbers(rng.normal(size=(n, 4)))


def correlated(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return _numbers(0.8 * rng.normal(size=(n, 1)) + 0.6 * rng.normal(size=(n, 4)))


def box(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return _numbers(rng.uniform(size=(n, 2)))


def waiting(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return _numbers(rng.exponential(size=(n, 3)) * [1.0, 100.0, 0.01])


def long_tails(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return _numbers(np.exp(1.5 * rng.normal(size=(n, 3))))


def counts(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return _numbers(rng.poisson([0.5, 2.0, 8.0], size=(n, 3)))


def categories(rng: np.random.Generator, n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {"a": rng.choice(list("xyz"), n), "b": rng.choice(list("uv"), n), "c": rng.choice(list("pqrs"), n)}
    )


def shop(rng: np.random.Generator, n: int) -> pd.DataFrame:
    has_bought = rng.random(n) < 0.4
    return pd.DataFrame(
        {
            "monetary": has_bought * np.exp(3.0 + rng.normal(size=n)),
            "days": rng.exponential(30.0, size=n),
            "score": 100.0 * rng.beta(2.0, 5.0, size=n),
            "referrals": rng.poisson(0.7, size=n),
            "channel": rng.choice(["email", "push", "sms"], n, p=[0.6, 0.3, 0.1]),
        }
    )


STRUCTURELESS: tuple[Draw, ...] = (cloud, correlated, box, waiting, long_tails, counts, categories, shop)


def clouds(rng: np.random.Generator, n: int, distance: float) -> tuple[pd.DataFrame, np.ndarray]:
    """Three clouds in four features, each pair this many standard deviations apart."""
    truth = rng.integers(3, size=n)
    centres = np.eye(3, 4) * distance / np.sqrt(2.0)
    return _numbers(centres[truth] + rng.normal(size=(n, 4))), truth


@dataclass(frozen=True, slots=True)
class Size:
    """Customers of a table, and structureless tables of each kind that one is held against."""

    n_customers: int = 500
    n_references: int = N_REFERENCES


FULL, SMOKE = Size(), Size(80, 1)


def searched(table: pd.DataFrame, seed: int, n_references: int = N_REFERENCES) -> SegmentSearch:
    spec = SegmentSpec(groups={"all": tuple(table.columns)}, learned=LearnedSpec(groups=("all",), seed=seed))
    return learn_segments(table, spec, n_references=n_references)


def false_findings(draw: Draw, n_tables: int, size: Size = FULL) -> dict[str, object]:
    tables = [draw(np.random.default_rng([SEED, k]), size.n_customers) for k in range(n_tables)]
    searches = [searched(table, k, size.n_references) for k, table in enumerate(tables)]
    found = [one.segments.method for one in searches if one.segments]
    return {"tables": n_tables, "with segments": len(found), "methods": found}


def right_findings(distance: float, n_tables: int, size: Size = FULL) -> dict[str, object]:
    right, found = 0, 0
    for k in range(n_tables):
        table, truth = clouds(np.random.default_rng([SEED, 1, k]), size.n_customers, distance)
        segments = searched(table, k, size.n_references).segments
        if segments:
            found += 1
            right += adjusted_rand_score(truth, segments.assign(table)["segment"]) > RIGHT
    return {"tables": n_tables, "with segments": found, "right": right}


def timed(n_customers: int) -> dict[str, float]:
    table, _ = clouds(np.random.default_rng([SEED, 2]), n_customers, 6.0)
    started = time.perf_counter()
    segments = searched(table, 0).segments
    learned = time.perf_counter()
    if segments:
        segments.assign(table)
    return {
        "customers": n_customers,
        "learning": round(learned - started, 2),
        "assigning": round(time.perf_counter() - learned, 3),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tables", type=int, default=40, help="of each kind without structure; a quarter of it with")
    parser.add_argument(
        "--smoke", action="store_true", help="one small table of two kinds, nothing written: does it run?"
    )
    options = parser.parse_args()
    if options.smoke:
        false_findings(cloud, 1, SMOKE)
        right_findings(9.0, 1, SMOKE)
        print("ok")
        return
    without = {draw.__name__: false_findings(draw, options.tables) for draw in STRUCTURELESS}
    within = {f"{distance:g}": right_findings(distance, max(options.tables // 4, 1)) for distance in DISTANCES}
    n_false = sum(int(str(one["with segments"])) for one in without.values())
    n_tables = options.tables * len(STRUCTURELESS)
    gate = Gate("false findings", n_false, largest=float(stats.binom.ppf(0.999, n_tables, 0.05)))
    measured = {"without structure": without, "three clouds, by distance": within, "seconds": timed(50_000)}
    gates = {"false findings": n_false, "of tables": n_tables, "at most": gate.largest, "holds": gate.holds}
    keep("segments", {"seed": SEED, "customers a table": FULL.n_customers, **measured, "gate": gates})
    if not gate.holds:
        raise SystemExit(1)


if __name__ == "__main__":
    main()
