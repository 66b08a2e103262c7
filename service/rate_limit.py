"""A token bucket for each key: a second's worth of decisions at once, then as many a second as the limit says."""

from __future__ import annotations

import math
from dataclasses import dataclass
from datetime import datetime

from starlette.types import Scope


@dataclass(slots=True)
class _Bucket:
    """Decisions that may be made, as of a time; below 0 after a batch larger than what was left."""

    left: float
    at: datetime


ALLOWANCE = "manyarm.allowance"
"""Where the door leaves, in a request's scope, what takes decisions from the key that brought it."""


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


def spend(scope: Scope, n_decisions: int) -> None:
    """Count decisions of a batch beyond the first against the key that asked; nothing where there is no limit."""
    allowance = scope.get(ALLOWANCE)
    if allowance is not None:
        allowance(n_decisions)


def retry_after(seconds: float) -> str:
    """A wait as the header Retry-After says it: whole seconds, at least 1.

    >>> retry_after(0.2), retry_after(4.01)
    ('1', '5')
    """
    return str(max(math.ceil(seconds), 1))
