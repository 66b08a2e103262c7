"""How long customers take to react, with a distribution function that is exact."""

from __future__ import annotations

import bisect
import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from statistics import NormalDist
from typing import Final

from scipy.special import log_ndtr, ndtr

from simulator.world import ImpossibleWorld

LONGEST_HOURS: Final = 10 * 365 * 24.0
"""No delay is longer: the tail of conversions is heavy, and a date must still exist."""

_STANDARD_NORMAL: Final = NormalDist()


@dataclass(frozen=True, slots=True)
class DelayPart:
    """Customers of one habit: log-normal delays, starting after a while.

    Args:
        share: of the customers who react, in [0, 1].
        median_hours: the middle delay, counted from `after_hours`.
        spread: standard deviation of the logarithm of the delay, dimensionless.
        after_hours: nobody of this habit reacts before.

    Raises:
        ImpossibleWorld: if a number is out of its range.
    """

    share: float
    median_hours: float
    spread: float
    after_hours: float = 0.0

    def __post_init__(self) -> None:
        good = 0.0 <= self.share <= 1.0 and 0.0 < self.median_hours < math.inf and 0.0 < self.spread < math.inf
        if not (good and 0.0 <= self.after_hours < math.inf):
            raise ImpossibleWorld(
                f"{self!r} cannot be drawn from: give a share in [0, 1], a positive median and spread, "
                "and an after_hours of at least 0."
            )

    def hours(self, position: float) -> float:
        """The delay at this position in (0, 1) of the distribution, without its start."""
        return self.median_hours * math.exp(self.spread * _STANDARD_NORMAL.inv_cdf(position))

    def share_within(self, hours: float, tail: float) -> float:
        """Share of the delays of at most this many hours, each multiplied by a Pareto factor of index `tail`."""
        if hours <= self.after_hours:
            return 0.0
        log_ratio = math.log((hours - self.after_hours) / self.median_hours)
        z = log_ratio / self.spread
        if math.isinf(tail):
            return float(ndtr(z))
        # Exponentially modified Gaussian; the product of a huge and a tiny number is taken in logarithms.
        exponent = tail * (tail * self.spread**2 / 2 - log_ratio) + log_ndtr(z - tail * self.spread)
        return max(float(ndtr(z)) - math.exp(exponent), 0.0)


@dataclass(frozen=True, slots=True)
class DelayMixture:
    """Delays of one event type: a mixture of habits, each delay perhaps stretched by a Pareto factor of at least 1.

    The factor exp(E), with E exponential of rate `tail`, makes the logarithm of a stretched delay the sum of a normal
    and an exponential, whose distribution function is known: P(ln T <= x) = Phi(z) - exp(tail (mu - x) +
    (tail s)^2 / 2) Phi(z - tail s), z = (x - mu) / s.

    Args:
        parts: habits whose shares sum to 1.
        tail: Pareto index of the factor; infinite for no stretching.

    Raises:
        ImpossibleWorld: if the shares do not sum to 1, or the index is not positive.

    Source: Grushka (1972), exponentially modified Gaussian; the logarithm of a log-normal times a Pareto.

    >>> quick = DelayMixture((DelayPart(1.0, median_hours=2.0, spread=1.0),))
    >>> quick.share_within(timedelta(hours=2)), replace(quick, tail=1.0).share_within(timedelta(hours=2)) < 0.5
    (0.5, True)
    """

    parts: tuple[DelayPart, ...]
    tail: float = math.inf
    _cumulative: tuple[float, ...] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        shares = [part.share for part in self.parts]
        if not math.isclose(math.fsum(shares), 1.0, abs_tol=1e-9):
            raise ImpossibleWorld(
                f"shares of the delay parts are {shares}, which sum to {math.fsum(shares)!r}: "
                "everyone who reacts has exactly one habit, so let them sum to 1."
            )
        if not self.tail > 0.0:
            raise ImpossibleWorld(f"tail is {self.tail!r}: give a positive index, or math.inf for no stretching.")
        object.__setattr__(self, "_cumulative", tuple(itertools.accumulate(shares))[:-1])

    def delay(self, positions: Sequence[float]) -> timedelta:
        """One delay.

        Args:
            positions: three independent numbers in (0, 1): which habit, where in its distribution, how stretched.
                Two mixtures that differ only in `tail` give, for the same positions, the shorter delay to the larger.
        """
        which, where, stretch = positions
        part = self.parts[bisect.bisect(self._cumulative, which)]
        hours = part.after_hours + part.hours(where) * math.exp(min(-math.log(stretch) / self.tail, 100.0))
        return timedelta(hours=min(hours, LONGEST_HOURS))

    def share_within(self, window: timedelta) -> float:
        """Exact share of the delays that end within this window, in [0, 1]."""
        hours = window / timedelta(hours=1)
        if hours >= LONGEST_HOURS:
            return 1.0
        return math.fsum(part.share * part.share_within(hours, self.tail) for part in self.parts)


def _usual(quick: float, slow: float, beyond: float) -> DelayMixture:
    """Shares of those who react within minutes, within days, and after every sensible window."""
    return DelayMixture(
        (
            DelayPart(quick, median_hours=0.35, spread=1.1),
            DelayPart(slow, median_hours=13.0, spread=1.0),
            DelayPart(beyond, median_hours=240.0, spread=0.5, after_hours=30 * 24.0),
        )
    )


USUAL_CLICKS: Final = _usual(quick=0.55, slow=0.42, beyond=0.03)
USUAL_UNSUBSCRIBES: Final = _usual(quick=0.60, slow=0.37, beyond=0.03)
USUAL_COMPLAINTS: Final = _usual(quick=0.40, slow=0.55, beyond=0.05)


@dataclass(frozen=True, slots=True)
class DelayModel:
    """Delays after a send, by event type; independent of who the customer is and what was chosen.

    A conversion takes the delay of its own click times a Pareto factor, so it never precedes the click, and a
    conversion within the window has its click there too.

    Args:
        click: delays of clicks.
        unsubscribe: delays of unsubscribes.
        complaint: delays of complaints.
        conversion_tail: Pareto index of the factor; 1.5 gives a median factor of 1.6.
    """

    click: DelayMixture = USUAL_CLICKS
    unsubscribe: DelayMixture = USUAL_UNSUBSCRIBES
    complaint: DelayMixture = USUAL_COMPLAINTS
    conversion_tail: float = 1.5

    def of(self, event_type: str) -> DelayMixture:
        """Delays of this event type, from the send (conversions too).

        Raises:
            ImpossibleWorld: if the type has no delays here.
        """
        match event_type:
            case "click":
                return self.click
            case "conversion":
                return replace(self.click, tail=self.conversion_tail)
            case "unsubscribe":
                return self.unsubscribe
            case "complaint":
                return self.complaint
        raise ImpossibleWorld(
            f"event type {event_type!r} has no delays: use click, conversion, unsubscribe or complaint."
        )
