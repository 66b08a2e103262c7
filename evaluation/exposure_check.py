"""Were the exposures a row was decided from the ones that the log held? Bounds, for some of it changes afterwards."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime, timedelta

from bandit.dimension import Dimension
from bandit.wear_out import Exposure, PastSend, WearOut, exposures_of

AT_ONCE = timedelta(minutes=5)
"""Two decisions for one customer this close together may not have seen each other."""
TOLERANCE_DAYS = 1e-6


def exposure_problems(
    dimensions: Sequence[Dimension],
    spec: WearOut,
    at: datetime,
    logged: Iterable[Exposure],
    past: Sequence[tuple[PastSend, bool]],
) -> Iterator[str]:
    """What is wrong with the exposures of one decision.

    No more may be logged than was sent, and each recency must be that of a send; no less than what surely counted: sends
    that were never reported as not sent, decided more than a few minutes before.

    Args:
        dimensions: of the campaign.
        spec: its window.
        at: when the row was decided.
        logged: what it says.
        past: earlier sends, and whether each was reported as not sent since.
    """
    most = _counts(exposures_of(dimensions, spec, [send for send, _ in past], at))
    sure = [send for send, is_void in past if not is_void and at - send.at > AT_ONCE]
    least, found = _counts(exposures_of(dimensions, spec, sure, at)), _counts(logged)
    for d, arm in sorted({*found, *least}):
        name, times = f"arm {dimensions[d].ids[arm][:60]!r} of {dimensions[d].name!r}", found.get((d, arm), 0)
        low, high = least.get((d, arm), 0), most.get((d, arm), 0)
        if not low <= times <= high:
            yield f"{name} was sent {high} times before within the window, the row says {times}"
    for exposure in logged:
        dimension = dimensions[exposure.dimension]
        arm_id = dimension.ids[exposure.arm]
        ages = [(at - send.at) / timedelta(days=1) for send, _ in past if send.choice.get(dimension.name) == arm_id]
        if not any(abs(age - exposure.recency) <= TOLERANCE_DAYS for age in ages):
            yield f"arm {arm_id[:60]!r} of {dimension.name!r} was not sent {exposure.recency!r} days before"


def _counts(exposures: Iterable[Exposure]) -> dict[tuple[int, int], int]:
    return {(exposure.dimension, exposure.arm): exposure.frequency for exposure in exposures}
