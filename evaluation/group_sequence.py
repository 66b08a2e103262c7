"""What one randomised group earns beyond another, in bounds that may be looked at every day.

A group is drawn once a customer, by a hash: the first send of a customer is a fresh draw, later ones are not. Two kinds
of bounds follow, and `ConfidenceSequence.method` says which one it is:

- Bets on first sends. Right after every row, however few there are. Used when nobody has a second send, or on demand.
- Sums by customer over all sends, for large samples. Used when customers repeat: their later sends are most of the log.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import log, sqrt

import numpy as np
import scipy
from numpy.typing import ArrayLike, NDArray

from bandit.arrays import BoolArray, FloatArray
from bandit.errors import UnusableLog
from evaluation.bets import Bets
from evaluation.betting_sequence import UNPLANNED
from evaluation.empirical_bernstein import ConfidenceSequence, in_order, mean_before
from evaluation.grouped_sends import GroupedSends
from evaluation.intervals import require_level
from evaluation.looks import checked_looks, horizons
from evaluation.reward_range import scaled

LARGEST_STAKE = 0.75
"""Share of the wealth that may be lost on one row. One control reward may weigh 20 others, so it is more than elsewhere."""

LEAST_REWARDED = 20.0
"""Customers of a group that carry its spread, (sum d^2)^2 / sum d^4; of rare clicks, the customers who clicked. With fewer
a sum is not nearly normal, and sums by customer say nothing."""


def group_sequence(
    sends: GroupedSends,
    rewards: ArrayLike,
    confidence_level: float = 0.95,
    *,
    reward_range: tuple[float, float] = (0.0, 1.0),
    planned: int | None = None,
    looks: ArrayLike | None = None,
    first_only: bool = False,
    rewarded: BoolArray | None = None,
) -> ConfidenceSequence:
    """What a treated send earns beyond a control send, however often somebody looks.

    First sends: bets on T (r - b) / p - (1 - T) (r - b) / (1 - p), T being 1 for treated, p their share, b the mean reward
    of the rows before. All sends: difference of the groups' means +- z(n) times its error with customers as units, z(n)
    being where the same gamblers would stand in the limit of many customers, sqrt(L / 2) (sqrt(N / n) + sqrt(n / N)) for
    N planned rows and L = ln(2 / alpha).

    Args:
        sends: groups and customers.
        rewards: shape (n,), matured, in `reward_range`, in the same order.
        confidence_level: in (0, 1), of both bounds at all looks together.
        reward_range: least and largest reward that is possible, not that was seen.
        planned: rows after which the bounds shall be narrowest, settled before the first look; None if unsettled.
        looks: shape (n_looks,), rising numbers of rows after which to give bounds; None for the last row alone.
        first_only: use first sends alone though customers repeat; exact, but about another question and much wider.
        rewarded: shape (n,), whether outcomes were worth anything, where rewards have known costs in them, whose spread says
            nothing of how few outcomes there are; None where they have none.

    Returns:
        The bounds at each look, in reward units; of all sends, the whole possible range until enough customers of each
        group have been rewarded.

    Raises:
        UnusableLog: if rewards are not what is said above, or the bounds contradict each other.
        InvalidSettings: if another argument is out of range.

    Caution: pass rows up to some decision, all matured. The effect is taken as constant; the base rate may drift. Bounds of
    all sends need information that grows no faster than rows, and a customer who earned more than expected to go on so
    rather than the reverse. A ratio of these bounds to the control mean is no bound of the relative lift.

    Source: Waudby-Smith and Ramdas (2024), JRSS B 86, for the bets; Robbins and Siegmund (1970) for the line; Slepian (1962)
    for why looks that are more alike than those of independent sends cross it less often.

    >>> sends = GroupedSends.of([True, False] * 1000, range(2000), share=0.5)
    >>> answer = group_sequence(sends, [1, 0, 0, 0] * 500, planned=2000)
    >>> round(answer.ci_lower, 3), round(answer.ci_upper, 3)
    (0.458, 0.545)
    """
    require_level(confidence_level)
    outcomes = scaled(rewards, reward_range)
    if len(outcomes) != sends.n:
        raise UnusableLog(
            f"{len(outcomes)} rewards for {sends.n} sends. Pass one a row, of the same rows in the same order."
        )
    rows, plans, half = checked_looks(looks, sends.n), horizons(planned, UNPLANNED), (1 - confidence_level) / 2
    if first_only or not sends.repeats:
        name, lower, upper = "betting sequence", *_betting_bounds(sends, outcomes, rows, half, plans)
    else:
        known = np.ones(len(rows), dtype=np.bool_) if rewarded is None else _are_rewarded(sends, rewarded, rows)
        name = "sequence over customers' sums"
        lower, upper = _customer_bounds(sends, outcomes, rows, half, plans, known)
    width = reward_range[1] - reward_range[0]
    return in_order(rows, width * lower, width * upper, f"{name}, difference of groups")


def _betting_bounds(
    sends: GroupedSends, rewards: FloatArray, looks: NDArray[np.int64], half: float, plans: tuple[float, ...]
) -> tuple[FloatArray, FloatArray]:
    """Bounds of the difference between first sends, shape (n_looks,) each, for rewards in [0, 1]."""
    first, share = sends.first, sends.share
    treated, earned = sends.treated[first], rewards[first]
    base = mean_before(earned, 0.5)
    scores = (earned - base) * np.where(treated, 1 / share, -1 / (1 - share))
    variance = mean_before((earned - base) ** 2, 0.25) / (share * (1 - share))
    # The plan is in rows, of which only some are first sends; how many so far is known before the draw of the group.
    expected = np.array(plans)[:, np.newaxis] * (1 + np.arange(len(first))) / (1 + first)
    stakes = np.sqrt(2 * log(1 / half) / (expected * variance))
    n_first = np.searchsorted(first, looks)
    higher, lower = (
        Bets(signed, _least(centre, share), stakes, LARGEST_STAKE, lowest=-1.0).bounds(
            n_first, log(1 / half), lambda _: 1.0
        )
        for signed, centre in ((scores, base), (-scores, 1 - base))
    )
    return higher, -lower


def _least(base: FloatArray, share: float) -> FloatArray:
    """Least score of a row: a treated customer earned 0, or a control customer 1. Above -1 it is only by rounding."""
    return -np.maximum(np.maximum(base / share, (1 - base) / (1 - share)), 1.0)


def _customer_bounds(
    sends: GroupedSends,
    rewards: FloatArray,
    looks: NDArray[np.int64],
    half: float,
    plans: tuple[float, ...],
    known: BoolArray,
) -> tuple[FloatArray, FloatArray]:
    """Bounds of the difference between all sends, shape (n_looks,) each, for rewards in [0, 1], at the looks that are `known`."""
    lower, upper = np.full(len(looks), -1.0), np.full(len(looks), 1.0)
    treated = sends.treated[sends.first]
    for at, n in enumerate(looks.tolist()):
        earned = np.asarray(np.bincount(sends.member[:n], weights=rewards[:n]), dtype=np.float64)
        n_sends = np.bincount(sends.member[:n]).astype(np.int64)
        whose = treated[: len(earned)]
        groups = [_Totals.of(n_sends[who], earned[who]) for who in (whose, ~whose)]
        if known[at] and all(group.carried >= LEAST_REWARDED for group in groups):
            difference = groups[0].value - groups[1].value
            reach = _critical(n, half, plans) * _error(*groups)
            lower[at], upper[at] = difference - reach, difference + reach
    return np.maximum.accumulate(np.maximum(lower, -1.0)), np.minimum.accumulate(np.minimum(upper, 1.0))


def _are_rewarded(sends: GroupedSends, rewarded: BoolArray, looks: NDArray[np.int64]) -> BoolArray:
    """Whether enough customers of each group have been rewarded, shape (n_looks,)."""
    treated = sends.treated[sends.first]
    _, first = np.unique(sends.member[rewarded], return_index=True)
    rows = np.flatnonzero(rewarded)[first]
    whose = treated[sends.member[rows]]
    counts = [np.searchsorted(np.sort(rows[who]), looks) for who in (whose, ~whose)]
    return np.asarray(np.minimum(*counts) >= LEAST_REWARDED, dtype=np.bool_)


@dataclass(frozen=True, slots=True)
class _Totals:
    """A group at one look; `squares` are of what each customer earned beyond the group's value, `carried` by how many."""

    n_sends: int
    n_customers: int
    value: float
    squares: float
    carried: float

    @classmethod
    def of(cls, n_sends: NDArray[np.int64], earned: FloatArray) -> _Totals:
        total = int(n_sends.sum())
        value = float(earned.sum()) / max(total, 1)
        squares = (earned - value * n_sends) ** 2
        scale = float(squares.max(initial=0.0))
        # Equal customers leave squares of rounding only, by which nothing is carried.
        if scale <= 1e-24:
            return cls(total, len(earned), value, 0.0, 0.0)
        carried = float((squares / scale).sum() ** 2 / ((squares / scale) ** 2).sum())
        return cls(total, len(earned), value, float(squares.sum()), carried)


def _error(treated: _Totals, control: _Totals) -> float:
    """Standard error of the difference, by each group's own spread or by the spread of both, whichever says more.

    A small group that happened to be rewarded seldom has both too low a value and too small a spread, which looks
    certain and is not; the spread of both does not know of the accident.
    """
    both = (treated.squares + control.squares) / (treated.n_customers + control.n_customers - 2)
    own = [group.squares / (group.n_customers - 1) for group in (treated, control)]
    rows = [group.n_customers / group.n_sends**2 for group in (treated, control)]
    return sqrt(max(own[0] * rows[0] + own[1] * rows[1], both * (rows[0] + rows[1])))


def _critical(n: int, half: float, plans: tuple[float, ...]) -> float:
    """Standard errors after n rows at which the gamblers have 1 / half: mean of exp(z sqrt(2 L n / N) - L n / N)."""
    wanted, times = log(1 / half), n / np.array(plans)

    def excess(z: float) -> float:
        gained = z * np.sqrt(2 * wanted * times) - wanted * times
        return float(scipy.special.logsumexp(gained)) - log(len(times)) - wanted

    # Alone with its wealth each gambler stands on a line; with a part of it, somewhat higher.
    lines, parts = wanted * (1 + times), log(len(times))
    least, most = (((lines + more) / np.sqrt(2 * wanted * times)).min() for more in (0.0, parts))
    return float(scipy.optimize.brentq(excess, least * (1 - 1e-9), most * (1 + 1e-9)))
