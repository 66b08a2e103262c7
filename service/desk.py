"""Where groups of a table are decided: one snapshot, one time, in columns; nothing is written here."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from bandit.arm_text import Wording
from bandit.campaign_file import read_campaign
from bandit.context_columns import ContextColumns
from bandit.decide_many import decide_many
from bandit.decisions import Decisions, Requests
from bandit.draw import customer_keys
from bandit.errors import EngineError
from bandit.privacy import Privacy
from bandit.product_candidates import Candidates
from service.batch_runs import BatchRun, ids_in
from service.choices import Status, chosen, merged, unchosen
from service.engines import engine_from
from service.filled_choices import filled
from service.opt_outs import find_opted_out
from service.past_sends import PastSends, Remembered
from service.product_table import KeptCandidates
from service.rows_in_columns import RowsInColumns, rows_in_columns
from service.store import Log, Store
from service.stored_rows import StoredRow, chosen_before, find_rows, require_same
from service.user_table import CUSTOMER, DECISION, Columns, UserGroup
from service.usual_choice import usual_choices


@dataclass(frozen=True, slots=True)
class Job:
    """What a process needs to know to decide groups of one table.

    Attributes:
        db: the store's file.
        log_id: number of the campaign's log.
        campaign: the campaign file's text.
        columns: what the table's columns mean.
        run: whose snapshot holds for all rows, and its time for those that are not stored yet.
    """

    db: Path
    log_id: int
    campaign: str
    columns: Columns
    run: BatchRun


@dataclass(frozen=True, slots=True, eq=False)
class DecidedGroup:
    """A group on its way to the writer.

    Attributes:
        rows: to be stored.
        places: shape (len(rows),), where they stand in the group; the others were stored before, or never are.
        choices: the whole group as the table of choices has it.
        opted_out: customers who want no mail.
        n_without_consent: customers who did not consent.
    """

    rows: RowsInColumns
    places: NDArray[np.int64]
    choices: pa.RecordBatch
    opted_out: list[str]
    n_without_consent: int


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    """A group as it is asked for."""

    customer_ids: list[str]
    decision_ids: list[str]
    contexts: ContextColumns
    candidates: list[Candidates] | None = None

    @property
    def ids(self) -> tuple[list[str], list[str]]:
        """Decision ids and customer ids."""
        return self.decision_ids, self.customer_ids

    def only(self, rows: NDArray[np.int64]) -> _Asked:
        """Some of the rows."""
        if len(rows) == len(self.customer_ids):
            return self
        places = rows.tolist()
        return _Asked(
            [self.customer_ids[row] for row in places],
            [self.decision_ids[row] for row in places],
            self.contexts.take(rows),
            None if self.candidates is None else [self.candidates[row] for row in places],
        )


class Desk:
    """Decides group after group.

    Args:
        store: is read only.
        log: the campaign's.
        job: the table and its run.
    """

    def __init__(self, store: Store, log: Log, job: Job) -> None:
        self._store, self._log, self._job = store, log, job
        self._engine = engine_from(store, log, job.run.snapshot)
        self._wording = Wording.of(log.campaign)

    def decide(self, batch: pa.RecordBatch, first: int, *, looking: bool) -> DecidedGroup:
        """Decide a group, but for rows that are stored already.

        Args:
            batch: the group.
            first: number of its first row in the table.
            looking: whether rows may be stored already, as they may when a run goes on.

        Raises:
            ConflictingDecision: if a stored decision was made for another request.
            NoEligibleArm: if rules leave nothing for a row; names the customer.
        """
        asked, campaign = self._asked(batch, first), self._log.campaign
        opted_out = self._opted_out(asked)
        withheld = np.setdiff1d(_withheld(asked.contexts, campaign.privacy), opted_out)
        stored = find_rows(self._store.reader(), asked.decision_ids, self._log.log_id) if looking else {}
        places = np.setdiff1d(np.arange(batch.num_rows), np.concatenate([opted_out, withheld]))
        old = [place for place in places.tolist() if asked.decision_ids[place] in stored] if stored else []
        new = np.setdiff1d(places, old) if old else places
        before = self._stored(asked, [(place, stored[asked.decision_ids[place]]) for place in old])
        decisions, seen = self._decided(asked.only(new))
        no_mail, no_consent = asked.only(opted_out), asked.only(withheld)
        usual = usual_choices(campaign, no_consent.contexts, self._job.run.at) if len(withheld) else []
        choices = merged(
            batch.num_rows,
            [
                (new.tolist(), chosen(decisions)),
                (old, chosen_before(before, self._log)),
                (opted_out.tolist(), unchosen(*no_mail.ids, Status.OPTED_OUT, campaign)),
                (withheld.tolist(), unchosen(*no_consent.ids, Status.NO_CONSENT, campaign, usual)),
            ],
            campaign,
        )
        names, columns = [d.name for d in campaign.dimensions], list(self._job.columns.variables)
        choices = filled(choices, names, self._wording, asked.contexts, batch.select(columns))
        rows = rows_in_columns(decisions, self._log, seen)
        return DecidedGroup(rows, new, choices, no_mail.customer_ids, len(withheld))

    def _opted_out(self, asked: _Asked) -> NDArray[np.int64]:
        """Positions of customers who want no mail."""
        self._store.reload_keys()  # somebody may have opted out under a key made since this process began
        keys, reader = self._store.customer_keys, self._store.reader()
        if reader.execute("SELECT 1 FROM opt_outs LIMIT 1").fetchone() is None:
            return np.zeros(0, dtype=np.int64)
        by_generation = [customer_keys(asked.customer_ids, secret=secret) for secret in keys.secrets]
        names = [name for generation in by_generation for name in generation]
        found = find_opted_out(reader, names)
        return np.array(
            [row for row, named in enumerate(zip(*by_generation, strict=True)) if not found.isdisjoint(named)],
            dtype=np.int64,
        )

    def _asked(self, batch: pa.RecordBatch, first: int) -> _Asked:
        columns = self._job.columns
        group = UserGroup(batch, columns, self._log)
        customer_ids = group.ids(CUSTOMER)
        ids = (
            group.ids(DECISION)
            if columns.has_ids
            else ids_in(self._job.run.run, customer_ids, first, salt=self._store.salt)
        )
        return _Asked(customer_ids, ids, group.contexts, group.candidates)

    def _stored(self, asked: _Asked, rows: list[tuple[int, StoredRow]]) -> list[tuple[StoredRow, str]]:
        """Stored rows of a group with their customers, held against what is asked."""
        for place, row in rows:
            given = asked.candidates[place] if asked.candidates else {}
            require_same(self._store, self._log, row, asked.customer_ids[place], asked.contexts[place].values, given)
        return [(row, asked.customer_ids[place]) for place, row in rows]

    def _decided(self, asked: _Asked) -> tuple[Decisions, list[int | None]]:
        at = [self._job.run.at] * len(asked.decision_ids)
        before = self._before(asked.customer_ids, self._job.run.at)
        pasts = None if self._log.campaign.looks_back is None else [one.sends or [] for one in before]
        candidates = KeptCandidates(self._store, self._log).of_many(asked.customer_ids, asked.candidates)
        requests = Requests(asked.customer_ids, asked.contexts, asked.decision_ids, at, pasts, candidates=candidates)
        try:
            return decide_many(self._engine, requests), [one.seen for one in before]
        except EngineError as error:
            raise self._named(requests, error) from error

    def _before(self, customer_ids: list[str], at: datetime) -> list[Remembered]:
        """What customers got before, where the campaign asks."""
        if self._log.campaign.looks_back is None:
            return [Remembered(None)] * len(customer_ids)
        past = PastSends(self._store, self._log)
        return [past.to(customer_id, at) for customer_id in customer_ids]

    def _named(self, requests: Requests, error: EngineError) -> EngineError:
        """The same error with the customer whom it concerns."""
        for row, customer_id in enumerate(requests.customer_ids):
            past = requests.pasts[row] if requests.pasts is not None else None
            context, decision_id = requests.contexts[row], requests.decision_ids[row]
            mine = None if requests.candidates is None else [requests.candidates[row]]
            alone = Requests(
                [customer_id],
                [context],
                [decision_id],
                [requests.at[row]],
                None if past is None else [past],
                candidates=mine,
            )
            try:
                decide_many(self._engine, alone)
            except EngineError as found:
                return type(error)(f"customer {customer_id[:60]!r}: {found}")
        return error


def _withheld(contexts: ContextColumns, privacy: Privacy) -> NDArray[np.int64]:
    """Positions of customers who did not consent, where the campaign asks."""
    for column in contexts.columns:
        if column.name == privacy.consent:
            said_no = [privacy.is_withheld({column.name: value}) for value in column.values]
            return np.flatnonzero(np.array(said_no, dtype=np.bool_)[column.places])
    return np.zeros(0, dtype=np.int64)


def open_desk(job: Job, store: Store) -> Desk:
    """The desk of a job, in whatever process."""
    # The file's own text: its fields may stand in another order than in the log's, and contexts are written in that order.
    return Desk(store, Log(job.log_id, read_campaign(job.campaign, has_log=True)), job)
