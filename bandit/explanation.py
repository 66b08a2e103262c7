"""Why a choice was made: what could be chosen, what each arm was expected to bring, and the features behind that.

A regression that serves is a table of weights (`bandit.compiled`), so its linear predictor is a sum of terms, one for each
thing that is so: an arm, something known about the customer, both together, two arms together, what was sent lately. A
term's contribution is its weight times its value. Terms of arms are measured from the average arm of their dimension, as the
tables are, so they say what speaks for this arm rather than for another.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.compiled import CompiledScorer, blocks_of
from bandit.context import EncodedContext
from bandit.learner import Scorer
from bandit.many_states import tables_of
from bandit.removal import Removal

EVERY_SEND = "every send"
LATEST_SEND = "latest send"


@dataclass(frozen=True, slots=True)
class Predictor:
    """The linear predictor of one outcome for the picked arm, taken apart.

    Attributes:
        outcome: type of outcome; "reward" where the model is of the reward itself.
        worth: of the outcome, in reward units.
        linear: the predictor; log-odds of the outcome, or the reward itself. Of a bootstrap it is the members' mean.
        contributions: name of each term to what it adds, strongest first; they sum to `linear`.
    """

    outcome: str
    worth: float
    linear: float
    contributions: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class StageReason:
    """Why one dimension's arm was picked, given the earlier picks.

    Attributes:
        dimension, arm: what was picked.
        eligible: arms that could be picked.
        removed: the other arms, each with the rule that removed it.
        estimates: expected reward of each eligible arm; None without a model, or from a native explorer.
        predictors: of the picked arm, one an outcome; empty where the model is no table of weights.
    """

    dimension: str
    arm: str
    eligible: tuple[str, ...]
    removed: tuple[Removal, ...]
    estimates: Mapping[str, float] | None
    predictors: tuple[Predictor, ...]


def explain(
    campaign: Campaign, scorer: Scorer[Any] | None, encoded: EncodedContext, picks: Sequence[int]
) -> Iterator[StageReason]:
    """Each dimension's reasons, in file order.

    Args:
        campaign: whose arms and rules.
        scorer: serves the snapshot that decided; None where none did.
        encoded: what was decided from.
        picks: position of the picked arm in each dimension.

    Raises:
        NoEligibleArm: if rules remove every arm of a dimension, so that these picks cannot have been made.
    """
    eligibility, tables = campaign.eligibility, tables_of(scorer) if scorer else None
    state = scorer.start(encoded) if scorer else None
    for d, (dimension, pick) in enumerate(zip(campaign.dimensions, picks, strict=True)):
        offered = eligibility.offered(d, encoded.values, picks[:d], encoded.excluded)
        scores = scorer.estimates(state, d, offered).scores if scorer else None
        yield StageReason(
            dimension.name,
            dimension.ids[pick],
            tuple(dimension.ids[arm] for arm in offered),
            eligibility.removals(d, encoded.values, picks[:d], encoded.excluded),
            None if scores is None else {dimension.ids[arm]: float(scores[arm]) for arm in offered},
            tuple(_predictors(campaign, tables, encoded, picks[: d + 1])) if tables else (),
        )
        state = scorer.after(state, d, pick) if scorer else None


def _predictors(
    campaign: Campaign, tables: CompiledScorer, encoded: EncodedContext, picks: Sequence[int]
) -> Iterator[Predictor]:
    """Of the last pick."""
    outcomes = campaign.reward.types if tables.logistic else ("reward",)
    terms = dict(_terms(campaign, tables, encoded, picks))
    worths = tables.worths.reshape(len(outcomes), -1).sum(axis=1)
    # A bootstrap has several models of each outcome, one after another.
    by_outcome = np.array(list(terms.values())).reshape(len(terms), len(outcomes), -1).mean(axis=2)
    for outcome, worth, column in zip(outcomes, worths.tolist(), by_outcome.T, strict=True):
        found = dict(zip(terms, column.tolist(), strict=True))
        strongest = dict(sorted(found.items(), key=lambda term: -abs(term[1])))
        yield Predictor(outcome, worth, float(column.sum()), strongest)


def _terms(
    campaign: Campaign, scorer: CompiledScorer, encoded: EncodedContext, picks: Sequence[int]
) -> Iterator[tuple[str, FloatArray]]:
    """Name and weighted value, shape (n_models,), of each term that is not 0 in all models; the first is always there."""
    columns = dict(_columns(campaign, picks, sequential=scorer.sequential))
    tables, known = scorer.tables, campaign.schema.features
    yield EVERY_SEND, tables.constant[:, 0]
    found = [(name, tables.constant[:, column]) for column, name in columns.items()]
    for feature, weight in zip(encoded.indices, encoded.weights, strict=True):
        name, row = known[feature].removesuffix("#"), weight * tables.context[feature]
        found += [(name, row[:, 0]), *((f"{name} x {arm}", row[:, column]) for column, arm in columns.items())]
    for (first, one), (second, other) in combinations(columns.items(), 2):
        found.append((f"{one} x {other}", tables.pairs[first - 1][:, second]))
    for column, sums in scorer.worn.added(encoded.exposures) if scorer.worn else ():
        if column == 0 or column in columns:
            found.append((f"worn {columns[column]}" if column else LATEST_SEND, np.array(sums)))
    yield from (term for term in found if np.any(term[1]))


def _columns(campaign: Campaign, picks: Sequence[int], *, sequential: bool) -> Iterator[tuple[int, str]]:
    """Column of each arm that has a say in the last pick's estimate, and the arm's name."""
    last = len(picks) - 1
    for d, (block, dimension, pick) in enumerate(
        zip(blocks_of(campaign.sizes), campaign.dimensions, picks, strict=False)
    ):
        if sequential or d == last:
            yield block.start + pick, f"{dimension.name}={dimension.ids[pick]}"
