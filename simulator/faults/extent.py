"""How far a fault reaches: which share of rows, events or customers, and from when on."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from bandit.errors import InvalidSettings
from simulator.world import check_utc, luck


@dataclass(frozen=True, slots=True)
class Extent:
    """What a fault hits, settled by a hash of its id, so that the same seed hits the same rows whoever decides.

    Args:
        share: of the rows, events or customers, in (0, 1].
        seed: another one hits others, at least 0.
        since: nothing that happened before is hit, in UTC; None for the whole campaign.

    Raises:
        InvalidSettings: if the share is not in (0, 1], or the seed is negative.
        ImpossibleWorld: if the time is not in UTC.

    >>> from datetime import UTC
    >>> half, now = Extent(0.5), datetime(2026, 1, 5, tzinfo=UTC)
    >>> sum(half.hits(f"d{n}", now, "lost") for n in range(1000))
    492
    """

    share: float
    seed: int = 0
    since: datetime | None = None

    def __post_init__(self) -> None:
        if not 0.0 < self.share <= 1.0 or self.seed < 0:
            raise InvalidSettings(
                f"share of a fault is {self.share!r}, its seed {self.seed!r}: give a share of what is hit above 0 and up to 1, "
                "and a seed of at least 0; for no fault leave it out."
            )
        if self.since is not None:
            check_utc("beginning of a fault", self.since)

    def began(self, at: datetime) -> bool:
        """Whether the fault was there at this time."""
        return self.since is None or at >= self.since

    def hits(self, what: str, at: datetime, purpose: str) -> bool:
        """Whether something is hit.

        Args:
            what: id of the row, event or customer.
            at: when it was decided or happened.
            purpose: of the fault, at most 16 bytes, so that two faults do not hit the same rows.
        """
        return self.began(at) and self.position(what, purpose) < self.share

    def position(self, what: str, purpose: str) -> float:
        """A number in (0, 1), the same every time for the same seed, id and purpose."""
        (found,) = luck(self.seed, what, purpose, 1)
        return found
