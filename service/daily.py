"""Work that is done once a day by whoever is asked often."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Final

PAUSE: Final = timedelta(days=1)


class Daily:
    """Says when a day has gone by since something was done to its end.

    >>> from datetime import UTC
    >>> daily, noon = Daily(), datetime(2026, 11, 22, 12, tzinfo=UTC)
    >>> daily.is_due(noon)
    True
    >>> daily.done(noon)
    >>> daily.is_due(noon + timedelta(hours=23)), daily.is_due(noon + timedelta(hours=24))
    (False, True)
    """

    def __init__(self) -> None:
        self._last: datetime | None = None

    def is_due(self, now: datetime) -> bool:
        """Whether it is time to do it."""
        return self._last is None or now - self._last >= PAUSE

    def done(self, now: datetime) -> None:
        """Say so afterwards, and not before: what a full disk stopped is then tried again soon."""
        self._last = now
