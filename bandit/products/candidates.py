"""Which products each customer may be offered: several sources' lists made into one, and where each product came from.

Every source ranks all products for a customer; a product's score is the sum over the sources of their weight divided by 60
plus its rank there (reciprocal rank fusion), so that scores of different kinds need no common scale.

Source: Cormack, Clarke and Buettcher (2009), Reciprocal rank fusion outperforms Condorcet and individual rank learning methods.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings
from bandit.products.interactions import Interactions
from bandit.products.popular import popularity
from bandit.products.similarity import content_scores, similarity, word_weights

COLLABORATIVE, CONTENT, POPULAR = "collaborative", "content", "popular"
SOURCES: Final[Mapping[str, float]] = MappingProxyType({COLLABORATIVE: 1.0, CONTENT: 0.5, POPULAR: 0.5})
"""Where products come from, and the usual weight of each."""
DAMPING: Final = 60.0
"""Added to a rank, as the source of the method does: how little the very first ranks count above the next ones."""
MOST_KEPT: Final = 200
_DEPTH: Final = 100
_AT_ONCE: Final = 4096
Scores = Callable[[slice], FloatArray]
"""Scores of all products for some of the customers, shape (n, n_products); those that are not positive say nothing."""


@dataclass(frozen=True, slots=True)
class CandidateOptions:
    """How lists are made.

    Attributes:
        most: products a list may have.
        sources: where they come from, with weights.
        without_bought: leave out what the customer bought already.
        seed: of the factors of collaborative filtering.

    Raises:
        InvalidSettings: for a source that there is not, or numbers out of range.
    """

    most: int = 10
    sources: Mapping[str, float] = field(default_factory=lambda: SOURCES)
    without_bought: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        unknown = [name for name in self.sources if name not in SOURCES]
        if unknown or not self.sources or not all(0.0 < weight < np.inf for weight in self.sources.values()):
            raise InvalidSettings(
                f"sources are {dict(self.sources)}, need at least one of {', '.join(SOURCES)}, each with a positive weight."
            )
        if not 1 <= self.most <= MOST_KEPT:
            raise InvalidSettings(f"lists of {self.most} products: need 1 to {MOST_KEPT}.")


class Candidate(NamedTuple):
    """One product of a customer's list.

    Attributes:
        product: its id.
        source: that did most to bring it here.
        score: the sum over the sources; only its order means something.
    """

    product: str
    source: str
    score: float


class Listed(NamedTuple):
    """A customer and their products, best first."""

    customer_id: str
    candidates: tuple[Candidate, ...]


def candidates_of(interactions: Interactions, options: CandidateOptions | None = None) -> Iterator[Listed]:
    """The list of each customer of whom anything is known, in the order of `interactions`; the same for the same seed.

    Args:
        interactions: what customers did.
        options: how lists are made.

    Raises:
        UnusableCatalogue: if collaborative filtering is a source and its library is not installed.
    """
    options = options or CandidateOptions()
    popular = popularity(interactions)
    sources = {name: _scores(name, interactions, popular, options) for name in options.sources}
    for start in range(0, len(interactions.customers), _AT_ONCE):
        rows = slice(start, min(start + _AT_ONCE, len(interactions.customers)))
        bought = interactions.bought[rows].toarray() > 0.0 if options.without_bought else None
        parts = {name: _fused(scores(rows), bought, options.sources[name]) for name, scores in sources.items()}
        yield from _listed(interactions, rows, parts, popular, options)


def _scores(name: str, interactions: Interactions, popular: FloatArray, options: CandidateOptions) -> Scores:
    if name == POPULAR:
        return lambda rows: np.tile(popular, (rows.stop - rows.start, 1))
    if name == CONTENT:
        alike = similarity(word_weights(interactions.catalogue))
        return lambda rows: content_scores(interactions, rows, alike)
    # Its library is an extra, and whoever does without this source need not have it.
    from bandit.products.collaborative import find_tastes  # noqa: PLC0415

    return find_tastes(interactions, seed=options.seed).scores


def _fused(scores: FloatArray, is_left_out: NDArray[np.bool_] | None, weight: float) -> FloatArray:
    """What one source adds to each product's score, shape (n, n_products): 0 outside its first hundred."""
    n, n_products = scores.shape
    if is_left_out is not None:
        scores = np.where(is_left_out, -np.inf, scores)
    depth = min(_DEPTH, n_products)
    # Stable, so that products that a source likes alike stand in the order of the catalogue.
    order = np.argsort(-scores, axis=1, kind="stable")[:, :depth]
    added = np.zeros((n, n_products))
    at_rank = np.broadcast_to(weight / (DAMPING + 1.0 + np.arange(depth)), order.shape)
    says = np.take_along_axis(scores, order, axis=1) > 0.0
    np.put_along_axis(added, order, np.where(says, at_rank, 0.0), axis=1)
    return added


def _listed(
    interactions: Interactions,
    rows: slice,
    parts: Mapping[str, FloatArray],
    popular: FloatArray,
    options: CandidateOptions,
) -> Iterator[Listed]:
    names, products = list(parts), interactions.catalogue.products
    stacked = np.stack([parts[name] for name in names])
    total, best = stacked.sum(axis=0), stacked.argmax(axis=0)
    # Equal scores in the order of popularity: `order` is of products, most popular first, and the sort keeps it.
    order = np.argsort(-popular, kind="stable")
    ranked = order[np.argsort(-total[:, order], axis=1, kind="stable")[:, : options.most]]
    for row, customer_id in enumerate(interactions.customers[rows]):
        found = [
            Candidate(products[place].id, names[best[row, place]], float(total[row, place]))
            for place in ranked[row].tolist()
            if total[row, place] > 0.0
        ]
        yield Listed(customer_id, tuple(found))
