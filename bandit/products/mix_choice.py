"""Which mix of sources makes the best lists: judged on what customers took afterwards, and chosen only if it beats popularity.

The events are split by time. Lists made of the first three quarters are held against what the same customers took in the last
one. Where tastes say little, the popular products are the better list; so a mix is taken only if its gain over them, customer
by customer, is above 0 with its whole 95 % interval.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from bandit.arrays import FloatArray
from bandit.products.candidates import COLLABORATIVE, CONTENT, POPULAR, SOURCES, CandidateOptions, candidates_of
from bandit.products.catalogue import Catalogue
from bandit.products.interactions import BOUGHT, HALF_LIFE, WEIGHTS, summed
from bandit.products.ranking_quality import RankingQuality, quality_of, ranking_quality

Mix = Mapping[str, float]
POPULAR_ONLY: Final[Mix] = {POPULAR: 1.0}
MIXES: Final[tuple[Mix, ...]] = (
    {COLLABORATIVE: 1.0, POPULAR: 2.0},
    {COLLABORATIVE: 1.0, POPULAR: 0.5},
    {COLLABORATIVE: 1.0},
    dict(SOURCES),
    {CONTENT: 1.0, POPULAR: 2.0},
    {CONTENT: 1.0, POPULAR: 0.5},
)
"""What competes with popularity."""
FIRST_PART: Final = 0.75
FEWEST: Final = 30
"""With fewer customers who took something nothing is judged."""
_CONFIDENCE: Final = 1.96


@dataclass(frozen=True, slots=True)
class Judged:
    """A mix, how good its lists were, and their gain in average precision over popular products with its 95 % interval."""

    sources: Mix
    quality: RankingQuality
    gain: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class MixChoice:
    """What was chosen, and why.

    Attributes:
        sources: with weights.
        k: places of a list that were looked at.
        split: lists were made of what came before it.
        popular: how good the popular products were; None where too few customers took anything to judge by.
        judged: every mix, in the order of `MIXES`.
    """

    sources: Mix
    k: int
    split: datetime
    popular: RankingQuality | None
    judged: tuple[Judged, ...] = ()


def choose_mix(
    used: pd.DataFrame,
    catalogue: Catalogue,
    options: CandidateOptions,
    *,
    k: int,
    weights: Mapping[str, float] = WEIGHTS,
    half_life: timedelta = HALF_LIFE,
    mixes: Sequence[Mix] = MIXES,
) -> MixChoice:
    """Judge mixes on the last quarter of the events, and choose the best one.

    Args:
        used: usable events; see `bandit.products.interactions.usable_events`.
        catalogue: the products.
        options: how lists are made; their sources are not looked at.
        k: how many places count: as many as a customer is offered.
        weights: of each type of event.
        half_life: after which an event counts half.
        mixes: that compete with popularity.

    Raises:
        UnusableCatalogue: if collaborative filtering competes and its library is not installed.

    Caution: the winner's figures flatter it a little, for it was chosen by them.
    """
    split = pd.to_datetime(used["at"]).sort_values().iloc[int(FIRST_PART * len(used))].floor("us").to_pydatetime()
    after = taken_after(used, split, new_only=options.without_bought)
    before = summed(used, catalogue, until=split, weights=weights, half_life=half_life)
    places = [place for place, one in enumerate(before.customers) if after.get(one)]
    if len(places) < FEWEST:
        return MixChoice(dict(SOURCES), k, split, None)
    taken = [after[before.customers[place]] for place in places]

    def lists(mix: Mix) -> list[list[str]]:
        made = [one.candidates for one in candidates_of(before, replace(options, sources=mix, most=k))]
        return [[one.product for one in made[place]] for place in places]

    usual = lists(POPULAR_ONLY)
    judged = tuple(_judged(mix, lists(mix), usual, taken, k) for mix in mixes)
    better = [one for one in judged if one.low > 0.0]
    chosen = max(better, key=lambda one: one.gain).sources if better else POPULAR_ONLY
    return MixChoice(chosen, k, split, ranking_quality(usual, taken, k), judged)


def taken_after(used: pd.DataFrame, split: datetime, *, new_only: bool) -> dict[str, set[str]]:
    """What each customer took from a time on: what they bought, or where nobody bought anything all they had to do with.

    Args:
        used: usable events.
        split: the time.
        new_only: leave out what a customer bought before it.
    """
    is_bought, is_after = used["type"].isin(BOUGHT), used["at"] >= pd.Timestamp(split)
    counts = is_bought if (is_bought & is_after).any() else is_bought | True
    before = _products_of(used[is_bought & ~is_after]) if new_only else {}
    return {one: found - before.get(one, set()) for one, found in _products_of(used[counts & is_after]).items()}


def _products_of(events: pd.DataFrame) -> dict[str, set[str]]:
    found: dict[str, set[str]] = {}
    for customer, product in zip(events["customer_id"].tolist(), events["product"].tolist(), strict=True):
        found.setdefault(customer, set()).add(product)
    return found


def _judged(mix: Mix, ranked: list[list[str]], usual: list[list[str]], taken: list[set[str]], k: int) -> Judged:
    precision = 2  # the last of the three: average precision
    ours: FloatArray = np.array(
        [quality_of(one, after, k)[precision] for one, after in zip(ranked, taken, strict=True)]
    )
    theirs = np.array([quality_of(one, after, k)[precision] for one, after in zip(usual, taken, strict=True)])
    differences = ours - theirs
    gain = float(differences.mean())
    half = _CONFIDENCE * float(differences.std(ddof=1)) / math.sqrt(len(differences))
    return Judged(mix, ranking_quality(ranked, taken, k), gain, gain - half, gain + half)
