"""A batch of a log's rows as columns: what was sent, with which probabilities, to whom, and what came of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.campaign import Campaign
from bandit.context import Context, ContextValue, EncodedContext
from bandit.errors import UnusableLog
from bandit.exclusion import Excluded
from bandit.schema import Schema
from bandit.wear_out import Exposure

IntArray = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Layout:
    """The dimensions of a log and their arms, in order."""

    dimensions: tuple[str, ...]
    arms: tuple[tuple[str, ...], ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of arms of each dimension."""
        return tuple(len(arms) for arms in self.arms)

    def picks_of(self, choice: Mapping[str, str]) -> tuple[int, ...]:
        """The arms' positions.

        Raises:
            UnusableLog: if a dimension is missing or unknown, or an arm is not in the log.
        """
        if set(choice) != set(self.dimensions):
            raise UnusableLog(
                f"the choice names {', '.join(choice) or 'nothing'}, the log has {', '.join(self.dimensions)}. Name one arm for "
                "each of them."
            )
        return tuple(
            self._index(name, arms, choice[name]) for name, arms in zip(self.dimensions, self.arms, strict=True)
        )

    def _index(self, name: str, arms: tuple[str, ...], arm: str) -> int:
        if arm not in arms:
            raise UnusableLog(
                f"{name!r} has no arm {arm!r} in this log, so it cannot say what that earns. It has: {', '.join(arms[:20])}."
            )
        return arms.index(arm)


@dataclass(frozen=True, slots=True, eq=False)
class Sends:
    """Who got each row and when, for questions about groups and customers; all of shape (n,).

    Attributes:
        groups: learner, random or control.
        customers: their keys.
        decided_at: datetime64 in UTC.
        sent_at: the same; NaT where nobody said.
    """

    groups: NDArray[np.object_]
    customers: NDArray[np.object_]
    decided_at: NDArray[np.datetime64]
    sent_at: NDArray[np.datetime64]

    def only(self, at: Sequence[int]) -> Sends:
        """Some of the rows."""
        return Sends(self.groups[at], self.customers[at], self.decided_at[at], self.sent_at[at])


@dataclass(frozen=True, slots=True, eq=False)
class LogBatch:
    """Rows of one log, in order.

    Attributes:
        layout: the log's dimensions and arms.
        numbers: shape (n,), of the rows in the log, counted from 1 and ascending.
        rewards: shape (n,).
        picks: shape (n, n_dimensions), positions of the logged arms.
        propensities: shape (n, n_dimensions), each given the earlier picks.
        pmfs: for each dimension shape (n, n_arms), given the logged earlier picks; None where the log has none.
        context: a column for each name, as read.
        targets: columns that hold the target's probability of the logged choice.
        is_product: shape (n,), whether the dimensions were drawn independently of each other.
        exposures: of each row, what the customer had got before; None where the log does not say.
        offered: for each dimension shape (n, n_arms), what could have been sent; None takes what had some probability.
        deciders: of each row, the snapshot that decided, empty where the random policy did; None where the log does not say.
        sends: who got each row and when; None where nobody asked.
        excluded: of each row, the arms that its caller kept out; None where the log does not say.
        recent_sends: of each row, messages that its customer had got lately; None where the log does not say.
        worths: shape (n,), what the outcomes were worth, from which a cost of those messages was taken off; None where nothing
            was, or nobody says what they cost.
    """

    layout: Layout
    numbers: IntArray
    rewards: FloatArray
    picks: IntArray
    propensities: FloatArray
    pmfs: tuple[FloatArray, ...] | None = None
    context: Mapping[str, Sequence[ContextValue]] = field(default_factory=dict)
    targets: Mapping[str, FloatArray] = field(default_factory=dict)
    is_product: NDArray[np.bool_] | None = None
    exposures: Sequence[tuple[Exposure, ...]] | None = None
    deciders: Sequence[str] | None = None
    offered: tuple[NDArray[np.bool_], ...] | None = None
    sends: Sends | None = None
    excluded: Sequence[tuple[Excluded, ...]] | None = None
    recent_sends: Sequence[int | None] | None = None
    worths: FloatArray | None = None

    def __len__(self) -> int:
        return len(self.rewards)

    @property
    def first_row(self) -> int:
        """Number of the first row, for messages."""
        return int(self.numbers[0]) if len(self.numbers) else 1

    @property
    def rewarded(self) -> BoolArray:
        """Shape (n,): whether the outcomes were worth anything, whatever recent messages took off that.

        Caution: where a log says how many those were, and nobody what they cost, a loss may be their cost and does not count.
        """
        if self.worths is not None:
            return np.not_equal(self.worths, 0.0)
        if self.recent_sends is None:
            return np.not_equal(self.rewards, 0.0)
        may_cost = np.array([bool(count) for count in self.recent_sends], dtype=np.bool_)
        return (self.rewards > 0.0) | ((self.rewards < 0.0) & ~may_cost)

    @property
    def may_cost(self) -> bool:
        """Whether recent messages took something off the rewards, as far as the log says."""
        return self.worths is not None or any(self.recent_sends or ())

    def contexts(self) -> Iterator[dict[str, ContextValue]]:
        """The context of each row."""
        names = list(self.context)
        for values in zip(*self.context.values(), strict=True) if names else ((),) * len(self):
            yield dict(zip(names, values, strict=True))

    def encoded(self, schema: Schema) -> Iterator[EncodedContext]:
        """What each row was decided from, as far as the log says."""
        nothing, unsaid = [()] * len(self), [None] * len(self)
        parts = (self.exposures or nothing, self.excluded or nothing, self.recent_sends or unsaid)
        for context, exposures, excluded, recent_sends in zip(self.contexts(), *parts, strict=True):
            yield schema.encode(Context(context))._replace(
                exposures=exposures, excluded=excluded, recent_sends=recent_sends
            )

    def tells_past(self, campaign: Campaign) -> bool:
        """Whether the log says all that the campaign asks of what customers had got before."""
        tells_exposures = campaign.wear_out is None or self.exposures is not None
        return tells_exposures and (campaign.reward.recent_send is None or self.recent_sends is not None)

    def only(self, kept: NDArray[np.bool_]) -> LogBatch:
        """The rows that a mask of shape (n,) keeps, with their numbers."""
        if kept.all():
            return self
        at: list[int] = np.flatnonzero(kept).tolist()
        return replace(
            self,
            rewards=self.rewards[at],
            picks=self.picks[at],
            propensities=self.propensities[at],
            pmfs=None if self.pmfs is None else tuple(pmf[at] for pmf in self.pmfs),
            context={name: [values[i] for i in at] for name, values in self.context.items()},
            targets={name: values[at] for name, values in self.targets.items()},
            is_product=None if self.is_product is None else self.is_product[at],
            exposures=None if self.exposures is None else [self.exposures[i] for i in at],
            numbers=self.numbers[at],
            deciders=None if self.deciders is None else [self.deciders[i] for i in at],
            offered=None if self.offered is None else tuple(mask[at] for mask in self.offered),
            sends=None if self.sends is None else self.sends.only(at),
            excluded=None if self.excluded is None else [self.excluded[i] for i in at],
            recent_sends=None if self.recent_sends is None else [self.recent_sends[i] for i in at],
            worths=None if self.worths is None else self.worths[at],
        )

    def eligible(self, dimension: int) -> NDArray[np.bool_]:
        """Shape (n, n_arms): what could have been sent; everything where the log does not say."""
        if self.offered is not None:
            return self.offered[dimension]
        if self.pmfs is None:
            return np.ones((len(self), self.layout.sizes[dimension]), dtype=np.bool_)
        found: NDArray[np.bool_] = self.pmfs[dimension] > 0.0
        return found
