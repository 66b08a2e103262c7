"""Whether what the learner is told of texts ranks headlines that nobody has seen yet.

Run: .venv/bin/python benchmarks/headlines.py

Upworthy's headline tests (CC BY 4.0; Matias, Munger, Aubin Le Quere and Ebersole 2021): several headlines of one article, shown
at random. The tests are cut into folds; tests that share a headline stay together. For each fold a model learns from the
headlines of all others, and ranks those of its own tests, none of which it has seen.

What is measured is the product's own feature space, `bandit.features.graded_arms` over the words of the texts and
`bandit.text_features`, without the arms' ids, which say nothing of an arm that is new. Over it stands a ridge regression on
click rates less their test's mean, weighed by impressions, in the place of Vowpal Wabbit: 12 million impressions one by one
would only take longer. Its penalty is chosen among the headlines it learns from.

Reported is Spearman's rank correlation within a test, averaged over tests, with an interval of a bootstrap over groups of tests
that share headlines; and by how much the headline ranked first is clicked more often than its test's average.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from gates import Gate
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.stats import rankdata
from sklearn.feature_extraction import DictVectorizer
from sklearn.linear_model import Ridge
from timing import keep

from bandit.dimension import Arm
from bandit.features import graded_arms, numbers_of
from bandit.text_feature_spec import COUNTED, OF_LANGUAGE, SIMILARITY
from bandit.text_features import text_features

DATA = Path(__file__).parents[2] / "shared" / "data" / "upworthy_headlines.dev.csv.gz"
SEED, N_RESAMPLES, CONFIDENCE = 20260119, 4000, 0.95
PENALTIES = (0.1, 0.3, 1.0, 3.0, 10.0, 30.0)
Floats = NDArray[np.float64]
KINDS: Mapping[str, tuple[tuple[str, ...], bool]] = {
    "text features": ((*COUNTED, *OF_LANGUAGE, SIMILARITY), False),
    "words": ((), True),
    "words and text features": ((*COUNTED, *OF_LANGUAGE, SIMILARITY), True),
}
"""What a model is told: features, and whether the words too."""


@dataclass(frozen=True, slots=True)
class Size:
    """How much is done.

    Attributes:
        n_folds: of the tests.
        n_fitted: headlines, among those learned from, that similarity is measured by.
        n_tests: that are read; None for all.
    """

    n_folds: int = 10
    n_fitted: int = 400
    n_tests: int | None = None


FULL, SMOKE = Size(), Size(3, 20, 40)


@dataclass(frozen=True, slots=True)
class Headlines:
    """The tests' headlines, one a row.

    Attributes:
        texts: what they say.
        tests: number of each one's test.
        groups: number of tests that share headlines.
        shown, clicks: how often.
    """

    texts: list[str]
    tests: NDArray[np.int64]
    groups: NDArray[np.int64]
    shown: Floats
    clicks: Floats

    def __len__(self) -> int:
        return len(self.texts)

    @property
    def rates(self) -> Floats:
        """Click rates."""
        return self.clicks / self.shown

    @property
    def gains(self) -> Floats:
        """Click rates less their test's."""
        tests = self.tests - self.tests.min()
        return self.rates - (np.bincount(tests, self.clicks) / np.maximum(np.bincount(tests, self.shown), 1))[tests]

    def of(self, rows: NDArray[np.bool_]) -> Headlines:
        """Some of them."""
        texts = [text for text, is_in in zip(self.texts, rows, strict=True) if is_in]
        return Headlines(texts, self.tests[rows], self.groups[rows], self.shown[rows], self.clicks[rows])


def headlines_of(path: Path, n_tests: int | None) -> Headlines:
    """The file, or its first tests."""
    table = pd.read_csv(path)
    tests = pd.factorize(table["test_id"])[0]
    if n_tests:
        table, tests = table[tests < n_tests], tests[tests < n_tests]
    texts = table["headline"].astype(str).tolist()
    numbers = (table[name].to_numpy(dtype=np.float64) for name in ("impressions", "clicks"))
    return Headlines(texts, tests.astype(np.int64), groups_of(texts, tests), *numbers)


def groups_of(texts: Sequence[str], tests: NDArray[np.int64]) -> NDArray[np.int64]:
    """A number for each row; tests that share a headline, directly or through others, have the same."""
    from scipy.sparse.csgraph import connected_components  # noqa: PLC0415 - only here

    words = pd.factorize(pd.Series(texts).str.casefold().str.strip())[0]
    n_tests = int(tests.max()) + 1
    edges = csr_matrix((np.ones(len(texts)), (tests, n_tests + words)), shape=[n_tests + int(words.max()) + 1] * 2)
    labels: NDArray[np.int64] = connected_components(edges, directed=False)[1][tests].astype(np.int64)
    return labels


def told(learned: Headlines, ranked: Headlines, kind: str, n_fitted: int) -> tuple[csr_matrix, csr_matrix]:
    """The headlines as the learner is told of them; what is measured by others is measured by those learned from."""
    names, with_words = KINDS[kind]
    rng = np.random.default_rng(SEED)
    fitted_on = [learned.texts[i] for i in rng.permutation(len(learned))[:n_fitted]]
    arms = [_arms(some.texts, names, fitted_on, with_words=with_words) for some in (learned, ranked)]
    by = numbers_of(arms[0])
    named = [[dict(features[1:]) for features in graded_arms(some, by)] for some in arms]
    vectorizer = DictVectorizer()
    return vectorizer.fit_transform(named[0]), vectorizer.transform(named[1])


def _arms(texts: Sequence[str], names: Sequence[str], fitted_on: Sequence[str], *, with_words: bool) -> list[Arm]:
    features = text_features(texts, names, "en", fitted_on) if names else [{} for _ in texts]
    return [
        Arm(str(i), text=text if with_words else "", features=own)
        for i, (text, own) in enumerate(zip(texts, features, strict=True))
    ]


def ranked_by(learned: Headlines, ranked: Headlines, kind: str, n_fitted: int) -> Floats:
    """What a model that learned from some headlines expects of others."""
    known, new = told(learned, ranked, kind, n_fitted)
    penalty = best_penalty(learned, known)
    model = Ridge(alpha=penalty * float(np.mean(learned.shown))).fit(known, learned.gains, sample_weight=learned.shown)
    found: Floats = model.predict(new)
    return found


def best_penalty(learned: Headlines, known: csr_matrix) -> float:
    """The penalty that ranks a quarter of the headlines best from the others."""
    out = np.random.default_rng(SEED).permutation(int(learned.groups.max()) + 1)[learned.groups] % 4 == 0
    rest, unit = learned.of(~out), float(np.mean(learned.shown))
    scores = []
    for penalty in PENALTIES:
        model = Ridge(alpha=penalty * unit).fit(known[~out], rest.gains, sample_weight=rest.shown)
        scores.append(float(np.mean(list(spearmans(learned.of(out), model.predict(known[out])).values()))))
    return PENALTIES[int(np.argmax(scores))]


def spearmans(ranked: Headlines, expected: Floats) -> dict[int, float]:
    """Rank correlation of expected and seen click rates within each test; tests in which all are alike say nothing."""
    found = {}
    for test in np.unique(ranked.tests):
        rows = ranked.tests == test
        ours, theirs = rankdata(expected[rows]), rankdata(ranked.rates[rows])
        if len(ours) > 1 and ours.std() and theirs.std():
            found[int(test)] = float(np.corrcoef(ours, theirs)[0, 1])
    return found


def first_gains(ranked: Headlines, expected: Floats) -> dict[int, tuple[float, float]]:
    """For each test, the click rate of the headline ranked first, and the average of its headlines."""
    found = {}
    for test in np.unique(ranked.tests):
        rows = np.flatnonzero(ranked.tests == test)
        found[int(test)] = (float(ranked.rates[rows[np.argmax(expected[rows])]]), float(ranked.rates[rows].mean()))
    return found


def measured(headlines: Headlines, kind: str, size: Size) -> dict[str, Any]:
    """Every test ranked by a model that has seen none of its headlines."""
    n_groups = int(headlines.groups.max()) + 1
    folds = np.random.default_rng(SEED).permutation(n_groups)[headlines.groups] % size.n_folds
    correlations: dict[int, float] = {}
    firsts: dict[int, tuple[float, float]] = {}
    for fold in range(size.n_folds):
        learned, ranked = headlines.of(folds != fold), headlines.of(folds == fold)
        expected = ranked_by(learned, ranked, kind, size.n_fitted)
        correlations |= spearmans(ranked, expected)
        firsts |= first_gains(ranked, expected)
    group_of = dict(zip(headlines.tests.tolist(), headlines.groups.tolist(), strict=True))
    pairs = np.array([firsts[test] for test in firsts])
    return {
        "tests": len(correlations),
        "spearman": resampled(
            np.array([[value, 1.0] for value in correlations.values()]), [group_of[test] for test in correlations]
        ),
        "clicks of the one ranked first, against its test's average": resampled(
            pairs, [group_of[test] for test in firsts], less=1.0
        ),
    }


def resampled(pairs: Floats, groups: Sequence[int], *, less: float = 0.0) -> dict[str, float]:
    """Sum of the first column over sum of the second, with a percentile interval of a bootstrap over groups."""
    numbers = np.unique(groups, return_inverse=True)[1]
    sums = np.stack([np.bincount(numbers, column) for column in pairs.T])
    n = sums.shape[1]
    drawn = np.random.default_rng(SEED).multinomial(n, np.full(n, 1 / n), size=N_RESAMPLES) @ sums.T
    low, high = np.quantile(drawn[:, 0] / drawn[:, 1] - less, [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2])
    value = sums[0].sum() / sums[1].sum() - less
    return {"value": round(float(value), 4), "ci_lower": round(float(low), 4), "ci_upper": round(float(high), 4)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=DATA)
    parser.add_argument("--smoke", action="store_true", help="a few tests, nothing written: does it run?")
    options = parser.parse_args()
    if not options.data.is_file():
        skipped = (
            f"skipped: {options.data} is not there: Upworthy's headline tests, test_id, headline, impressions, clicks"
        )
        print(f"ok, {skipped}" if options.smoke else skipped)
        return
    size = SMOKE if options.smoke else FULL
    headlines = headlines_of(options.data, size.n_tests)
    found = {kind: measured(headlines, kind, size) for kind in KINDS}
    if options.smoke:
        print("ok")
        return
    gate = Gate(
        "text features alone: lower bound of Spearman", found["text features"]["spearman"]["ci_lower"], least=1e-9
    )
    keep(
        "headlines", {"seed": SEED, "headlines": len(headlines), "confidence": CONFIDENCE, **found, "holds": gate.holds}
    )
    sys.exit(0 if gate.holds else 1)


if __name__ == "__main__":
    main()
