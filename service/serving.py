"""What a running service holds: the store, the log, the engine that serves, and the trainer beside it."""

from __future__ import annotations

import asyncio
import logging
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import TYPE_CHECKING

from bandit.engine import Engine
from bandit.profile.number_names import numbers_asked
from service.clock import Clock, NewId, RandomIds, Sleep, Timer, system_clock, system_timer
from service.consent import Consent
from service.engines import engine_for
from service.explaining import Explainer
from service.metrics import Tallies
from service.opted_out import OptedOut
from service.product_table import KeptCandidates
from service.rankings.trainer import Rankings
from service.retention import Retention, rankings_retention_of, retention_of
from service.settings import Settings
from service.store import Log, Store
from service.trainer import Trainer
from service.webhooks.digester import Digester
from service.wording import ServedWording

if TYPE_CHECKING:
    from service.live_profile import LiveProfile

logger = logging.getLogger("manyarm")
ROWS_PER_STEP = 2000
KEYS_PAUSE = timedelta(seconds=2)
"""A key of customers that another process made is in use after this long: opt-outs stand under the newest one."""
_NEVER = datetime.min.replace(tzinfo=UTC)


class Serving:
    """The one place that changes while the service runs: `engine` is swapped for another when a snapshot is promoted.

    Args:
        store, log: where decisions go.
        clock, new_id, timer, sleep: passed in, so that tests decide what time it is.
        settings: of this installation.

    Attributes:
        wording: the campaign's texts, compiled once.
        digester: reads what mail providers sent, where the trainer runs in this process.
        rankings: the loop of Azure Personalizer's calls.
        opted_out: who opted out of those that requests came for.
        consent: what is answered to those, and to whoever did not consent.
        kept_candidates: what products customers may be offered.
        tallies: what is counted as it happens; `serving.tallies.add(name, *labels)` for a counter of service/metrics.py.
        first_seq: the last row that stood in the log when this process began.
        last_error: of what type the error of the trainer's last step was; None where it went well. Its text is in the log.
        last_step_at: when the trainer's last step went well.
        pause: between two steps of the trainer; None where it does not run in this process.
        is_draining: whether the process was asked to stop.
    """

    def __init__(
        self,
        store: Store,
        log: Log,
        *,
        clock: Clock = system_clock,
        new_id: NewId | None = None,
        timer: Timer = system_timer,
        sleep: Sleep = asyncio.sleep,
        settings: Settings | None = None,
    ) -> None:
        self.store = store
        self.log = log
        self.clock = clock
        self.new_id = new_id or RandomIds()
        self.timer = timer
        self.sleep = sleep
        self.settings = settings or Settings()
        self.engine: Engine = engine_for(store, log)
        self.explainer = Explainer(store, log)
        self.wording = ServedWording(log.campaign)
        self.rankings = Rankings(store, log.campaign.id, self.settings, rankings_retention_of(log, self.settings))
        self.tallies = Tallies()
        self.opted_out = OptedOut(store)
        self.consent = Consent(store, log)
        self.kept_candidates = KeptCandidates(store, log)
        self.first_seq = store.last_seq()
        self.last_error: str | None = None
        self.last_step_at: datetime | None = None
        self.pause: timedelta | None = None
        self.is_draining = False
        self.digester = Digester(store)
        self._trainer = Trainer(store, log)
        self._retention = Retention(store, log, retention_of(log, self.settings))
        self._swapping = threading.Lock()
        self._keys_read_at = self._keys_old_at = _NEVER
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def prepare(self) -> None:
        """Load what makes numbers about customers, where the campaign asks for any: the first decision would wait for it."""
        campaign = self.log.campaign
        fields = (item.name for item in campaign.declared.fields)
        if campaign.profile is not None and numbers_asked(fields, campaign.profile.fields):
            self.live_profile.prepare()

    def train_every(self, pause: timedelta) -> None:
        """Start the trainer in its own thread: a step, then a pause, until `stop`."""
        self.pause = pause
        self._thread = threading.Thread(target=self._train, args=(pause.total_seconds(),), name="manyarm-trainer")
        self._thread.start()
        self.digester.start()

    def drain(self) -> None:
        """Begin to stop: /readyz says so, answers ask callers to come back elsewhere, and the trainer begins no new step."""
        self.is_draining = True
        self._stop.set()

    def stop(self) -> None:
        """Let the trainer finish its step, and the digester its events, then stop them."""
        self._stop.set()
        self.digester.stop()
        if self._thread:
            self._thread.join()

    def train(self) -> bool:
        """One step of the trainer; swaps the engine if there is a new snapshot. Returns whether rows may be left."""
        training = self._trainer.step(self.clock(), most=ROWS_PER_STEP, is_wanted=self._is_wanted)
        self._swap()
        for receipt in self._retention.step(self.clock(), self.new_id, is_wanted=self._is_wanted):
            logger.info(
                "%d rows were old enough to be erased", receipt.n_decisions, extra={"erasure": receipt.erasure_id}
            )
        rankings = self.rankings.train(self.clock(), most=ROWS_PER_STEP, is_wanted=self._is_wanted)
        self.last_error, self.last_step_at = None, self.clock()
        self.tallies.add("trainer_steps")
        return max(training.n_learned, rankings.n_learned) >= ROWS_PER_STEP

    def _is_wanted(self) -> bool:
        return not self._stop.is_set()

    def take_up(self) -> None:
        """Serve what is promoted now, without waiting for the trainer's next step."""
        self._swap()

    def _swap(self) -> None:
        """Serve what is promoted now, whoever promoted it, and use the newest key of customers, whoever made it."""
        # One at a time, so that an engine begun earlier is never the last one to be assigned.
        with self._swapping:
            self.store.reload_keys()
            before = self.snapshot
            if before == self._trainer.serving_name() and self.engine.secret == self.store.secret:
                return
            self.engine = engine_for(self.store, self.log)
        if self.snapshot != before:
            logger.info("what serves has changed", extra={"snapshot": self.snapshot or "none"})

    def renew_keys(self, at: datetime) -> None:
        """Use the newest key of customers, whoever made it; asked before each decision, it looks every two seconds.

        Args:
            at: now.
        """
        # A clock that was set back must not keep an old key in use.
        if self._keys_read_at <= at < self._keys_old_at:
            return
        self.store.reload_keys()
        # An engine that is being made just now may take long, and may have an older key: the next request looks again.
        if self._swapping.acquire(blocking=False):
            try:
                if self.engine.secret != self.store.secret:
                    self.engine = replace(self.engine, secret=self.store.secret)
                self._keys_read_at, self._keys_old_at = at, at + KEYS_PAUSE
            finally:
                self._swapping.release()

    @cached_property
    def live_profile(self) -> LiveProfile:
        """What makes contexts of events; made when the first one is asked for, for it takes a second to load."""
        from service.live_profile import LiveProfile  # noqa: PLC0415 - a service without a profile starts without it

        return LiveProfile(self.store, self.log)

    @property
    def snapshot(self) -> str | None:
        """Id of the snapshot that decides; None where choices are random."""
        return self.engine.served.snapshot if self.engine.served else None

    def _train(self, pause: float) -> None:
        more = False
        while more or not self._stop.wait(pause):
            if self._stop.is_set():
                return
            try:
                more = self.train()
            except Exception as error:
                # Whatever it was, deciding goes on with what serves, and /readyz says what is wrong.
                self.last_error, more = type(error).__name__, False
                self.tallies.add("trainer_errors")
                logger.exception("training failed; what served goes on serving", extra={"error": str(error)})
