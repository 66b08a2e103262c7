"""The rows of a log that a world is fitted to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.errors import UnusableLog
from bandit.logged_time import filled_in
from simulator.click_world import START
from simulator.world import ChoiceGrid, IntArray

LEAST_ROWS = 200
"""Fewer rows say next to nothing about how customers differ, whatever is fitted to them."""


@dataclass(frozen=True, slots=True, eq=False)
class FitRows:
    """Sends of a log with what came of them, as columns.

    Args:
        choices: what could be sent.
        contexts: of each send, n in all.
        picks: shape (n, n_dimensions), positions of the arms that were sent.
        propensities: shape (n,), of the whole choice.
        labels: shape (n, n_types): 1 where a type of outcome happened within its window, else 0.
        types: the outcomes' names.
        worths: what each is worth, in reward units.
        customers: who got each send.
        delays: type to hours from send to outcome, as many as were seen, in any order; without any it happens at once.
        at: hours since the first send, shape (n,); None where the log does not say, or has no order but its own.
        start: the time of the first send, in UTC.
        exclusive: whether at most one type happens after a send, as with levels of an amount.

    Raises:
        UnusableLog: if there are too few rows, columns of different lengths, or numbers that cannot be.
    """

    choices: ChoiceGrid
    contexts: Sequence[Mapping[str, ContextValue]] = field(repr=False)
    picks: IntArray = field(repr=False)
    propensities: FloatArray = field(repr=False)
    labels: FloatArray = field(repr=False)
    types: tuple[str, ...]
    worths: tuple[float, ...]
    customers: Sequence[str] = field(repr=False)
    delays: Mapping[str, FloatArray] = field(default_factory=dict, repr=False)
    at: FloatArray | None = field(default=None, repr=False)
    start: datetime = START
    exclusive: bool = False

    def __post_init__(self) -> None:
        if len(self) < LEAST_ROWS:
            raise UnusableLog(
                f"{len(self)} rows with a final reward, need at least {LEAST_ROWS} (and some thousands to tell customers "
                "apart): a world fitted to fewer would only repeat their luck. Wait for more, or rehearse in a made-up world."
            )
        self._require_shapes()
        self._require_numbers()

    def __len__(self) -> int:
        return len(self.contexts)

    @property
    def rewards(self) -> FloatArray:
        """Of each send, shape (n,)."""
        found: FloatArray = self.labels @ np.array(self.worths)
        return found

    @property
    def moments(self) -> tuple[datetime, ...] | None:
        """When each send was decided, in UTC; None where the log does not say."""
        if self.at is None:
            return None
        return tuple(self.start + timedelta(hours=hours) for hours in (self.at - self.at.min()).tolist())

    def as_decided_by(self, campaign: Campaign) -> FitRows:
        """The rows with what a campaign makes of their times, each on its customer's clock; nothing of it without times.

        Raises:
            UnusableLog: if a row's zone is none, naming the row.
        """
        if campaign.time is None:
            return self
        given = [campaign.given_of(context) for context in self.contexts]
        moments = self.moments
        if moments is None:
            return replace(self, contexts=given)
        rows = zip(given, moments, strict=True)
        found = [
            filled_in(campaign.time, context, at, f"row {number} of the log")
            for number, (context, at) in enumerate(rows, start=1)
        ]
        return replace(self, contexts=found)

    def only(self, kept: IntArray | slice) -> FitRows:
        """Some of the rows, with all that is known of delays.

        Args:
            kept: their positions.
        """
        places = range(len(self))[kept] if isinstance(kept, slice) else kept.tolist()
        at, start = None, self.start
        if self.at is not None:
            at = self.at[kept]
            # What begins later begins at its own time: what time it is matters.
            start += timedelta(hours=float(at.min() - self.at.min())) if at.size else timedelta(0)
        return FitRows(
            self.choices, [self.contexts[i] for i in places], self.picks[kept], self.propensities[kept], self.labels[kept],
            self.types, self.worths, [self.customers[i] for i in places], self.delays, at, start, self.exclusive,
        )  # fmt: skip

    def _require_shapes(self) -> None:
        n = len(self)
        found = {
            "picks": (self.picks.shape, (n, len(self.choices.shape))),
            "propensities": (self.propensities.shape, (n,)),
            "labels": (self.labels.shape, (n, len(self.types))),
            "worths": ((len(self.worths),), (len(self.types),)),
            "customers": ((len(self.customers),), (n,)),
            "at": ((n,) if self.at is None else self.at.shape, (n,)),
        }
        for name, (shape, wanted) in found.items():
            if shape != wanted:
                raise UnusableLog(f"{name} has shape {shape}, need {wanted}: one entry a row of the log, in its order.")
        unknown = set(self.delays) - set(self.types)
        if unknown:
            raise UnusableLog(f"delays are of {', '.join(sorted(unknown))}, which is no type: {', '.join(self.types)}.")

    def _require_numbers(self) -> None:
        if not ((self.propensities > 0.0) & (self.propensities <= 1.0)).all():
            raise UnusableLog(
                "a propensity is not in (0, 1]: what the fitted world says could not be held against the log. Correct or drop "
                "such rows."
            )
        if not np.isin(self.labels, (0.0, 1.0)).all():
            raise UnusableLog("a label is neither 0 nor 1: a type of outcome happens within the window, or does not.")
        if not ((self.picks >= 0) & (self.picks < np.array(self.choices.shape))).all():
            raise UnusableLog(f"a pick is not the position of an arm; the dimensions have {self.choices.shape} arms.")
        if any(
            not (hours.size and (hours >= 0.0).all() and np.isfinite(hours).all()) for hours in self.delays.values()
        ):
            raise UnusableLog("a delay is not a number of hours of at least 0: leave a type without delays out.")
