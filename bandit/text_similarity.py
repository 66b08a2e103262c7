"""How alike texts are, as a few numbers each: character n-grams weighted by TF-IDF, and their truncated SVD.

Made of numpy alone: scikit-learn, which it is tested against, takes a second to load, and every command reads the campaign.
"""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Self

import numpy as np

from bandit.arrays import FloatArray

GRAM: Final = 3
"""Letters of an n-gram; it does not reach from one word into the next."""
MOST_COMPONENTS: Final = 4
_APART: Final = 1e-3
"""By how much the texts' weights differ while the components are found, so that no two components are equally long: those could
be turned into each other, and would come out differently on another machine."""


@dataclass(frozen=True, slots=True)
class TextSimilarity:
    """A measure of texts, fitted on some of them; what it says of a text hangs on that text and on those alone.

    Attributes:
        inverse_frequencies: of each known n-gram, in the order of the loadings' rows.
        loadings: shape (n_grams, n_components), each column of length 1, its largest entry positive.
        digest: of the texts it was fitted on, 8 hex digits.

    Source: Salton and Buckley (1988) for the weights, in the smoothed form of scikit-learn; Deerwester et al. (1990) for the SVD.

    >>> measure = TextSimilarity.fitted(["Invite a friend", "Invite your friends", "Three days left"])
    >>> near, also_near, far = (measure.of(text) for text in ("Invite a friend", "invite friends", "Three days left"))
    >>> bool(near @ also_near > 10 * abs(near @ far))
    True
    """

    inverse_frequencies: Mapping[str, tuple[int, float]] = field(repr=False)
    loadings: FloatArray = field(repr=False)
    digest: str

    @classmethod
    def fitted(cls, texts: Sequence[str], n_components: int = MOST_COMPONENTS) -> Self:
        """The measure that tells these texts apart best.

        Args:
            texts: in any order; a repetition counts once.
            n_components: at most; there is never more than one less than different texts.
        """
        different = sorted(set(texts))
        counted = [Counter(grams_of(text)) for text in different]
        n_with = Counter(gram for grams in counted for gram in grams)
        known = {
            gram: (place, math.log((1 + len(different)) / (1 + n_with[gram])) + 1.0)
            for place, gram in enumerate(sorted(n_with))
        }
        table = np.array([_weighed(grams, known) for grams in counted]).reshape(len(different), len(known))
        loadings = _loadings(table, max(0, min(n_components, len(different) - 1)))
        said = "\x00".join(different).encode("utf-8", "surrogatepass")
        return cls(known, loadings, hashlib.blake2b(said, digest_size=4).hexdigest())

    @property
    def n_components(self) -> int:
        """Numbers a text."""
        return int(self.loadings.shape[1])

    def of(self, text: str) -> FloatArray:
        """Shape (n_components,), each in [-1, 1]; all 0 where the text shares no n-gram with those it was fitted on."""
        return _weighed(Counter(grams_of(text)), self.inverse_frequencies) @ self.loadings


def grams_of(text: str) -> list[str]:
    """The n-grams of a text's words, each word with a space at both ends.

    >>> grams_of("Go on")
    [' go', 'go ', ' on', 'on ']
    """
    words = (f" {word} " for word in text.casefold().split())
    return [word[i : i + GRAM] for word in words for i in range(max(1, len(word) - GRAM + 1))]


def _weighed(grams: Counter[str], known: Mapping[str, tuple[int, float]]) -> FloatArray:
    """TF-IDF of one text, of length 1."""
    row = np.zeros(len(known))
    for gram, count in grams.items():
        if gram in known:
            place, inverse_frequency = known[gram]
            row[place] = count * inverse_frequency
    return row / (float(np.linalg.norm(row)) or 1.0)


def _loadings(table: FloatArray, n_components: int) -> FloatArray:
    weights = 1.0 - _APART * np.arange(len(table))[:, None] / max(len(table), 1)
    if not n_components or not table.size:
        return np.zeros((table.shape[1], 0))
    right = np.linalg.svd(weights * table, full_matrices=False)[2][:n_components]
    largest = right[np.arange(len(right)), np.abs(right).round(9).argmax(axis=1)]
    loadings: FloatArray = (right * np.where(largest < 0, -1.0, 1.0)[:, None]).T
    return loadings
