"""The `native` learner: Vowpal Wabbit's own explorers, dimension after dimension, served through owned examples.

One `--cb_explore_adf` model decides every dimension; the earlier picks stand among the shared features. Its pmf passes
through the policy `native`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from bandit.campaign import Campaign, Option
from bandit.context import EncodedContext
from bandit.errors import BrokenSnapshot
from bandit.estimates import Estimates, Need, Offer
from bandit.fault import Fault
from bandit.features import CONTEXT, FeatureSpace
from bandit.learner import LearnerKind, TrainingRow
from bandit.options import check_options, option, option_faults, with_options
from bandit.snapshot import Snapshot
from bandit.vw import HashedFeature, VwExplorer

NAME = "native"

EXPLORERS = {
    "epsilon-greedy": "--epsilon {epsilon!r}",
    "squarecb": "--squarecb --gamma_scale {gamma_scale!r}",
    "bag": "--bag {members} --epsilon {epsilon!r}",
    "cover": "--cover {members} --epsilon {epsilon!r}",
    "softmax": "--softmax --lambda {temper!r}",
    "rnd": "--rnd {members} --epsilon {epsilon!r}",
}
"""Explorers that keep every arm's probability known; those of VW's that are broken are not offered.

bag, cover and rnd draw random numbers while they learn, from a generator that VW does not save: what they decide can be
recomputed from a snapshot like everybody's, but learning on from one is not bit for bit the same as never having stopped.
"""


@dataclass(frozen=True, slots=True)
class NativeOptions:
    """What `[learner]` may set for this learner."""

    explorer: str = option("squarecb", "which of VW's explorers", among=tuple(EXPLORERS))
    learning_rate: float = option(0.5, "Vowpal Wabbit's -l", low=1e-6, high=100.0, searched=(0.01, 2.0))
    epsilon: float = option(0.05, "share of uniform draws (epsilon-greedy, bag, cover, rnd)", high=1.0)
    gamma_scale: float = option(1000.0, "exploitation (squarecb)", low=1e-6)
    temper: float = option(100.0, "how sharply scores are told apart (softmax's lambda)")
    members: int = option(4, "policies or predictors kept (bag, cover, rnd)", low=1, high=100)
    bits: int = option(0, "Vowpal Wabbit's -b; 0 chooses from the campaign", high=28)

    def __post_init__(self) -> None:
        check_options(self)

    def arguments(self, space: FeatureSpace) -> str:
        """The whole argument string."""
        crossed = " ".join(f"-q {pair}" for pair in space.quadratic)
        explorer = EXPLORERS[self.explorer].format(
            epsilon=self.epsilon, gamma_scale=self.gamma_scale, temper=self.temper, members=self.members
        )
        return f"--cb_explore_adf --cb_type mtr {explorer} -b {self.bits or space.bits} -l {self.learning_rate!r} {crossed}"


class _Model:
    """The explorer together with the hashed features of the campaign."""

    __slots__ = ("_context", "arms", "letters", "sequential", "vw")

    def __init__(self, space: FeatureSpace, arguments: str, model: bytes | None) -> None:
        self.vw = VwExplorer(arguments, model)
        self.letters = space.namespaces
        self.sequential = space.interactions
        self._context = self.vw.hashed(CONTEXT, [(name, 1.0) for name in space.context])
        self.arms = tuple(
            tuple(self.vw.hashed(letter, arm) for arm in arms)
            for letter, arms in zip(self.letters, space.arms, strict=True)
        )

    def shared(
        self, context: EncodedContext, picks: Sequence[int]
    ) -> tuple[tuple[str, tuple[HashedFeature, ...]], ...]:
        """Context and earlier picks, as the shared features of a stage."""
        pairs = zip(context.indices, context.weights, strict=True)
        active = tuple((self._context[index][0], weight) for index, weight in pairs)
        earlier = picks if self.sequential else ()
        return ((CONTEXT, active), *((self.letters[d], self.arms[d][pick]) for d, pick in enumerate(earlier)))


class NativeLearner:
    """Trains one explorer on each stage of each decision."""

    def __init__(self, campaign: Campaign, snapshot: Snapshot | None = None) -> None:
        self._campaign = campaign
        self._model = _model(campaign, snapshot)
        self.n_learned = snapshot.n_learned if snapshot else 0

    def learn(self, row: TrainingRow) -> None:
        """One update a dimension, each with that dimension's own propensity."""
        for d, letter in enumerate(self._model.letters):
            offered = row.offered(d)
            arms = [self._model.arms[d][k] for k in offered]
            self._model.vw.learn(
                self._model.shared(row.context, row.picks[:d]),
                letter,
                arms,
                offered.index(row.picks[d]),
                reward=row.reward,
                propensity=row.propensities[d],
            )
        self.n_learned += 1

    def learn_many(self, rows: Sequence[TrainingRow]) -> None:
        """The same for many rows, in order."""
        for row in rows:
            self.learn(row)

    def snapshot(self, *, watermark: int) -> Snapshot:
        """Freeze the model."""
        vw = self._model.vw
        return Snapshot(self._campaign.content_hash, NAME, (vw.arguments,), (vw.save(),), self.n_learned, watermark)


NativeState = tuple[EncodedContext, tuple[int, ...]]
"""Context and the picks so far."""


class NativeScorer:
    """Serves the explorer's pmf."""

    __slots__ = ("_model", "n_learned")

    def __init__(self, model: _Model, n_learned: int) -> None:
        self._model = model
        self.n_learned = n_learned

    def start(self, context: EncodedContext) -> NativeState:
        """The context, and no pick yet."""
        return context, ()

    def estimates(self, state: NativeState, dimension: int, offered: Sequence[int]) -> Estimates:
        """The explorer's pmf over the eligible arms, shape (n_arms,)."""
        every = self._model.arms[dimension]
        arms = [every[k] for k in offered]
        native = np.zeros(len(every))
        native[list(offered)] = self._model.vw.pmf(self._model.shared(*state), self._model.letters[dimension], arms)
        return Estimates(None, self.n_learned, native)

    def offer(self, state: NativeState, dimension: int, offered: Sequence[int]) -> Offer:
        """The explorer's pmf over the arms on offer."""
        n_arms = len(self._model.arms[dimension])
        return self.estimates(state, dimension, offered).on_offer(dimension, offered, n_arms)

    def after(self, state: NativeState, dimension: int, pick: int) -> NativeState:
        """The picks with one more."""
        del dimension
        return state[0], (*state[1], pick)

    def whole(self, state: NativeState, dimension: int, pick: int) -> None:
        """An explorer says how often, not how much."""
        del state, dimension, pick


def options_of(campaign: Campaign) -> NativeOptions:
    """The campaign's options for this learner."""
    return with_options(NativeOptions, campaign.learner.options, "learner")


def _model(campaign: Campaign, snapshot: Snapshot | None) -> _Model:
    space = FeatureSpace.of(campaign)
    if snapshot is None:
        return _Model(space, options_of(campaign).arguments(space), None)
    if (snapshot.learner, snapshot.campaign_hash) != (NAME, campaign.content_hash):
        raise BrokenSnapshot(
            f"this snapshot is of learner {snapshot.learner!r} for campaign content {snapshot.campaign_hash}; the "
            f"campaign here is {campaign.content_hash}. Use the campaign file it was trained for, or train a new one."
        )
    return _Model(space, snapshot.arguments[0], snapshot.models[0])


def _serve(campaign: Campaign, snapshot: Snapshot) -> NativeScorer:
    return NativeScorer(_model(campaign, snapshot), snapshot.n_learned)


def _live(campaign: Campaign, learner: NativeLearner) -> NativeScorer:
    """Through bytes all the same: a scorer asks its model, which must not go on learning meanwhile."""
    return _serve(campaign, learner.snapshot(watermark=0))


def _faults(options: Mapping[str, Option]) -> list[Fault]:
    return option_faults(NativeOptions, options, "learner")


NATIVE = LearnerKind(
    NAME,
    frozenset({Need.NATIVE}),
    wears=False,
    fresh=NativeLearner,
    resume=NativeLearner,
    serve=_serve,
    live=_live,
    faults=_faults,
)
