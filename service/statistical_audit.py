"""The statistical audits of a log in a store: its rows are read once, as they pass by or for this alone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from math import nan

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.context import ContextValue
from bandit.log import LoggedDecision
from evaluation.audit import CERTAIN, Audit, AuditVerdict
from evaluation.audit_log import AuditLog, AuditSettings, Reports
from evaluation.audits import all_audits
from service.outcome_worths import worth_behind
from service.store import Log, Store

AT_ONCE = 10_000
"""Rows whose pmfs are held as tuples before they are packed."""

_OUTCOMES = """SELECT 24.0 * (julianday(o.at) - julianday(coalesce(d.sent_at, d.send_at, d.decided_at))), o.late,
    o.verdict IS 'machine', o.verdict IS NOT NULL
FROM outcomes o JOIN decisions d ON d.decision_id = o.decision_id
WHERE d.log_id = ? AND julianday(o.at) IS NOT NULL AND julianday(coalesce(d.sent_at, d.send_at, d.decided_at)) IS NOT NULL"""

LEGEND = f"""\
An audit raises a false alarm in about 1 of 20 honest logs (population in 1 of 100): an alarm is a reason to look, no proof.
`verify` fails only where the log itself is wrong by more than chance explains (once in {1 / CERTAIN:,.0f} logs); that
customers, rewards or arms are as they are never fails it. Groups and drift may be watched every day; each look at the others
is a new chance of a false alarm. p-values are adjusted (Holm) for all dimensions, fields and arms of their audit."""


class AuditRows:
    """Collects what the audits read while rows pass by."""

    def __init__(self, campaign: Campaign) -> None:
        self._campaign = campaign
        self._rows: list[LoggedDecision] = []
        self._packed: list[AuditLog] = []

    def watching(self, rows: Iterable[LoggedDecision]) -> Iterator[LoggedDecision]:
        """Pass rows through and remember them; those of another shape than the campaign's are left to the row checks."""
        for row in rows:
            if self._fits(row):
                self._rows.append(row)
            if len(self._rows) >= AT_ONCE:
                self._pack()
            yield row

    def log(self, reports: Reports) -> AuditLog:
        """Everything that has passed by, with the outcomes that were reported of it."""
        self._pack()
        return _joined(self._campaign, self._packed, reports)

    def _fits(self, row: LoggedDecision) -> bool:
        dimensions = self._campaign.dimensions
        lengths = {len(row.pmfs), len(row.arms), len(row.propensities), len(dimensions)}
        return (
            len(lengths) == 1
            and tuple(map(len, row.pmfs)) == self._campaign.sizes
            and all(arm in dimension for dimension, arm in zip(dimensions, row.arms, strict=True))
            and all(isinstance(number, float | int | None) for number in (row.reward, row.estimate))
        )

    def _pack(self) -> None:
        self._packed.append(_columns(self._rows, self._campaign))
        self._rows = []


def audit(store: Store, log: Log, settings: AuditSettings | None = None) -> tuple[Audit, ...]:
    """Make every audit of one log; rows are read once, and those that cannot be read are left out.

    Args:
        store: with the log.
        log: the campaign's.
        settings: how; None for the usual.
    """
    rows = AuditRows(log.campaign)
    for _ in rows.watching(store.decisions(log, unreadable=lambda *_: None)):
        pass
    return all_audits(rows.log(reports_of(store, log)), settings)


def reports_of(store: Store, log: Log) -> Reports:
    """Every outcome that was reported of a log's decisions. Whether machines made some is known where webhooks brought any."""
    found = np.array(store.reader().execute(_OUTCOMES, (log.log_id,)).fetchall(), dtype=np.float64).reshape(-1, 4)
    delays, is_late, is_machine, is_judged = found.T
    return Reports(delays, is_late != 0.0, is_machine != 0.0 if is_judged.any() else None)


def audits_document(audits: Sequence[Audit]) -> list[dict[str, object]]:
    """Audits as JSON."""
    return [{**asdict(one), "is_certain": one.is_certain, "breaks_log": one.breaks_log} for one in audits]


def audits_text(audits: Sequence[Audit]) -> str:
    """Audits as a table, with what was found, what it means and what to do."""
    lines = []
    for one in audits:
        verdict = "LOG IS WRONG" if one.breaks_log else str(one.verdict)
        lines.append(f"  {one.name:<28} {verdict:<12} {_evidence(one):<14} {one.means}")
        lines.append(f"      {one.found}")
        if one.verdict is AuditVerdict.ALARM:
            lines.append(f"      What to do: {one.advice}")
    return "\n".join([*lines, LEGEND])


def _evidence(one: Audit) -> str:
    if one.e_value is not None:
        return f"e = {one.e_value:.3g}"
    if one.p_value is not None:
        return f"p = {one.p_value:.2g}"
    return "" if one.statistic is None else f"{one.statistic:.1%}"


def _columns(rows: Sequence[LoggedDecision], campaign: Campaign) -> AuditLog:
    dimensions, n = campaign.dimensions, len(rows)
    picks = [[d.index_of(arm) for d, arm in zip(dimensions, row.arms, strict=True)] for row in rows]
    return AuditLog(
        campaign,
        customers=_objects([row.customer_key for row in rows]),
        groups=_objects([row.group for row in rows]),
        decided_at=_times([row.decided_at for row in rows]),
        due_at=_times([campaign.reward.due_at(row.decided_at, row.sent_at or row.send_at) for row in rows]),
        states=_objects([row.state for row in rows]),
        picks=np.array(picks, dtype=np.int64).reshape(n, len(dimensions)),
        propensities=np.array([row.propensities for row in rows], dtype=np.float64).reshape(n, len(dimensions)),
        pmfs=tuple(
            np.array([row.pmfs[d] for row in rows], dtype=np.float64).reshape(n, size)
            for d, size in enumerate(campaign.sizes)
        ),
        estimates=_numbers([row.estimate for row in rows]),
        rewards=_numbers([row.reward for row in rows]),
        context={field.name: [row.context.get(field.name) for row in rows] for field in campaign.schema.fields},
        reports=Reports(np.empty(0), np.empty(0, dtype=np.bool_)),
        worths=_worths(rows, campaign),
    )


def _joined(campaign: Campaign, parts: Sequence[AuditLog], reports: Reports) -> AuditLog:
    context: Mapping[str, list[ContextValue]] = {
        field.name: [value for part in parts for value in part.context[field.name]] for field in campaign.schema.fields
    }
    return AuditLog(
        campaign,
        customers=np.concatenate([part.customers for part in parts]),
        groups=np.concatenate([part.groups for part in parts]),
        decided_at=np.concatenate([part.decided_at for part in parts]),
        due_at=np.concatenate([part.due_at for part in parts]),
        states=np.concatenate([part.states for part in parts]),
        picks=np.concatenate([part.picks for part in parts]),
        propensities=np.concatenate([part.propensities for part in parts]),
        pmfs=tuple(np.concatenate(pmfs) for pmfs in zip(*(part.pmfs for part in parts), strict=True)),
        estimates=np.concatenate([part.estimates for part in parts]),
        rewards=np.concatenate([part.rewards for part in parts]),
        context=context,
        reports=reports,
        worths=None if campaign.reward.recent_send is None else np.concatenate([part.earned for part in parts]),
    )


def _worths(rows: Sequence[LoggedDecision], campaign: Campaign) -> FloatArray | None:
    if campaign.reward.recent_send is None:
        return None
    names = [dimension.name for dimension in campaign.dimensions]
    return np.array(
        [
            nan
            if row.reward is None
            else worth_behind(campaign, dict(zip(names, row.arms, strict=True)), row.reward, row.recent_sends)
            for row in rows
        ],
        dtype=np.float64,
    )


def _objects(values: Sequence[object]) -> np.ndarray:
    return np.array([*values, None], dtype=object)[:-1]


def _times(values: Sequence[datetime]) -> np.ndarray:
    return np.array([value.astimezone(UTC).replace(tzinfo=None) for value in values], dtype="datetime64[us]")


def _numbers(values: Sequence[float | None]) -> FloatArray:
    return np.array([nan if value is None else value for value in values], dtype=np.float64)
