"""What is usual among all customers: what those with few events are drawn towards, and where quintiles begin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import msgspec
import numpy as np

from bandit.arrays import FloatArray
from bandit.errors import UnusableEvents
from bandit.profile.events import FRACTION
from bandit.profile.spec import ProfileSpec
from bandit.profile.sums import DAY_MICROSECONDS, N_CELLS, N_MONTHS, NEVER, PERIOD, Counts, Sums, n_periods

N_QUINTILES = 5


@dataclass(frozen=True, slots=True)
class Population:
    """Fitted once on many customers, and then the same for whoever is asked about.

    Attributes:
        at: the time whose sums it was fitted on, in microseconds since 1970.
        n_customers: in them.
        cells: shares of activity of the hours of the week, shape (N_CELLS,); the sum is 1.
        months: of the months of the year, shape (N_MONTHS,).
        open_rate, click_rate: of the messages sent.
        discounted: the share of purchases that were bought at a lower price.
        loyalty: the share of stretches of 30 days since the first purchase in which customers bought.
        recency, frequency, monetary: the four numbers between the quintiles of customers who bought: days, purchases, money.
    """

    at: int
    n_customers: int
    cells: tuple[float, ...]
    months: tuple[float, ...]
    open_rate: float
    click_rate: float
    discounted: float
    loyalty: float
    recency: tuple[float, ...]
    frequency: tuple[float, ...]
    monetary: tuple[float, ...]

    def to_json(self) -> bytes:
        """The population as JSON; numbers are the same to the last bit when it is read again."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> Population:
        """A population from its JSON.

        Raises:
            UnusableEvents: if it is none.
        """
        try:
            read = msgspec.json.decode(data, type=Population)
        except msgspec.DecodeError as error:
            raise UnusableEvents(
                f"the kept population cannot be read ({error}). Fit it again on the events."
            ) from error
        if len(read.cells) != N_CELLS or len(read.months) != N_MONTHS:
            raise UnusableEvents(
                "the kept population has other hours or months than a week and a year have. Fit it again."
            )
        return read


def population_of(sums: Sums, spec: ProfileSpec) -> Population:
    """Fit a population on the sums of some customers.

    Shares of hours and months begin with one event in each, rates with one message or purchase that went each way, so that
    nothing is impossible and a population without any customer knows nothing.
    """
    counts, bought = sums.counts, sums.last["purchase"] != NEVER
    money = counts["money"] / FRACTION
    return Population(
        at=sums.at,
        n_customers=len(sums),
        cells=_shares(sums.cells.sum(axis=0)),
        months=_shares(sums.months.sum(axis=0)),
        open_rate=_rate(counts["opens"], counts["sent"]),
        click_rate=_rate(counts["clicks"], counts["sent"]),
        discounted=_rate(counts["discounted"], counts["purchases"]),
        loyalty=_rate(sums.periods, elapsed_periods(sums, spec)),
        recency=_cuts(sums.days_since(sums.last["purchase"])[bought]),
        frequency=_cuts(counts["purchases"][counts["purchases"] > 0].astype(np.float64)),
        monetary=_cuts(money[counts["purchases"] > 0]),
    )


def elapsed_periods(sums: Sums, spec: ProfileSpec) -> Counts:
    """Stretches of 30 days since the first purchase, at most those of the window; 0 for whoever never bought; shape (n,)."""
    first = sums.first["purchase"]
    days = sums.at // DAY_MICROSECONDS - np.where(first == NEVER, sums.at, first) // DAY_MICROSECONDS
    elapsed = np.minimum(days // PERIOD + 1, n_periods(spec.windows.purchases))
    return np.where(first == NEVER, 0, elapsed)


def smoothed(successes: Counts, trials: Counts, prior: float, strength: float) -> FloatArray:
    """Rates drawn towards that of the population, at most 1, NaN where there was no trial.

    min(1, (successes + strength * prior) / (trials + strength)): the mean of a Beta posterior whose prior is worth
    `strength` trials.

    Source: Gelman et al. (2013), Bayesian Data Analysis, 2.4.

    >>> smoothed(np.array([0, 1]), np.array([0, 2]), 0.2, 8.0).tolist()
    [nan, 0.26]
    """
    rate = np.minimum((successes + strength * prior) / (trials + strength), 1.0)
    return np.where(trials > 0, rate, np.nan)


def quintile(values: FloatArray, cuts: Sequence[float]) -> Counts:
    """The quintile of each value, from 1 to 5; 1 where there are no cuts.

    >>> quintile(np.array([1.0, 2.5, 9.0]), (1.0, 2.0, 3.0, 4.0)).tolist()
    [1, 3, 5]
    """
    return np.searchsorted(np.array(cuts, dtype=np.float64), values, side="left").astype(np.int64) + 1


def _shares(counts: Counts) -> tuple[float, ...]:
    total = int(counts.sum()) + len(counts)
    return tuple((count + 1) / total for count in counts.tolist())


def _rate(successes: Counts, trials: Counts) -> float:
    total = int(trials.sum())
    return min((int(successes.sum()) + 1) / (total + 2), 1.0)


def _cuts(values: FloatArray) -> tuple[float, ...]:
    """The values below which a fifth, two, three and four fifths lie; each is one of them."""
    if not len(values):
        return ()
    ordered, n = np.sort(values), len(values)
    places = [-(-part * n // N_QUINTILES) - 1 for part in range(1, N_QUINTILES)]
    return tuple(float(ordered[max(place, 0)]) for place in places)
