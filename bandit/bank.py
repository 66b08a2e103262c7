"""A bank of models: Vowpal Wabbit regressors that learn side by side from the same features of the same rows."""

from __future__ import annotations

from collections.abc import Sequence

from bandit.features import CONTEXT, FeatureSpace
from bandit.learner import TrainingRow
from bandit.regressors import VwRegressors
from bandit.scaling import Scaling
from bandit.vw import HashedFeature
from bandit.wear_out import WEAR, WearOut, latest


class Bank:
    """Regressors together with the hashed features of a campaign.

    Args:
        space: the features.
        scaling: how context features are centred and scaled.
        wear_out: the campaign's, if it asks for one.
        arguments: one argument string a model; they differ in how steps are taken and in nothing else.
        models: their bytes, where they go on learning.
    """

    __slots__ = ("_arms", "_context", "_letters", "_resting", "_scaling", "_wear", "_wear_out", "vw")

    def __init__(
        self,
        space: FeatureSpace,
        scaling: Scaling,
        arguments: Sequence[str],
        models: Sequence[bytes] | None = None,
        *,
        wear_out: WearOut | None = None,
    ) -> None:
        self.vw = VwRegressors(arguments, models)
        self._letters = space.namespaces
        self._scaling = scaling
        self._context = [index for index, _ in self.vw.hashed(CONTEXT, [(name, 1.0) for name in space.context])]
        self._arms = tuple(
            tuple(list(self.vw.hashed(letter, arm)) for arm in arms)
            for letter, arms in zip(self._letters, space.arms, strict=True)
        )
        self._wear_out = wear_out
        self._wear = [index for index, _ in self.vw.hashed(WEAR, [(name, 1.0) for name in space.wear])]
        parts = zip(self._context, scaling.means, scaling.scales, strict=True)
        self._resting = [(hashed, -mean * scale) for hashed, mean, scale in parts]

    def learn_many(
        self,
        rows: Sequence[TrainingRow],
        labels: Sequence[Sequence[float]],
        weights: Sequence[Sequence[float]] | None = None,
    ) -> list[list[float]]:
        """One example a row for every model; returns what each predicted before it learned, on its linear scale.

        Args:
            rows: the features, in order.
            labels: for each row one a model.
            weights: how many times each model counts the row; once by default.
        """
        return self.vw.learn_many([self._namespaces(row) for row in rows], labels, weights)

    def predict(self, row: TrainingRow) -> list[float]:
        """Every model's linear prediction for a whole choice; changes no state."""
        return self.vw.predict(self._namespaces(row))

    def probe(
        self,
        context: int | None,
        picks: Sequence[tuple[int, int]],
        wear: int | None = None,
        *,
        places: Sequence[int] | None = None,
    ) -> list[float]:
        """Linear predictions of one scaled context feature of value 1 and some arms; see `bandit.compiled.Probe`.

        Args:
            context: position of the feature, if any.
            picks: (dimension, arm) pairs.
            wear: position of the feature of wear-out, if any.
            places: of the models to be asked; all of them by default.
        """
        active = [] if context is None else [(self._context[context], 1.0)]
        arms = [(self._letters[d], self._arms[d][k]) for d, k in picks]
        worn = [] if wear is None else [(WEAR, [(self._wear[wear], 1.0)])]
        return self.vw.predict([(CONTEXT, active), *arms, *worn], places)

    def _namespaces(self, row: TrainingRow) -> list[tuple[str, Sequence[HashedFeature]]]:
        features, scaling, hashed = self._resting.copy(), self._scaling, self._context
        for index, weight in zip(row.context.indices, row.context.weights, strict=True):
            features[index] = (hashed[index], (weight - scaling.means[index]) * scaling.scales[index])
        active = [feature for feature in features if feature[1]]
        picked = [(self._letters[d], self._arms[d][k]) for d, k in enumerate(row.picks)]
        exposures = row.context.exposures
        return [(CONTEXT, active), *picked, *([(WEAR, self._worn(row))] if exposures and self._wear_out else [])]

    def _worn(self, row: TrainingRow) -> list[HashedFeature]:
        """Features of the latest send, and of those among the picked arms that the customer got before."""
        spec, exposures = self._wear_out, row.context.exposures
        if spec is None:
            return []
        sends = latest(exposures)
        worn = [(0, *sends)] if sends else []
        worn += [(d + 1, recency, frequency) for d, arm, recency, frequency in exposures if row.picks[d] == arm]
        found: list[HashedFeature] = []
        for whose, recency, frequency in worn:
            values = spec.values(recency, frequency)
            first = whose * len(values)
            found += [(self._wear[first + place], value) for place, value in enumerate(values) if value]
        return found
