"""Were the exposures a row was decided from the ones that the log held? Bounds, for some of it changes afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from bandit.dimension import Dimension
from bandit.wear_out import DAY, Exposure, PastSend, WearOut, exposures_of

TOLERANCE_DAYS = 1e-6
EarlierSend = tuple[PastSend, bool, bool]
"""A send, whether it was reported as not sent since, and whether the decision must have seen it."""


def exposure_problems(
    dimensions: Sequence[Dimension],
    spec: WearOut,
    at: datetime,
    logged: Iterable[Exposure],
    past: Sequence[EarlierSend],
) -> Iterator[str]:
    """What is wrong with the exposures of one decision.

    No more may be logged than was sent, and each recency must be that of a send; no less, and none longer ago, than what
    surely counted: sends that stood in the log when it was read and were never reported as not sent.

    Args:
        dimensions: of the campaign.
        spec: its window.
        at: when the row was decided.
        logged: what it says.
        past: earlier sends.
    """
    found = _by_arm(logged)
    most = _by_arm(exposures_of(dimensions, spec, [send for send, _, _ in past], at))
    sure = [send for send, is_void, is_seen in past if is_seen and not is_void]
    least = _by_arm(exposures_of(dimensions, spec, sure, at))
    for d, arm in sorted({*found, *least}):
        name = f"arm {dimensions[d].ids[arm][:60]!r} of {dimensions[d].name!r}"
        says, low, high = (counted.get((d, arm)) for counted in (found, least, most))
        times, fewest, often = (one.frequency if one else 0 for one in (says, low, high))
        if not fewest <= times <= often:
            yield f"{name} was sent {often} times before within the window, the row says {times}"
        elif says and not _is_an_age(says.recency, dimensions[d].name, dimensions[d].ids[arm], at, past):
            yield f"{name} was not sent {says.recency!r} days before"
        elif says and low and says.recency > low.recency + TOLERANCE_DAYS:
            yield f"{name} was last sent {low.recency!r} days before, the row says {says.recency!r}"


def _by_arm(exposures: Iterable[Exposure]) -> dict[tuple[int, int], Exposure]:
    return {(exposure.dimension, exposure.arm): exposure for exposure in exposures}


def _is_an_age(recency: float, dimension: str, arm: str, at: datetime, past: Sequence[EarlierSend]) -> bool:
    ages = ((at - send.at) / DAY for send, _, _ in past if send.choice.get(dimension) == arm)
    return any(abs(age - recency) <= TOLERANCE_DAYS for age in ages)
