"""A token bucket for each key: a second's worth of decisions at once, then as many a second as the limit says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from starlette.types import Scope

from service.clock import Clock, Sleep


@dataclass(slots=True)
class _Bucket:
    """Decisions that may be made, as of a time; below 0 after a batch larger than what was left."""

    left: float
    at: datetime


ALLOWANCE = "manyarm.allowance"
"""Where the door leaves, in a request's scope, the `Allowance` of the key that brought it."""
LONGEST_NAP = 1.0
"""Seconds; then is looked again, since others may spend from the same key meanwhile."""


class RateLimit:
    """Counts decisions of each key against one limit.

    Args:
        rate: decisions a second for each key, above 0.

    There is one bucket for each key that asked, and `keep` forgets those of keys that are gone: what is remembered cannot
    grow beyond the number of keys.

    >>> limit, noon = RateLimit(2.0), datetime(2026, 11, 22, 12)
    >>> [limit.wait_of(name, noon) for name in ("mailer", "mailer", "mailer", "another")]
    [0.0, 0.0, 0.5, 0.0]
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._most = max(rate, 1.0)
        self._buckets: dict[str, _Bucket] = {}

    def __len__(self) -> int:
        return len(self._buckets)

    def wait_of(self, key_id: str, at: datetime) -> float:
        """Take one decision; returns 0, or, where there is none left, seconds until there is one."""
        bucket = self._filled(key_id, at)
        if bucket.left < 1.0:
            return (1.0 - bucket.left) / self._rate
        bucket.left -= 1.0
        return 0.0

    def spend(self, key_id: str, n_decisions: int, at: datetime) -> None:
        """Take decisions that were made already, as those of a batch; the key waits for them afterwards."""
        self._filled(key_id, at).left -= n_decisions

    def debt_of(self, key_id: str, at: datetime) -> float:
        """Seconds until a key has paid for everything that it was given; 0 where it owes nothing."""
        return max(-self._filled(key_id, at).left, 0.0) / self._rate

    @property
    def most(self) -> float:
        """Decisions that may be made at once."""
        return self._most

    def keep(self, key_ids: frozenset[str]) -> None:
        """Forget all other keys."""
        for gone in self._buckets.keys() - key_ids:
            del self._buckets[gone]

    def _filled(self, key_id: str, at: datetime) -> _Bucket:
        """A key's bucket, as full as it is by now."""
        bucket = self._buckets.get(key_id)
        if bucket is None:
            bucket = self._buckets[key_id] = _Bucket(self._most, at)
        elapsed = max((at - bucket.at).total_seconds(), 0.0)
        bucket.left, bucket.at = min(bucket.left + elapsed * self._rate, self._most), at
        return bucket


class Allowance:
    """What one request may take from its key; the door took one decision for the request itself."""

    __slots__ = ("_clock", "_is_first_paid", "_key_id", "_limit")

    def __init__(self, limit: RateLimit, key_id: str, clock: Clock) -> None:
        self._limit, self._key_id, self._clock = limit, key_id, clock
        self._is_first_paid = True

    @property
    def most(self) -> int:
        """Decisions that are worth making at once, at least 1."""
        return int(self._limit.most)

    def spend(self, n_decisions: int) -> None:
        """Take decisions, whether or not there are so many."""
        self._limit.spend(self._key_id, n_decisions - self._is_first_paid, self._clock())
        self._is_first_paid = False

    async def spend_in_time(self, n_decisions: int, sleep: Sleep) -> None:
        """Wait until the key owes nothing, then take decisions: however many there are, it owes for these at most."""
        # Nothing is awaited between the last look and spending: of several requests only one goes on.
        while (wait := self._limit.debt_of(self._key_id, self._clock())) > 0.0:
            await sleep(min(wait, LONGEST_NAP))
        self.spend(n_decisions)


def allowance_of(scope: Scope) -> Allowance | None:
    """What a request may take; None where there is no limit."""
    found: Allowance | None = scope.get(ALLOWANCE)
    return found


def retry_after(seconds: float) -> str:
    """A wait as the header Retry-After says it: whole seconds, at least 1.

    >>> retry_after(0.2), retry_after(4.01)
    ('1', '5')
    """
    return str(max(math.ceil(seconds), 1))
