"""The learner's protocols: one that trains, one that serves, and the entry that ties them to a name."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

from bandit.campaign import Campaign, Option
from bandit.context import EncodedContext
from bandit.estimates import Estimates, Need, Offer
from bandit.fault import Fault
from bandit.snapshot import Snapshot

State = TypeVar("State")


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One matured decision, as a learner sees it.

    Attributes:
        context: the context as used.
        picks: the chosen arm's position in each dimension.
        reward: what its outcomes were worth; what recent messages cost is known, and not in it.
        labels: for each outcome type of the campaign, 1.0 where it happened within the window, else 0.0.
        propensities: of the chosen arm in each dimension, given the earlier picks.
        pmfs: of each dimension, in the campaign's arm order; 0 where an arm was not on offer.
    """

    context: EncodedContext
    picks: tuple[int, ...]
    reward: float
    labels: tuple[float, ...]
    propensities: tuple[float, ...]
    pmfs: tuple[tuple[float, ...], ...]

    def offered(self, dimension: int) -> list[int]:
        """Positions of the arms that were on offer in a dimension."""
        return [arm for arm, probability in enumerate(self.pmfs[dimension]) if probability > 0.0]


class Learner(Protocol):
    """Trains: matured rows in, snapshot out. One owner, one thread; it never serves."""

    @property
    def n_learned(self) -> int:
        """Decisions learned from so far."""

    def learn(self, row: TrainingRow) -> None:
        """Learn from one matured decision."""

    def learn_many(self, rows: Sequence[TrainingRow]) -> None:
        """The same for many, in order: what comes out is what `learn` makes of them one by one, sooner."""

    def snapshot(self, *, watermark: int) -> Snapshot:
        """Freeze what was learned so far."""


class Scorer(Protocol[State]):
    """Serves: says what a snapshot believes about the arms of one dimension after another.

    `State` is whatever it needs to remember between the dimensions of one decision; it is passed along, never kept, so
    that two decisions cannot touch each other.
    """

    @property
    def n_learned(self) -> int:
        """Decisions the snapshot had learned from."""

    def start(self, context: EncodedContext) -> State:
        """The state before the first pick."""

    def estimates(self, state: State, dimension: int, offered: Sequence[int]) -> Estimates:
        """Estimates of the arms of a dimension, given the picks in the state; arrays of shape (n_arms,).

        Entries of arms whose positions are not in `offered` mean nothing.
        """

    def offer(self, state: State, dimension: int, offered: Sequence[int]) -> Offer:
        """The same in plain numbers, of the arms on offer only: the form in which single decisions are made."""

    def after(self, state: State, dimension: int, pick: int) -> State:
        """The state after a pick."""

    def whole(self, state: State, dimension: int, pick: int) -> float | None:
        """Expected reward of the whole choice: the picks in the state and this last one; None if it is not known."""


@dataclass(frozen=True, slots=True)
class LearnerKind:
    """A learner's entry in the registry: what it provides, and how to make, continue and serve it.

    `live` serves a learner of this kind as it stands: the same as `serve` makes of its snapshot, without the detour over
    bytes. A rehearsal that learns after every send spends most of its time on that detour. `wears` says whether it learns
    from what a customer got before (`bandit.wear_out`).
    """

    name: str
    provides: frozenset[Need]
    wears: bool
    fresh: Callable[[Campaign], Learner]
    resume: Callable[[Campaign, Snapshot], Learner]
    serve: Callable[[Campaign, Snapshot], Scorer[Any]]
    live: Callable[[Campaign, Any], Scorer[Any]]
    faults: Callable[[Mapping[str, Option]], list[Fault]]
