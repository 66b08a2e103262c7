"""The `regression` learner: Vowpal Wabbit predicts the reward of the whole choice, one example a send.

One regressor sees context and picks together (context x dimension and dimension x dimension terms). With
`target = "outcomes"` there is one logistic regressor an outcome type, and the expected reward is their worth-weighted
sum; with `target = "reward"` there is one regressor of the reward itself, by squared loss.

Two settings differ from Vowpal Wabbit's own, both by measurement (docs/decisions/0004): an outcome's regressor starts at
the rate seen in the first rows instead of at one half, and its steps have one small size instead of adapting, because
with outcomes of a few percent the adaptive ones are all spent on learning that most sends bring nothing.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from bandit.campaign import Campaign, Option
from bandit.compiled import CompiledScorer, Probe, Tables, compile_tables
from bandit.errors import BrokenSnapshot
from bandit.estimates import Need
from bandit.fault import Fault
from bandit.features import CONTEXT, FeatureSpace
from bandit.learner import LearnerKind, TrainingRow
from bandit.options import check_options, option, option_faults, with_options
from bandit.plain_scorer import PlainScorer
from bandit.snapshot import Snapshot
from bandit.vw import HashedFeature, VwRegressor

NAME = "regression"
PLAIN_RATE = 0.01
ADAPTIVE_RATE = 0.1
MOST_PLAIN = 200
"""Columns of the tables up to which lists are faster than arrays for single decisions."""
BASE_ROWS = 500
"""Rows from which the rates are taken that the regressors start at."""


@dataclass(frozen=True, slots=True)
class RegressionOptions:
    """What `[learner]` may set for this learner."""

    target: str = option(
        "outcomes", "one logistic model an outcome type, or one model of the reward", among=("outcomes", "reward")
    )
    learning_rate: float = option(
        0.0, "Vowpal Wabbit's -l: how far one send moves the weights; 0 chooses by the target", high=100.0
    )
    l2: float = option(0.0, "Vowpal Wabbit's --l2: pull of the weights towards 0 at each send", high=1.0)
    bits: int = option(0, "Vowpal Wabbit's -b: log2 of the table of weights; 0 chooses from the campaign", high=28)

    def __post_init__(self) -> None:
        check_options(self)

    def arguments(self, space: FeatureSpace, bounds: tuple[float, float], start: float) -> str:
        """The whole argument string of one model, whose linear prediction begins at `start`."""
        crossed = " ".join(f"-q {pair}" for pair in space.quadratic)
        shared = f"-b {self.bits or space.bits} --l2 {self.l2!r} --constant {start!r} {crossed}"
        if self.target == "outcomes":
            # Naming --invariant switches the adaptive and normalised steps off; --power_t 0 keeps their size.
            return f"--loss_function logistic --invariant --power_t 0 -l {self.learning_rate or PLAIN_RATE!r} {shared}"
        bounded = f"--min_prediction {bounds[0]!r} --max_prediction {bounds[1]!r}"
        return f"--loss_function squared {bounded} -l {self.learning_rate or ADAPTIVE_RATE!r} {shared}"


class _Model:
    """One VW regressor together with the hashed features of the campaign."""

    __slots__ = ("_arms", "_context", "_letters", "vw")

    def __init__(self, space: FeatureSpace, arguments: str, model: bytes | None) -> None:
        self.vw = VwRegressor(arguments, model)
        self._letters = space.namespaces
        self._context = self.vw.hashed(CONTEXT, [(name, 1.0) for name in space.context])
        self._arms = tuple(
            tuple(list(self.vw.hashed(letter, arm)) for arm in arms)
            for letter, arms in zip(self._letters, space.arms, strict=True)
        )

    def namespaces(
        self, context: Sequence[tuple[int, float]], picks: Sequence[tuple[int, int]]
    ) -> list[tuple[str, Sequence[HashedFeature]]]:
        """The example with these context features (position, value) and these (dimension, arm) picks."""
        known = self._context
        active = [known[index] if weight == 1.0 else (known[index][0], weight) for index, weight in context]
        return [(CONTEXT, active), *[(self._letters[d], self._arms[d][k]) for d, k in picks]]

    def probe(self, context: int | None, picks: Sequence[tuple[int, int]]) -> float:
        """The linear prediction of one context feature and some arms; see `bandit.compiled.Probe`."""
        active = [] if context is None else [(context, 1.0)]
        return self.vw.predict(self.namespaces(active, picks))


class RegressionLearner:
    """Trains the campaign's models; see the module for what they are.

    A fresh one keeps the first rows back until it has seen enough of them to know where to start, or is frozen.
    """

    def __init__(self, campaign: Campaign, snapshot: Snapshot | None = None) -> None:
        self._campaign = campaign
        self._options = options_of(campaign)
        self._models = _resumed(campaign, snapshot) if snapshot else ()
        self._kept_back: list[TrainingRow] = []
        self.n_learned = snapshot.n_learned if snapshot else 0

    def learn(self, row: TrainingRow) -> None:
        """One example for each model."""
        self.n_learned += 1
        if self._models:
            self._learn(row)
            return
        self._kept_back.append(row)
        if len(self._kept_back) == BASE_ROWS:
            self._begin()

    def snapshot(self, *, watermark: int) -> Snapshot:
        """Freeze all models together."""
        if not self._models:
            self._begin()
        return Snapshot(
            self._campaign.content_hash,
            NAME,
            tuple(model.vw.arguments for model in self._models),
            tuple(model.vw.save() for model in self._models),
            self.n_learned,
            watermark,
        )

    def _begin(self) -> None:
        """Start the models at the rates of the rows kept back, and learn those rows."""
        labels = [self._labels(row) for row in self._kept_back]
        logistic = self._options.target == "outcomes"
        self._models = _fresh(self._campaign, starts_of(labels, n_models(self._campaign), logistic=logistic))
        for row in self._kept_back:
            self._learn(row)
        self._kept_back = []

    def _learn(self, row: TrainingRow) -> None:
        context = list(zip(row.context.indices, row.context.weights, strict=True))
        picks = list(enumerate(row.picks))
        for model, label in zip(self._models, self._labels(row), strict=True):
            model.vw.learn(model.namespaces(context, picks), label)

    def _labels(self, row: TrainingRow) -> list[float]:
        """What each model is to predict: the reward, or 1 and -1 for an outcome that happened or not."""
        return [row.reward] if self._options.target == "reward" else [2.0 * label - 1.0 for label in row.labels]


def starts_of(labels: Sequence[Sequence[float]], n_models: int, *, logistic: bool) -> tuple[float, ...]:
    """Where each model's prediction starts: the log-odds of its outcome's rate, or the mean reward.

    Half an outcome is added on either side, so that one never seen has a small rate and not none.

    >>> starts_of([[1.0], [-1.0], [-1.0]], 1, logistic=True)
    (-0.5108256237659907,)
    """
    if not logistic:
        return tuple(sum(row[m] for row in labels) / max(len(labels), 1) for m in range(n_models))
    happened = [sum(row[m] > 0.0 for row in labels) for m in range(n_models)]
    return tuple(math.log((count + 0.5) / (len(labels) - count + 0.5)) for count in happened)


def n_models(campaign: Campaign) -> int:
    """One model an outcome type, or one of the reward."""
    return 1 if options_of(campaign).target == "reward" else len(campaign.reward.types)


def options_of(campaign: Campaign) -> RegressionOptions:
    """The campaign's options for this learner."""
    return with_options(RegressionOptions, campaign.learner.options, "learner")


def reward_bounds(campaign: Campaign) -> tuple[float, float]:
    """Least and largest reward one decision can have."""
    worths = campaign.reward.worths
    return sum(min(worth, 0.0) for worth in worths), sum(max(worth, 0.0) for worth in worths)


def serve(campaign: Campaign, snapshot: Snapshot) -> CompiledScorer | PlainScorer:
    """Compile a snapshot into the tables that decide: as plain lists where they are small.

    Raises:
        BrokenSnapshot: if it belongs to another campaign or learner, or does not load.
    """
    tables, options = compile_snapshot(campaign, snapshot), options_of(campaign)
    worths = (1.0,) if options.target == "reward" else campaign.reward.worths
    logistic, sequential = options.target == "outcomes", campaign.policy.interactions
    bounds = reward_bounds(campaign)
    arrays = CompiledScorer(tables, worths, snapshot.n_learned, logistic=logistic, bounds=bounds, sequential=sequential)
    if not logistic or tables.constant.size > MOST_PLAIN:
        return arrays
    return PlainScorer(tables, arrays, worths, sequential=sequential)


def compile_snapshot(campaign: Campaign, snapshot: Snapshot) -> Tables:
    """Load a snapshot's models and read their weights out."""
    probes: list[Probe] = [model.probe for model in _resumed(campaign, snapshot)]
    return compile_tables(FeatureSpace.of(campaign), probes)


def reference_score(campaign: Campaign, snapshot: Snapshot, row: TrainingRow) -> tuple[float, ...]:
    """What Vowpal Wabbit itself predicts for a whole choice, one linear prediction a model; the tables must agree."""
    context = list(zip(row.context.indices, row.context.weights, strict=True))
    picks = list(enumerate(row.picks))
    return tuple(model.vw.predict(model.namespaces(context, picks)) for model in _resumed(campaign, snapshot))


def _fresh(campaign: Campaign, starts: Sequence[float]) -> tuple[_Model, ...]:
    space, options, bounds = FeatureSpace.of(campaign), options_of(campaign), reward_bounds(campaign)
    return tuple(_Model(space, options.arguments(space, bounds, start), None) for start in starts)


def _resumed(campaign: Campaign, snapshot: Snapshot) -> tuple[_Model, ...]:
    wanted = (NAME, campaign.content_hash, n_models(campaign))
    if (snapshot.learner, snapshot.campaign_hash, len(snapshot.models)) != wanted:
        raise BrokenSnapshot(
            f"this snapshot is of learner {snapshot.learner!r} with {len(snapshot.models)} models, for campaign content "
            f"{snapshot.campaign_hash}; the campaign here is {campaign.content_hash}. Use the campaign file it was "
            "trained for, or train a new snapshot."
        )
    space = FeatureSpace.of(campaign)
    parts = zip(snapshot.arguments, snapshot.models, strict=True)
    return tuple(_Model(space, arguments, model) for arguments, model in parts)


def _faults(options: Mapping[str, Option]) -> list[Fault]:
    return option_faults(RegressionOptions, options, "learner")


REGRESSION = LearnerKind(
    NAME,
    Need.SCORES,
    fresh=RegressionLearner,
    resume=RegressionLearner,
    serve=serve,
    faults=_faults,
)
