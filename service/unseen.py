"""A snapshot is judged by sends that it has not learned from: those that it has learned would praise it."""

from __future__ import annotations

from collections.abc import Iterable

from bandit.errors import UnusableLog
from service.export_source import ExportSource
from service.log_source import LogSource, StoreSource
from service.outcomes_table import iterate_matured
from service.snapshots_table import load_snapshot
from service.store import Log, Store
from service.target_text import SNAPSHOT, kept_for, resolved


class NothingUnseen(UnusableLog):
    """Every row of the log taught the snapshot that is asked about."""


def snapshots_in(texts: Iterable[str], kept: tuple[Store, Log] | None) -> list[str]:
    """The snapshots that targets name, `serving` resolved.

    Raises:
        InvalidSettings: if one is named without a database, or nothing serves yet.
    """
    names = [text.removeprefix(SNAPSHOT) for text in texts if text.startswith(SNAPSHOT)]
    return [resolved(*kept_for(name, kept), name) for name in names]


def unseen(source: LogSource, names: list[str], kept: tuple[Store, Log] | None) -> LogSource:
    """The log without what the snapshots have learned from.

    Raises:
        BrokenSnapshot: if one does not exist.
        NothingUnseen: if nothing is left.
    """
    if not names or kept is None:
        return source
    store, log = kept
    watermark = max(load_snapshot(store.reader(), name).watermark for name in names)
    left: LogSource = source
    if isinstance(source, StoreSource):
        left = source.unseen_by(watermark)
    elif isinstance(source, ExportSource):
        left = source.unseen_by(_learned(store, log, watermark))
    if not any(len(batch) for batch in left.batches()):
        raise NothingUnseen(
            f"every send of this log taught {' or '.join(names)}, and what taught a snapshot praises it: the answer would be too "
            "good to be true. Wait until sends have matured that were made since, or ask about an earlier snapshot; "
            "`manyarm snapshot list` shows what each has learned."
        )
    return left


def _learned(store: Store, log: Log, watermark: int) -> frozenset[str]:
    found = []
    for matured in iterate_matured(store.reader(), log.log_id, log.campaign, after=0):
        if matured.number > watermark:
            break
        found.append(matured.decision.decision_id)
    return frozenset(found)
