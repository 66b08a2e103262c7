"""Looking for segments of customers: found, chosen, doubted, described. The answer may be that there are none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
from sklearn.metrics import pairwise_distances
from threadpoolctl import threadpool_limits

from bandit.arrays import FloatArray
from bandit.profile.cluster_choice import (
    LEAST_SILHOUETTE,
    LEAST_STABILITY,
    Candidate,
    candidate,
    candidates,
    doubted,
    outside_of,
)
from bandit.profile.cluster_methods import settings_of
from bandit.profile.cluster_reference import references
from bandit.profile.cluster_shapes import membership
from bandit.profile.cluster_space import FeatureSpace, feature_space
from bandit.profile.learned_segments import LearnedSegments
from bandit.profile.segment_baseline import baselines_of
from bandit.profile.segment_profiles import profiles_of
from bandit.profile.segment_spec import LearnedSpec, SegmentSpec

MOST_FITTED = 1000
"""Customers that segments are fitted to and judged on; the others are assigned. Distances of all pairs are looked at."""
LEAST_CUSTOMERS = 60
N_REFERENCES = 19
"""Structureless tables of each kind: in none may segments be nearly as far apart."""

CLEARLY = 0.02
"""How much further apart segments must be than in any of those tables: the highest of a few tables is a matter of luck."""


@dataclass(frozen=True, slots=True)
class SegmentSearch:
    """What was looked for, and what came of it.

    Attributes:
        segments: what was found, or None.
        reason: why nothing was; empty where something was.
        tried: every setting with usable segments, the highest silhouette first.
        by_chance: highest silhouettes of the chosen method among structureless customers, down to the first that is nearly
            as high as that of the customers; empty where it did not come to that.
        left_out: features that say nothing, each with the reason.
        n_fitted: customers that segments were fitted to.
    """

    segments: LearnedSegments | None
    reason: str
    tried: tuple[Candidate, ...] = ()
    by_chance: tuple[float, ...] = ()
    left_out: tuple[str, ...] = ()
    n_fitted: int = 0


def learn_segments(
    table: pd.DataFrame,
    spec: SegmentSpec,
    *,
    n_references: int = N_REFERENCES,
    watch: Callable[[int], None] = lambda _: None,
) -> SegmentSearch:
    """Look for segments of customers, and doubt them.

    Args:
        table: one row a customer, with columns of features; the order of rows does not matter.
        spec: which features, methods and numbers of segments, and the seed.
        n_references: structureless tables of each kind to hold segments against.
        watch: told of each structureless table that was searched.

    Raises:
        UnusableLog: if no feature is left to learn from.

    Caution: segments that are there need not be of use: whether they answer differently is for the learner to find out.
    Features that say the same count twice; choose groups of different ones.
    """
    space = feature_space(table, spec.learned_from)
    points = space.coordinates(table)
    if len(points) < LEAST_CUSTOMERS:
        reason = (
            f"{len(points)} customers are too few to tell segments from chance: at least {LEAST_CUSTOMERS} are needed."
        )
        return SegmentSearch(None, reason, left_out=space.left_out)
    # One thread: sums of several threads are added in the order in which they end.
    with threadpool_limits(limits=1):
        return _searched(table, space, points, spec.learned, n_references, watch)


def _searched(
    table: pd.DataFrame,
    space: FeatureSpace,
    points: FloatArray,
    spec: LearnedSpec,
    n_references: int,
    watch: Callable[[int], None],
) -> SegmentSearch:
    sample = _sample(points, spec.seed)
    tried = _tried(sample, spec)
    search = SegmentSearch(None, "", tried, (), space.left_out, len(sample))
    stable = [one for one in tried if one.is_stable]
    if not stable:
        return replace(search, reason=_not_there(tried))
    best = stable[-1]
    by_chance = _by_chance(sample, space, best, spec, n_references, watch)
    search = replace(search, by_chance=by_chance)
    if max(by_chance, default=-1.0) > best.silhouette - CLEARLY:
        return replace(search, reason=_by_chance_too(best, by_chance))
    return replace(search, segments=_frozen(table, space, points, best))


def _sample(points: FloatArray, seed: int) -> FloatArray:
    """At most `MOST_FITTED` customers, the same ones whatever their order in the table."""
    ordered = points[np.lexsort(points.T)]
    if len(points) <= MOST_FITTED:
        return ordered
    chosen = np.random.default_rng(seed).choice(len(points), MOST_FITTED, replace=False)
    return ordered[np.sort(chosen)]


def _tried(sample: FloatArray, spec: LearnedSpec) -> tuple[Candidate, ...]:
    """Every usable candidate, with its stability where that was asked for."""
    found = candidates(sample, spec, spec.seed)
    tried = {one.setting: one for one in found}
    tried.update({one.setting: one for one in doubted(sample, found, spec.seed)})
    return tuple(tried.values())


def _not_there(tried: tuple[Candidate, ...]) -> str:
    if not tried:
        return "No method found two segments or more that are each large enough."
    best = tried[0]
    if best.silhouette < LEAST_SILHOUETTE:
        return (
            f"No segments are apart: the highest silhouette is {best.silhouette:.2f} ({best.setting}), and below "
            f"{LEAST_SILHOUETTE:g} there is no substantial structure."
        )
    steadiest = max(tried, key=lambda one: one.stability or 0.0)
    return (
        f"No segments are found again: random halves of the customers agree on at most {steadiest.stability or 0.0:.2f} "
        f"({steadiest.setting}; 1 is perfect, {LEAST_STABILITY:g} is needed)."
    )


def _by_chance_too(best: Candidate, by_chance: tuple[float, ...]) -> str:
    return (
        f"Customers without any structure look as structured, or nearly: {best.setting} has a silhouette of "
        f"{best.silhouette:.2f}, and {max(by_chance):.2f} in one of {len(by_chance)} structureless tables with the same spread."
    )


def _by_chance(
    sample: FloatArray,
    space: FeatureSpace,
    best: Candidate,
    spec: LearnedSpec,
    n_references: int,
    watch: Callable[[int], None],
) -> tuple[float, ...]:
    """Highest silhouettes of the chosen method in structureless tables, down to the first that is high enough."""
    alone = replace(spec, methods=(best.setting.method,))
    blocks = tuple(len(column.levels) for column in space.levels)
    found = []
    for points in references(sample, len(space.numbers), blocks, n_references, spec.seed):
        found.append(_highest(points, alone))
        watch(1)
        if found[-1] > best.silhouette - CLEARLY:
            break
    return tuple(found)


def _highest(points: FloatArray, spec: LearnedSpec) -> float:
    distances = pairwise_distances(points)
    found = [candidate(points, distances, setting, spec, spec.seed) for setting in settings_of(spec)]
    return max((one.silhouette for one in found if one), default=-1.0)


def _frozen(table: pd.DataFrame, space: FeatureSpace, points: FloatArray, best: Candidate) -> LearnedSegments:
    labels = membership(best.shape, points).best
    profiles = profiles_of(table, space, labels, best.found_again, outside_of(best.shape))
    baseline = baselines_of(table, space)
    stability = best.stability or 0.0
    return LearnedSegments(
        space, best.shape, profiles, str(best.setting), best.silhouette, stability, baseline, len(table)
    )
