"""Sessions: stretches in which somebody was active without a break longer than a gap.

An event is active at its moment; the end of a session that says how many minutes it was long, during these. A session is a
maximal chain of such stretches of which each begins within the gap after the end of the others. So sessions depend on the set
of events and not on their order, and an event that comes late joins the two sessions it stands between.

Source: the break of 30 minutes is that of web analytics (Catledge and Pitkow 1995 found 25.5 minutes).
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from operator import itemgetter
from typing import Final

import numpy as np

from bandit.profile.sums import Counts

LONGEST_MINUTES: Final = 1440.0
Stretch = tuple[int, int]
"""First and last second."""
_START, _END = itemgetter(0), itemgetter(1)


def joined(sessions: Sequence[Stretch], new: Stretch, *, gap: int) -> list[Stretch]:
    """Sessions with one more stretch, in order of time.

    Args:
        sessions: disjoint, more than the gap apart, in order of time.
        new: first and last second.
        gap: seconds; a longer break ends a session.

    >>> joined([(0, 10), (100, 110)], (40, 70), gap=30)
    [(0, 110)]
    >>> joined([(0, 10)], (41, 50), gap=30)
    [(0, 10), (41, 50)]
    """
    start, end = new
    first = bisect_left(sessions, start - gap, key=_END)
    after = bisect_right(sessions, end + gap, key=_START)
    if first < after:
        start, end = min(start, sessions[first][0]), max(end, sessions[after - 1][1])
    return [*sessions[:first], (start, end), *sessions[after:]]


def within(sessions: Sequence[Stretch], begin: int) -> tuple[int, int]:
    """How many sessions end at a second or later, and how many seconds of them lie after it.

    >>> within([(0, 10), (100, 150)], 120)
    (1, 30)
    """
    kept = [(max(start, begin), end) for start, end in sessions if end >= begin]
    return len(kept), sum(end - start for start, end in kept)


def kept_from(sessions: Sequence[Stretch], begin: int, *, gap: int) -> list[Stretch]:
    """What must be known of sessions to count them from a second on, or any later one, whatever events come yet.

    A session that ended more than the gap before can be joined to nothing that counts. Of the others no second before
    `begin` will be counted.

    >>> kept_from([(0, 10), (50, 80), (90, 120)], 100, gap=30)
    [(80, 80), (100, 120)]
    """
    first, later = bisect_left(sessions, begin - gap, key=_END), bisect_left(sessions, begin, key=_START)
    return [
        *((max(start, min(begin, end)), end) for start, end in sessions[first:later]),
        *sessions[max(first, later) :],
    ]


def summed_sessions(
    customers: Counts, stretches: tuple[Counts, Counts], n: int, *, gap: int, begin: int
) -> tuple[Counts, Counts]:
    """The same as `within` for many customers at once.

    Args:
        customers: positions in [0, n), one a stretch, in any order.
        stretches: first and last seconds.
        n: customers.
        gap: seconds.
        begin: a second.

    Returns:
        How many sessions, and how many seconds, each of shape (n,).
    """
    order = np.lexsort((stretches[0], customers))
    who, starts, ends = customers[order], stretches[0][order], stretches[1][order]
    if not len(who):
        return np.zeros(n, dtype=np.int64), np.zeros(n, dtype=np.int64)
    # The last second of all stretches of the same customer so far: each customer lies above all those before.
    lift = who * (int(ends.max()) - int(starts.min()) + 1)
    reached = np.maximum.accumulate(ends + lift) - lift
    begins = np.ones(len(who), dtype=np.bool_)
    begins[1:] = (who[1:] != who[:-1]) | (starts[1:] > reached[:-1] + gap)
    places = np.flatnonzero(begins)
    last = reached[np.append(places[1:], len(who)) - 1]
    first, owner = np.maximum(starts[places], begin), who[places]
    fine = last >= begin
    lengths = np.zeros(n, dtype=np.int64)
    np.add.at(lengths, owner[fine], (last - first)[fine])
    return np.bincount(owner[fine], minlength=n), lengths
