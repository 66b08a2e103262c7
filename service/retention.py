"""Erasing what is older than a campaign keeps it, once a day."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta

from service.clock import NewId
from service.daily import Daily
from service.erasing import erase_expired
from service.erasure import Erasure
from service.settings import Settings
from service.store import Log, Store


def retention_of(log: Log, settings: Settings) -> timedelta | None:
    """How long rows are kept: what the campaign says, else the setting; None for ever."""
    return log.campaign.privacy.retention or settings.pause("retention")


def rankings_retention_of(log: Log, settings: Settings) -> timedelta | None:
    """How long rankings of the Personalizer calls are kept: what their own setting says, else as long as decisions."""
    return settings.pause("personalizer_retention") or retention_of(log, settings)


class Retention:
    """Says when it is time to erase again; one a process.

    Args:
        store, log: whose rows.
        retention: how long they are kept; None for ever.
    """

    def __init__(self, store: Store, log: Log, retention: timedelta | None) -> None:
        self._store, self._log, self._retention = store, log, retention
        self._daily = Daily()

    def step(self, now: datetime, new_id: NewId, *, is_wanted: Callable[[], bool] = lambda: True) -> list[Erasure]:
        """Erase what is too old, if a day has gone by since the last time; returns the receipts.

        Args:
            now: the time.
            new_id: names the receipts.
            is_wanted: asked now and then; once it says no, the rest stays until the next time.
        """
        if self._retention is None or not self._daily.is_due(now):
            return []
        receipts = erase_expired(self._store, self._log, self._retention, at=now, new_id=new_id, is_wanted=is_wanted)
        self._daily.done(now)
        return receipts
