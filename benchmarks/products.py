"""Whether lists made for a customer hold more of what they take next than the popular products do.

Run: .venv/bin/python benchmarks/products.py

Simulated shops with known tastes. Each product has a place in a space of tastes, near those of its category, a name made of
words of its category, and a popularity of its own; each customer likes products by the angle between their place and the
product's. Everybody's events of 60 days make the lists, and choose the mix of sources (on the last quarter of them); what a
customer buys in the 30 days after them, and had not bought before, is what the lists are held against (a split by time, never
by chance). The same customers get the popular products, what they bought left out as well, so that differences are of the
same people. In the shop without structure everybody draws from the same popularity, and nothing can beat it: lists that did
would be a fault of the measurement.
"""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime, timedelta

import numpy as np
import pandas as pd
from gates import Gate
from timing import keep

from bandit.products.candidates import COLLABORATIVE, CONTENT, SOURCES, CandidateOptions, candidates_of
from bandit.products.catalogue import Catalogue, Product
from bandit.products.interactions import Interactions, summed, usable_events
from bandit.products.mix_choice import choose_mix, taken_after
from bandit.products.popular import popularity
from bandit.products.ranking_quality import quality_of

SEEDS = (11, 12, 13, 14, 15)
K = 5
BEGIN = datetime(2026, 6, 1, tzinfo=UTC)
SPLIT, END = BEGIN + timedelta(days=60), BEGIN + timedelta(days=90)
MEASURES = ("precision", "recall", "average precision")
CHOSEN = "chosen"
FIXED = {"usual": SOURCES, "collaborative": {COLLABORATIVE: 1.0}, "content": {CONTENT: 1.0}}


@dataclass(frozen=True, slots=True)
class Shop:
    """A simulated shop.

    Attributes:
        taste: how much tastes say; 0 is a shop without structure.
        n_customers, n_products, n_categories: how many.
        n_events: a customer's mean number of events in 90 days.
        n_directions: of the space of tastes.
    """

    taste: float
    n_customers: int = 4000
    n_products: int = 300
    n_categories: int = 12
    n_events: float = 20.0
    n_directions: int = 8


SHOPS = {"tastes": Shop(3.0), "weak tastes": Shop(1.0), "no structure": Shop(0.0)}


@dataclass(frozen=True, slots=True)
class Compared:
    """Lists beside popular products, for the customers who bought something new after the split.

    Attributes:
        lists, popular: mean of each measure.
        gain: mean difference, with the bounds of its 95 % interval.
        n_customers: how many.
    """

    lists: dict[str, float]
    popular: dict[str, float]
    gain: dict[str, list[float]]
    n_customers: int


def drawn(shop: Shop, seed: int) -> tuple[Catalogue, pd.DataFrame]:
    """A catalogue and 90 days of events."""
    rng = np.random.default_rng(seed)
    centres = rng.normal(size=(shop.n_categories, shop.n_directions))
    category = rng.integers(shop.n_categories, size=shop.n_products)
    places = centres[category] + 0.6 * rng.normal(size=(shop.n_products, shop.n_directions))
    products = tuple(
        Product(
            f"p{k:03d}",
            " ".join(f"word{category[k]}x{w}" for w in rng.choice(6, 2, replace=False)) + f" other{rng.integers(50)}",
            category=f"category {category[k]}",
            price=float(round(rng.lognormal(3.0, 0.7), 2)),
        )
        for k in range(shop.n_products)
    )
    liked = rng.normal(size=(shop.n_customers, shop.n_directions))
    angles = (liked @ places.T) / np.linalg.norm(liked, axis=1)[:, None] / np.linalg.norm(places, axis=1)
    utility = shop.taste * 2.0 * angles + rng.normal(0.0, 0.9, size=shop.n_products)
    shares = np.exp(utility - utility.max(axis=1, keepdims=True))
    shares /= shares.sum(axis=1, keepdims=True)
    counts = rng.poisson(shop.n_events, size=shop.n_customers)
    rows = [
        pd.DataFrame(
            {
                "customer_id": f"c{one:05d}",
                "product": rng.choice(shop.n_products, size=n, p=shares[one]),
                "day": rng.uniform(0.0, 90.0, size=n),
                "type": np.where(rng.random(n) < 0.35, "purchase", "view"),
            }
        )
        for one, n in enumerate(counts.tolist())
    ]
    events = pd.concat(rows, ignore_index=True)
    events["at"] = pd.Timestamp(BEGIN) + pd.to_timedelta(events.pop("day"), unit="D")
    events["product"] = events["product"].map({k: one.id for k, one in enumerate(products)})
    return Catalogue(products), events


def popular_lists(interactions: Interactions) -> dict[str, list[str]]:
    """The popular products for each customer, without what they bought."""
    order = np.argsort(-popularity(interactions), kind="stable").tolist()
    ids = [one.id for one in interactions.catalogue.products]
    found = {}
    for row, customer in enumerate(interactions.customers):
        bought = set(interactions.bought[[row]].indices.tolist())
        found[customer] = [ids[place] for place in order if place not in bought][:K]
    return found


def compared(lists: dict[str, list[str]], popular: dict[str, list[str]], after: dict[str, set[str]]) -> Compared:
    """Both, customer by customer."""
    some = [one for one in lists if after.get(one)]
    ours = np.array([quality_of(lists[one], after[one], K) for one in some])
    theirs = np.array([quality_of(popular[one], after[one], K) for one in some])
    differences = ours - theirs
    gain, half = differences.mean(axis=0), 1.96 * differences.std(axis=0, ddof=1) / math.sqrt(len(some))
    return Compared(
        dict(zip(MEASURES, ours.mean(axis=0).round(4).tolist(), strict=True)),
        dict(zip(MEASURES, theirs.mean(axis=0).round(4).tolist(), strict=True)),
        {
            name: [round(float(v), 4) for v in (g, g - h, g + h)]
            for name, g, h in zip(MEASURES, gain, half, strict=True)
        },
        len(some),
    )


def measured(shop: Shop, seed: int) -> dict[str, object]:
    """One shop: every mix of sources beside popular products."""
    catalogue, events = drawn(shop, seed)
    used, _ = usable_events(events, catalogue, until=SPLIT)
    interactions = summed(used, catalogue, until=SPLIT)
    after, popular = taken_after(events, SPLIT, new_only=True), popular_lists(interactions)
    options, begun = CandidateOptions(K, without_bought=True, seed=seed), time.perf_counter()
    chosen = choose_mix(used, catalogue, options, k=K).sources
    found: dict[str, object] = {"sources": dict(chosen), "seconds to choose": round(time.perf_counter() - begun, 2)}
    for name, sources in {CHOSEN: chosen, **FIXED}.items():
        started, options = time.perf_counter(), replace(options, sources=sources)
        made = {one.customer_id: [c.product for c in one.candidates] for one in candidates_of(interactions, options)}
        seconds = time.perf_counter() - started
        found[name] = asdict(compared(made, popular, after)) | {"seconds": round(seconds, 2)}
    return found


def gates(results: dict[str, dict[str, dict[str, object]]]) -> list[Gate]:
    """Popularity is beaten by its interval where tastes are strong, in every seed; where there are none, in none."""
    found = []
    for shop, seeds in results.items():
        for measure in MEASURES:
            lower = [seeds[seed][CHOSEN]["gain"][measure][1] for seed in seeds]  # type: ignore[index]
            upper = [seeds[seed][CHOSEN]["gain"][measure][2] for seed in seeds]  # type: ignore[index]
            if shop == "tastes":
                found.append(Gate(f"{shop}: least lower bound of the gain in {measure}", min(lower), least=1e-9))
            if shop == "no structure":
                found.append(Gate(f"{shop}: largest lower bound of the gain in {measure}", max(lower), largest=0.0))
            found.append(Gate(f"{shop}: least upper bound of the gain in {measure}", min(upper), least=0.0))
    return found


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--smoke", action="store_true", help="a few customers, nothing written: does it run?")
    options = parser.parse_args()
    if options.smoke:
        small = Shop(3.0, n_customers=300, n_products=40, n_categories=4)
        print("ok", measured(small, SEEDS[0])[CHOSEN])
        return 0
    results = {name: {str(seed): measured(shop, seed) for seed in SEEDS} for name, shop in SHOPS.items()}
    found = gates(results)  # type: ignore[arg-type]
    shops = {name: asdict(shop) for name, shop in SHOPS.items()}
    keep(
        "products",
        {
            "k": K,
            "shops": shops,
            "gates": [asdict(one) | {"holds": one.holds} for one in found],
            "results": results,
        },
    )
    return int(not all(one.holds for one in found))


if __name__ == "__main__":
    raise SystemExit(main())
