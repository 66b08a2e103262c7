"""How far to trust a fitted world: what it says of policies that its log can judge as well."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import InvalidSettings
from evaluation.evaluate import Tally, conclude, tally_batch
from evaluation.intervals import is_binary, mean_interval
from evaluation.log_batch import LogBatch
from evaluation.methods import Known, methods_of
from evaluation.overlap import Verdict
from evaluation.target import CallableTarget, FixedTarget, Target, UniformTarget, certain
from evaluation.weighing import TargetWeigher
from simulator.fitted_world import FittedWorld
from simulator.world import IntArray

MOST_ARMS: Final = 12
"""Arms of one dimension that are each held against the log, the most sent ones."""
MOST_CHOICES: Final = 3
"""Whole choices of several dimensions, the best according to the world."""
MOST_ROWS: Final = 60_000
"""Rows that are judged by; of a longer log every so many-th."""
CLOSE: Final = 2.0
"""Standard errors that count as agreement."""
LOGGED, UNIFORM, BEST = "as logged", "uniform", "the world's best for each customer"
_AT_ONCE = 2_000


@dataclass(frozen=True, slots=True)
class Judged:
    """One policy, twice.

    Attributes:
        policy: its name.
        world: its value in the fitted world, mean reward a send.
        log: what the log says of it, with standard error and 95 % interval.
        se: of `log`; the world's own error is not in it.
        ci_lower, ci_upper: of `log`.
        verdict: whether the log can judge it.
    """

    policy: str
    world: float
    log: float
    se: float
    ci_lower: float
    ci_upper: float
    verdict: Verdict

    @property
    def apart(self) -> float:
        """World minus log, in standard errors of the log's answer."""
        return (self.world - self.log) / self.se if self.se else 0.0

    @property
    def is_judged(self) -> bool:
        """Whether the log's answer is worth holding anything against."""
        return self.verdict in {Verdict.RELIABLE, Verdict.THIN} and self.se > 0.0

    @property
    def agrees(self) -> bool:
        """Within `CLOSE` standard errors."""
        return abs(self.apart) <= CLOSE


@dataclass(frozen=True, slots=True)
class Trust:
    """What came of it.

    Attributes:
        rows: one a policy.
        method: the log's estimator.
    """

    rows: tuple[Judged, ...]
    method: str

    @property
    def n_judged(self) -> int:
        """Policies that the log can judge."""
        return sum(row.is_judged for row in self.rows)

    @property
    def n_agreeing(self) -> int:
        """Of these, how many the world agrees on."""
        return sum(row.is_judged and row.agrees for row in self.rows)

    @property
    def sentence(self) -> str:
        """For people."""
        found = f"agrees within {CLOSE:g} standard errors on {self.n_agreeing} of {self.n_judged} policies that the log can judge"
        if not self.n_judged:
            return "the log can judge none of these policies: nothing is known of how far the world is right"
        if self.n_agreeing == self.n_judged:
            return f"{found}; trust its differences between policies as far as they exceed the log's own errors"
        if self.n_agreeing >= 0.8 * self.n_judged:
            return f"{found}; trust it for policies like those, not for the others"
        return f"{found}; do not tune against it: what moves these customers is not in the model"


def trust(world: FittedWorld, batches: Sequence[LogBatch], *, seen: bool) -> Trust:
    """Hold a fitted world against a log.

    Args:
        world: fitted to this log or to an earlier part of it.
        batches: of the log.
        seen: whether these are just the rows that the world was fitted to, in their order; it then answers by fits to
            other customers. A later part of the log that it has not seen says more.

    Raises:
        InvalidSettings: if the rows are not those, or have other arms than the world.

    Caution: an arm's mean rate is fitted to the log, so agreement on constant arms is little news; the policy that picks by
    customer is where a model that saw what is not there gives itself away.
    """
    _require_same(world, batches, seen=seen)
    one = len(world.choices.shape) == 1
    product = not one and all(batch.is_product is not None and bool(batch.is_product.all()) for batch in batches)
    asked = _Asked(world, seen, "order-2" if product else "snips")
    for batch, predicted in _parts(world, batches, seen=seen):
        asked.look(batch, predicted)
    return Trust(tuple(asked.judged()), asked.method)


def _parts(world: FittedWorld, batches: Sequence[LogBatch], *, seen: bool) -> Iterator[tuple[LogBatch, FloatArray]]:
    """Few rows at a time, with what the world says of every choice for each."""
    step = -(-sum(map(len, batches)) // MOST_ROWS)
    first = 0
    for batch in batches:
        numbers = np.arange(first, first + len(batch))
        first += len(batch)
        for begin in range(0, len(batch), _AT_ONCE * step):
            kept = np.zeros(len(batch), dtype=np.bool_)
            kept[begin : begin + _AT_ONCE * step : step] = True
            some = batch.only(kept)
            predicted = (
                world.out_of_fold_rewards(numbers[kept]) if seen else world.expected_rewards(list(some.contexts()))
            )
            yield some, predicted


class _Asked:
    """The policies, and what is known of them so far."""

    def __init__(self, world: FittedWorld, seen: bool, method: str) -> None:
        self._world, self._seen, self.method = world, seen, method
        self._constant = self._constants()
        names = [UNIFORM, *("always " + self._name(k) for k in self._constant), BEST]
        self._claims: dict[str, list[FloatArray]] = {name: [] for name in (LOGGED, *names)}
        self._tallies: dict[str, Tally] = {}
        self._rewards: list[FloatArray] = []

    def look(self, batch: LogBatch, predicted: FloatArray) -> None:
        """Sum up some rows: what the world says, and what the log says."""
        world, at = self._world, np.arange(len(batch))
        # The log's rewards are less what recent messages cost, and its rows without what was out at their hour.
        predicted = world.less_costs(predicted, batch.recent_sends)
        pmf = world.random_pmf(list(batch.contexts()), batch.excluded or ())
        best = np.where(pmf > 0.0, predicted, -np.inf).argmax(axis=1)
        logged = np.ravel_multi_index(tuple(batch.picks.T), world.choices.shape)
        self._rewards.append(batch.rewards)
        self._claims[LOGGED].append(predicted[at, logged])
        self._weigh(UNIFORM, UniformTarget(), batch, (pmf * predicted).sum(axis=1))
        for k in self._constant:
            name = "always " + self._name(k)
            self._weigh(name, FixedTarget(self._places(k), name), batch, predicted[:, k])
        self._weigh(BEST, _per_row(world, best), batch, predicted[at, best])

    def judged(self) -> Iterator[Judged]:
        """One row a policy."""
        rewards = np.concatenate(self._rewards)
        plain = mean_interval(rewards)
        se = float(rewards.std(ddof=1) / np.sqrt(len(rewards)))
        world = {name: float(np.concatenate(parts).mean()) for name, parts in self._claims.items()}
        yield Judged(LOGGED, world[LOGGED], plain.estimate, se, plain.ci_lower, plain.ci_upper, Verdict.RELIABLE)
        for name, found in self._tallies.items():
            method = "snips" if name == BEST else self.method
            answer = conclude(found, methods_of((method,)), Known(is_binary(rewards)), name).answer
            if method not in answer.estimates:
                yield Judged(name, world[name], np.nan, 0.0, np.nan, np.nan, answer.overlap.verdict)
                continue
            one = answer.estimates[method]
            low, high = (np.nan if end is None else end for end in (one.ci_lower, one.ci_upper))
            yield Judged(name, world[name], one.value, one.se or 0.0, low, high, answer.overlap.verdict)

    def _weigh(self, name: str, target: Target, batch: LogBatch, claimed: FloatArray) -> None:
        self._claims[name].append(claimed)
        method = "snips" if name == BEST else self.method
        found = tally_batch(batch, methods_of((method,)), TargetWeigher(target))
        self._tallies[name] = self._tallies[name] + found if name in self._tallies else found

    def _constants(self) -> list[int]:
        """Numbers of the constant choices to ask about: whoever the customer is, they may be sent."""
        world = self._world
        contexts = list(world.rows.contexts[:_AT_ONCE])
        allowed = world.random_pmf(contexts).min(axis=0) > 0.0
        if len(world.choices.shape) == 1:
            counts = np.bincount(world.rows.picks[:, 0], minlength=len(allowed))
            return sorted(k for k in np.argsort(-counts, kind="stable")[:MOST_ARMS].tolist() if allowed[k])
        means = np.where(allowed, world.expected_rewards(contexts).mean(axis=0), -np.inf)
        return [k for k in np.argsort(-means, kind="stable")[:MOST_CHOICES].tolist() if allowed[k]]

    def _name(self, k: int) -> str:
        return ", ".join(self._world.choices.at(k).values())

    def _places(self, k: int) -> tuple[int, ...]:
        return self._world.choices.places(self._world.choices.at(k))


def _per_row(world: FittedWorld, numbers: IntArray) -> CallableTarget:
    """A choice of its own for each row of one batch."""
    places = np.stack(np.unravel_index(numbers, world.choices.shape), axis=1)

    def pmfs(batch: LogBatch) -> list[FloatArray]:
        # Given the earlier picks as logged: a row where these differ has weight 0 whatever follows.
        return [
            certain(np.ones((len(batch), size), dtype=np.bool_), places[:, d])
            for d, size in enumerate(batch.layout.sizes)
        ]

    return CallableTarget(pmfs, BEST)


def _require_same(world: FittedWorld, batches: Sequence[LogBatch], *, seen: bool) -> None:
    layouts = {(batch.layout.dimensions, batch.layout.arms) for batch in batches}
    own = (tuple(world.choices.dimensions), tuple(world.choices.dimensions.values()))
    if layouts != {own}:
        raise InvalidSettings(
            f"the log has other arms than the world that was fitted ({own}): judge it by its own log."
        )
    if seen and not np.array_equal(np.concatenate([batch.picks for batch in batches]), world.rows.picks):
        raise InvalidSettings(
            "these are not the rows that the world was fitted to, in their order: say seen=False for rows it has not seen."
        )
