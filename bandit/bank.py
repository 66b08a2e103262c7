"""A bank of models: Vowpal Wabbit regressors that learn side by side from the same features of the same rows."""

from __future__ import annotations

from collections.abc import Sequence

from bandit.features import CONTEXT, FeatureSpace
from bandit.learner import TrainingRow
from bandit.scaling import Scaling
from bandit.vw import HashedFeature, VwRegressors


class Bank:
    """Regressors together with the hashed features of a campaign.

    Args:
        space: the features.
        scaling: how context features are centred and scaled.
        arguments: one argument string a model; they differ in how steps are taken and in nothing else.
        models: their bytes, where they go on learning.
    """

    __slots__ = ("_arms", "_context", "_letters", "_resting", "_scaling", "vw")

    def __init__(
        self, space: FeatureSpace, scaling: Scaling, arguments: Sequence[str], models: Sequence[bytes] | None = None
    ) -> None:
        self.vw = VwRegressors(arguments, models)
        self._letters = space.namespaces
        self._scaling = scaling
        self._context = [index for index, _ in self.vw.hashed(CONTEXT, [(name, 1.0) for name in space.context])]
        self._arms = tuple(
            tuple(list(self.vw.hashed(letter, arm)) for arm in arms)
            for letter, arms in zip(self._letters, space.arms, strict=True)
        )
        parts = zip(self._context, scaling.means, scaling.scales, strict=True)
        self._resting = [(hashed, -mean * scale) for hashed, mean, scale in parts]

    def learn(self, row: TrainingRow, labels: Sequence[float], weights: Sequence[float] | None = None) -> list[float]:
        """One example for every model; returns what each predicted before it learned, on its linear scale.

        Args:
            row: the features.
            labels: one a model.
            weights: how many times each model counts the row; once by default.
        """
        return self.vw.learn(self._namespaces(row), labels, weights)

    def predict(self, row: TrainingRow) -> list[float]:
        """Every model's linear prediction for a whole choice; changes no state."""
        return self.vw.predict(self._namespaces(row))

    def probe(
        self, context: int | None, picks: Sequence[tuple[int, int]], places: Sequence[int] | None = None
    ) -> list[float]:
        """Linear predictions of one scaled context feature of value 1 and some arms; see `bandit.compiled.Probe`.

        Args:
            context: position of the feature, if any.
            picks: (dimension, arm) pairs.
            places: of the models to be asked; all of them by default.
        """
        active = [] if context is None else [(self._context[context], 1.0)]
        arms = [(self._letters[d], self._arms[d][k]) for d, k in picks]
        return self.vw.predict([(CONTEXT, active), *arms], places)

    def _namespaces(self, row: TrainingRow) -> list[tuple[str, Sequence[HashedFeature]]]:
        features, scaling, hashed = self._resting.copy(), self._scaling, self._context
        for index, weight in zip(row.context.indices, row.context.weights, strict=True):
            features[index] = (hashed[index], (weight - scaling.means[index]) * scaling.scales[index])
        active = [feature for feature in features if feature[1]]
        return [(CONTEXT, active), *[(self._letters[d], self._arms[d][k]) for d, k in enumerate(row.picks)]]
