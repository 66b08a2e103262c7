"""Other people's bandits as deciders: one model a dimension, dense features with a bias, updated once a batch.

The settings are those that did best on problems of this kind, not the packages' defaults (gittins has hardly any others).
Packages that must be fitted before they can choose begin with one batch of random choices.
"""

# ruff: noqa: D102 - what methods of models do stands at `Model`
from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from importlib import import_module
from importlib.metadata import version
from types import ModuleType
from typing import Any, Protocol

import numpy as np
from problems import SimpleWorld
from ridge import RidgeBandit

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from simulator.click_world import CLICK, features_of
from simulator.rehearsal import Send
from simulator.world import IntArray, World

_ROWS_A_PULL = 10


@dataclass(frozen=True, slots=True)
class Batch:
    """Sends as the packages want them.

    Attributes:
        features: shape (n_sends, 1 + n_features), the bias first.
        sends: the same, as they arrived.
    """

    features: FloatArray
    sends: Sequence[Send]

    @property
    def contexts(self) -> list[Mapping[str, ContextValue]]:
        """As the campaign declares them."""
        return [send.arrival.context for send in self.sends]


class Model(Protocol):
    """A bandit of one dimension; arms are numbered."""

    @property
    def must_be_fitted(self) -> bool:
        """Whether it cannot choose before its first update; sends until then are decided at random."""

    def grow(self, n_arms: int) -> None:
        """From now on there are so many arms; the first ones stay what they are."""

    def choose(self, batch: Batch) -> IntArray:
        """An arm for each send."""

    def update(self, batch: Batch, arms: IntArray, rewards: FloatArray) -> None:
        """What the chosen arms brought."""


MakeModel = Callable[[int, int, int], Model]
"""From the number of features (bias included), the number of arms, and a seed."""


@dataclass(slots=True, eq=False)
class PeerDecider:
    """One model a dimension, each on its own."""

    make: MakeModel
    seed: int
    _world: SimpleWorld = field(init=False)
    _models: list[Model] = field(init=False, default_factory=list)
    _last: tuple[Batch, list[IntArray]] = field(init=False)
    _is_updated: bool = field(init=False, default=False)
    _rng: np.random.Generator = field(init=False)

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng((self.seed, 77))

    def enter(self, phase: int, world: World) -> None:
        """Make the models, or tell them how many arms there are now."""
        self._world = world  # type: ignore[assignment]
        sizes = world.choices.shape
        if not phase:
            n_features = 1 + features_of(self._world.attributes, self._world.contexts[:1]).shape[1]
            self._models = [self.make(n_features, n, self.seed + 1000 * d) for d, n in enumerate(sizes)]
        for model, n_arms in zip(self._models, sizes, strict=True):
            model.grow(n_arms)

    def decide(self, sends: Sequence[Send]) -> list[dict[str, str]]:
        """Each dimension for itself."""
        features = features_of(self._world.attributes, [send.arrival.context for send in sends])
        batch = Batch(np.concatenate([np.ones((len(sends), 1)), features], axis=1), sends)
        sizes = self._world.choices.shape
        arms = [self._arms(model, n, batch) for model, n in zip(self._models, sizes, strict=True)]
        self._last = batch, arms
        names = self._world.choices.dimensions
        return [
            {name: ids[k] for (name, ids), k in zip(names.items(), row, strict=True)}
            for row in zip(*(a.tolist() for a in arms), strict=True)
        ]

    def learn(self, outcome_types: Sequence[frozenset[str]]) -> None:
        """One update a model."""
        rewards = np.array([float(CLICK in types) for types in outcome_types])
        batch, arms = self._last
        for model, chosen in zip(self._models, arms, strict=True):
            model.update(batch, chosen, rewards)
        self._is_updated = True

    def _arms(self, model: Model, n_arms: int, batch: Batch) -> IntArray:
        if model.must_be_fitted and not self._is_updated:
            return self._rng.integers(n_arms, size=len(batch.sends))
        return np.asarray(model.choose(batch), dtype=np.int64)


class BetaThompson:
    """Thompson sampling from a Beta(1, 1) an arm; looks at nobody."""

    must_be_fitted = False

    def __init__(self, _n_features: int, n_arms: int, seed: int) -> None:
        self._counts = np.ones((n_arms, 2))
        self._rng = np.random.default_rng(seed)

    def grow(self, n_arms: int) -> None:
        self._counts = np.concatenate([self._counts, np.ones((n_arms - len(self._counts), 2))])

    def choose(self, batch: Batch) -> IntArray:
        size = (len(batch.sends), len(self._counts))
        return self._rng.beta(self._counts[:, 0], self._counts[:, 1], size=size).argmax(axis=1)

    def update(self, batch: Batch, arms: IntArray, rewards: FloatArray) -> None:
        del batch
        np.add.at(self._counts, (arms, 0), rewards)
        np.add.at(self._counts, (arms, 1), 1.0 - rewards)


class Ridge:
    """The algorithm of mabwiser's LinUCB and LinTS, with rank-one updates: see `ridge.py`."""

    must_be_fitted = True

    def __init__(self, n_features: int, n_arms: int, seed: int, *, alpha: float, is_drawn: bool) -> None:
        self._bandit = RidgeBandit(n_features, n_arms, alpha, np.random.default_rng(seed) if is_drawn else None)

    def grow(self, n_arms: int) -> None:
        self._bandit.grow(n_arms)

    def choose(self, batch: Batch) -> IntArray:
        return self._bandit.choose(batch.features)

    def update(self, batch: Batch, arms: IntArray, rewards: FloatArray) -> None:
        self._bandit.update(batch.features, arms, rewards)


class MabWiser:
    """mabwiser's LinUCB or LinTS."""

    must_be_fitted = True

    def __init__(self, _n_features: int, n_arms: int, seed: int, *, policy: str, alpha: float) -> None:
        mab = package("mabwiser.mab")
        self._n_arms, self._is_fitted = n_arms, False
        self._mab = mab.MAB(list(range(n_arms)), getattr(mab.LearningPolicy, policy)(alpha=alpha), seed=seed)

    def grow(self, n_arms: int) -> None:
        for arm in range(self._n_arms, n_arms):
            self._mab.add_arm(arm)
        self._n_arms = n_arms

    def choose(self, batch: Batch) -> IntArray:
        return np.atleast_1d(self._mab.predict(batch.features))

    def update(self, batch: Batch, arms: IntArray, rewards: FloatArray) -> None:
        fit = self._mab.partial_fit if self._is_fitted else self._mab.fit
        fit(arms, rewards, batch.features)
        self._is_fitted = True


class River:
    """river's LinUCBDisjoint."""

    must_be_fitted = False

    def __init__(self, _n_features: int, n_arms: int, seed: int, *, alpha: float, beta: float) -> None:
        self._bandit = package("river.bandit").LinUCBDisjoint(alpha=alpha, beta=beta, seed=seed)
        self._arms = list(range(n_arms))

    def grow(self, n_arms: int) -> None:
        self._arms = list(range(n_arms))

    def choose(self, batch: Batch) -> IntArray:
        return np.array([self._bandit.pull(self._arms, context=row) for row in self._rows(batch)])

    def update(self, batch: Batch, arms: IntArray, rewards: FloatArray) -> None:
        for row, arm, reward in zip(self._rows(batch), arms.tolist(), rewards.tolist(), strict=True):
            self._bandit.update(arm, row, reward)

    @staticmethod
    def _rows(batch: Batch) -> list[dict[int, float]]:
        return [dict(enumerate(row)) for row in batch.features.tolist()]


class ContextualBandits:
    """contextualbandits' LinUCB or BootstrappedTS (of linear regressions that are updated in batches)."""

    must_be_fitted = True

    def __init__(self, _n_features: int, n_arms: int, seed: int, *, policy: str, **settings: float) -> None:
        online = package("contextualbandits.online")
        self._n_arms = n_arms
        if policy == "LinUCB":
            self._bandit = online.LinUCB(n_arms, random_state=seed + 1, **settings)
        else:
            base = package("contextualbandits.linreg").LinearRegression(**settings)
            self._bandit = online.BootstrappedTS(base, n_arms, batch_train=True, random_state=seed + 1)

    def grow(self, n_arms: int) -> None:
        for _ in range(self._n_arms, n_arms):
            self._bandit.add_arm()
        self._n_arms = n_arms

    def choose(self, batch: Batch) -> IntArray:
        return np.asarray(self._bandit.predict(batch.features[:, 1:]))  # it has an intercept of its own

    def update(self, batch: Batch, arms: IntArray, rewards: FloatArray) -> None:
        self._bandit.partial_fit(np.ascontiguousarray(batch.features[:, 1:]), arms, rewards)


class BayesianBandits:
    """bayesianbandits' Thompson sampling of a normal regression an arm.

    One pull draws one set of coefficients for all its rows, so a pull of a whole batch would explore hardly at all; a pull a
    row costs a minute a run. Ten rows a pull explore as well as single ones do, for all that can be measured.
    """

    must_be_fitted = False

    def __init__(self, _n_features: int, n_arms: int, seed: int, *, alpha: float, beta: float) -> None:
        self._package = package("bayesianbandits")
        self._settings = {"alpha": alpha, "beta": beta}
        arms = [self._arm(k) for k in range(n_arms)]
        self._agent = self._package.ContextualAgent(arms, self._package.ThompsonSampling(), random_seed=seed)

    def grow(self, n_arms: int) -> None:
        for arm in range(len(self._agent.arms), n_arms):
            self._agent.add_arm(self._arm(arm))

    def choose(self, batch: Batch) -> IntArray:
        firsts = range(0, len(batch.features), _ROWS_A_PULL)
        return np.concatenate([self._agent.pull(batch.features[first : first + _ROWS_A_PULL]) for first in firsts])

    def update(self, batch: Batch, arms: IntArray, rewards: FloatArray) -> None:
        for arm in np.unique(arms).tolist():
            self._agent.select_for_update(arm).update(batch.features[arms == arm], rewards[arms == arm])

    def _arm(self, number: int) -> Any:  # noqa: ANN401 - of a package without types
        return self._package.Arm(number, learner=self._package.NormalRegressor(**self._settings))


class Gittins:
    """gittins: contexts as they are, arms as candidates without features; all but the required bits is its default."""

    must_be_fitted = False

    def __init__(self, _n_features: int, n_arms: int, seed: int, *, bits: int) -> None:
        self._package = package("gittins")
        self._state = self._package.create(bits=bits, horizon=1e9)
        self._seed, self._arms = seed, [(f"a{k}", {}) for k in range(n_arms)]
        self._records: list[Any] = []

    def grow(self, n_arms: int) -> None:
        self._arms = [(f"a{k}", {}) for k in range(n_arms)]

    def choose(self, batch: Batch) -> IntArray:
        decide = self._package.decide
        self._records = [
            decide(self._state, dict(send.arrival.context), self._arms, _seconds(send), f"{self._seed}-{send.number}")
            for send in batch.sends
        ]
        return np.array([record.chosen for record in self._records])

    def update(self, batch: Batch, arms: IntArray, rewards: FloatArray) -> None:
        del arms
        at = _seconds(batch.sends[-1])
        for record, reward in zip(self._records, rewards.tolist(), strict=True):
            self._package.learn(self._state, record.decision_id, reward, at)


def _seconds(send: Send) -> float:
    return send.arrival.at.timestamp()


def package(name: str) -> ModuleType:
    """A package of the bench group."""
    return import_module(name)


def versions(names: Sequence[str]) -> dict[str, str]:
    """Installed versions of packages, for the results."""
    return {name: version(name) for name in names}
