"""A thread that reads events soon after they came, beside the service that took them."""

from __future__ import annotations

import logging
import threading

from service.store import Store
from service.webhooks.digest import digest

logger = logging.getLogger("manyarm")
PAUSE_SECONDS = 30.0
"""Another process may take events that nobody tells this one of; and a locked database may have been the trouble."""


class Digester:
    """Reads what waits whenever it is woken, and now and then.

    Args:
        store: with the events.
    """

    def __init__(self, store: Store) -> None:
        self._store = store
        self._woken = threading.Event()
        self._is_stopping = False
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin, with what waits from before."""
        self._woken.set()
        self._thread = threading.Thread(target=self._run, name="manyarm-digester")
        self._thread.start()

    def wake(self) -> None:
        """Something came."""
        self._woken.set()

    def stop(self) -> None:
        """Finish what is at hand, then stop; what still waits is read the next time."""
        self._is_stopping = True
        self._woken.set()
        if self._thread:
            self._thread.join()

    def _run(self) -> None:
        while True:
            self._woken.wait(PAUSE_SECONDS)
            self._woken.clear()
            if self._is_stopping:
                return
            try:
                digest(self._store)
            except Exception:
                # Whatever it was, taking events goes on: they are on disk, and are read the next time.
                logger.exception("webhook events could not be read; they wait")
