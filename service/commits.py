"""What the writer's commits were like: how many writes each took, how long, and whether the disk took them."""

from __future__ import annotations

import logging

from service.histogram import Histogram

SIZES = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)
SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
_log = logging.getLogger("manyarm")


class Commits:
    """Kept by the writer's thread, read by whoever scrapes.

    Attributes:
        sizes: writes a commit.
        seconds: how long a commit took, from its first statement until it was on disk.
        n_failed: commits that the database did not take; everybody in them was told.
        error: what was wrong with the last commit; None where it succeeded.
    """

    def __init__(self) -> None:
        self.sizes = Histogram(SIZES)
        self.seconds = Histogram(SECONDS)
        self.n_failed = 0
        self.error: str | None = None

    def note(self, size: int, seconds: float, error: Exception | None) -> None:
        """One commit; trouble is logged when it begins and when it is over, not once a commit."""
        if error is None:
            self.sizes.observe(size)
            self.seconds.observe(seconds)
            if self.error is not None:
                _log.warning("the database takes writes again")
            self.error = None
            return
        self.n_failed += 1
        if self.error is None:
            _log.error("the database cannot be written; requests are answered with 503", extra={"error": str(error)})
        self.error = str(error)
