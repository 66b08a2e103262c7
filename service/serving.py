"""What a running service holds: the store, the log, the engine that serves, and the trainer beside it."""

from __future__ import annotations

import logging
import threading
from datetime import timedelta

from bandit.engine import Engine
from service.clock import Clock, NewId, random_id, system_clock
from service.settings import Settings
from service.store import Log, Store
from service.trainer import Trainer, engine_for

logger = logging.getLogger("manyarm")
ROWS_PER_STEP = 2000


class Serving:
    """The one place that changes while the service runs: `engine` is swapped for another when a snapshot is promoted.

    Args:
        store, log: where decisions go.
        clock, new_id: passed in, so that tests decide what time it is.
        settings: of this installation.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        *,
        clock: Clock = system_clock,
        new_id: NewId = random_id,
        settings: Settings | None = None,
    ) -> None:
        self.store = store
        self.log = log
        self.clock = clock
        self.new_id = new_id
        self.settings = settings or Settings()
        self.engine: Engine = engine_for(store, log)
        self.last_error: str | None = None
        self._trainer = Trainer(store, log)
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def train_every(self, pause: timedelta) -> None:
        """Start the trainer in its own thread: a step, then a pause, until `stop`."""
        self._thread = threading.Thread(target=self._train, args=(pause.total_seconds(),), name="manyarm-trainer")
        self._thread.start()

    def stop(self) -> None:
        """Let the trainer finish its step, then stop it."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def train(self) -> bool:
        """One step of the trainer; swaps the engine if there is a new snapshot. Returns whether rows may be left."""
        training = self._trainer.step(self.clock(), most=ROWS_PER_STEP)
        self._swap()
        self.last_error = None
        return training.n_learned >= ROWS_PER_STEP

    def _swap(self) -> None:
        """Serve what is promoted now, whoever promoted it."""
        if self._is_outdated():
            self.engine = engine_for(self.store, self.log)

    def _is_outdated(self) -> bool:
        serving = self.engine.served.snapshot if self.engine.served else None
        return serving != self._trainer.serving_name()

    def _train(self, pause: float) -> None:
        more = False
        while more or not self._stop.wait(pause):
            if self._stop.is_set():
                return
            try:
                more = self.train()
            except Exception as error:
                # Whatever it was, deciding goes on with what serves, and /readyz says what is wrong.
                self.last_error, more = str(error), False
                logger.exception("training failed; what served goes on serving")
