"""Many decisions as rows of the `decisions` table, made column by column: the values that `service.rows` makes one by one."""

from __future__ import annotations

import math
import sqlite3
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain as chain_of
from itertools import repeat
from operator import attrgetter
from typing import Any

import msgspec
import numpy as np

from bandit.arrays import FloatArray
from bandit.context import EncodedContext
from bandit.context_columns import ContextColumn, ContextColumns
from bandit.decisions import Decisions
from bandit.draw import customer_keys
from bandit.errors import ConflictingDecision
from bandit.exclusion import written
from bandit.group import Group
from bandit.reward import State
from service.product_pmf import pmf_rows
from service.rows import DECIDED, DecidedValues, covered_by, linked, stamp
from service.store import Log

DUE_AT = "due_at"
_AT_ONCE = 40
"""Rows a statement: it opens the table and each of its indexes once for all of them."""
_GROUPS = {group: group.value for group in Group}
_DIFFER = {"decision_id", "customer_key", "context", "propensities", "pmf"}
# Bound always: SQLite reads some numbers of 17 digits one bit off, and the chain would not hold.
_REAL = {"propensity", "estimate"}
_MAY_BE_COMMON = frozenset(DECIDED) - _DIFFER - _REAL
_text = msgspec.json.Encoder()


@dataclass(frozen=True, slots=True, eq=False)
class RowsInColumns:
    """Rows on their way to the writer.

    Attributes:
        covered: for each row the bytes that the chain covers.
        common: values that all rows have in common, by name of the column.
        columns: values of the other columns of `service.rows.DECIDED` and of `due_at`, a list each.
    """

    covered: Sequence[bytes]
    common: Mapping[str, str | int | None]
    columns: Mapping[str, Sequence[Any]]

    def __len__(self) -> int:
        return len(self.covered)

    def __reduce__(self) -> tuple[Callable[[bytes], RowsInColumns], tuple[bytes]]:
        """For another process, as MessagePack: pickle would look each of the values up among all it has met."""
        return _from_bytes, (msgspec.msgpack.encode((self.covered, self.common, self.columns)),)

    def only(self, rows: Sequence[int]) -> RowsInColumns:
        """Some of the rows."""
        columns = {name: [column[row] for row in rows] for name, column in self.columns.items()}
        return RowsInColumns([self.covered[row] for row in rows], self.common, columns)

    def values(self) -> Iterator[DecidedValues]:
        """Row by row, as `service.rows.decided_values`."""
        columns = [self.columns.get(name, repeat(self.common.get(name), len(self))) for name in DECIDED]
        return zip(*columns, strict=True)


def _from_bytes(packed: bytes) -> RowsInColumns:
    return RowsInColumns(*msgspec.msgpack.decode(packed))


def rows_in_columns(decisions: Decisions, log: Log, seen: Sequence[int | None]) -> RowsInColumns:
    """Decisions as `Store.row_of` makes rows of them.

    Args:
        decisions: to be stored.
        log: the campaign's.
        seen: for each the last row that stood in the log when the customer's past was read; None if it was not.
    """
    n, asked = len(decisions), decisions.requests
    decided_at, send_at, due_at = _times(decisions, log)
    columns: dict[str, Sequence[Any]] = {
        "log_id": [log.log_id] * n,
        "decision_id": asked.decision_ids,
        "customer_key": customer_keys(asked.customer_ids, secret=decisions.secret),
        '"group"': [_GROUPS[group] for group in decisions.groups],
        "context": _contexts(decisions.contexts),
        "arms": _arms(decisions),
        "propensities": _lists(decisions.propensities),
        "pmf": pmf_rows(np.concatenate(decisions.pmfs, axis=1)),
        "propensity": joint_propensities(decisions.propensities).tolist(),
        "policy": decisions.policies,
        "snapshot": decisions.snapshots,
        "fallback": decisions.fallbacks,
        "estimate": [None if math.isnan(one) else one + 0.0 for one in decisions.estimates.tolist()],
        "decided_at": decided_at,
        "send_at": send_at,
        "candidate": decisions.candidates,
        "exposures": _listed(decisions.contexts, attrgetter("exposures")),
        "seen": seen,
        "excluded": _excluded(decisions.contexts),
        "deferred": [None] * n,
        "recent_sends": _recent_sends(decisions.contexts),
    }
    covered = covered_by([columns[name] for name in DECIDED])
    columns[DUE_AT] = due_at
    common = {name: columns[name][0] for name in (*_MAY_BE_COMMON, DUE_AT) if n and _is_common(columns[name])}
    return RowsInColumns(covered, common, {name: column for name, column in columns.items() if name not in common})


def append_rows(connection: sqlite3.Connection, rows: RowsInColumns) -> None:
    """Append rows, each chained to the one before, all or none; inside the caller's transaction.

    Raises:
        ConflictingDecision: if a decision_id is taken.
    """
    seq, chain = connection.execute("SELECT seq, chain FROM head").fetchone()
    chains = []
    for one in rows.covered:
        chain = linked(chain, one)
        chains.append(chain)
    last = seq + len(rows)
    complete = zip(range(seq + 1, last + 1), *rows.columns.values(), chains, strict=True)
    try:
        _insert(connection, rows, list(chain_of.from_iterable(complete)))
    except sqlite3.IntegrityError as error:
        raise ConflictingDecision(
            f"a decision_id of these rows was stored by another request just now ({error}); none of them was stored. "
            "Ask again with the same ids: stored decisions stand."
        ) from error
    connection.execute("UPDATE head SET seq = ?, chain = ?", (last, chain))


def _insert(connection: sqlite3.Connection, rows: RowsInColumns, values: Sequence[Any]) -> None:
    """Insert rows whose values stand one row after the other, `_AT_ONCE` rows a statement and what is left one by one."""
    names, cells = _columns_and_cells(rows)
    begins = f"INSERT INTO decisions ({', '.join(names)}) VALUES "  # noqa: S608 - texts are quoted
    width, first = len(rows.columns) + 2, 0
    for at_once in (_AT_ONCE, 1):
        size = at_once * width
        last = len(values) - (len(values) - first) % size
        parts = (values[start : start + size] for start in range(first, last, size))
        connection.executemany(begins + ", ".join([cells] * at_once), parts)
        first = last


def _columns_and_cells(rows: RowsInColumns) -> tuple[Sequence[str], str]:
    """Names of the columns, and what a row binds: what all have in common stands in the statement, for to bind it costs more."""
    common = {name: _literal(value) for name, value in rows.common.items() if value is not None}
    cells = (*["?"] * (len(rows.columns) + 2), *common.values(), _literal(State.PENDING.value))
    return ("seq", *rows.columns, "chain", *common, "state"), f"({', '.join(cells)})"


def _literal(value: str | int) -> str:
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def joint_propensities(propensities: FloatArray) -> FloatArray:
    """Products over the dimensions, multiplied in the order in which the engine does; shape (n,)."""
    found = np.ones(len(propensities))
    for column in propensities.T:
        found = found * column
    return found


def _is_common(column: Sequence[Any]) -> bool:
    """Whether all values are the same, and can stand in a statement."""
    first = column[0]
    return not (isinstance(first, str) and "\0" in first) and list(column).count(first) == len(column)


def _times(decisions: Decisions, log: Log) -> tuple[list[str], list[str | None], list[str]]:
    """When each was decided, may go out, and when its window closes; each different time is written once."""
    send_ats, due_at = decisions.send_ats(), log.campaign.reward.due_at
    if len(set(map(id, decisions.requests.at))) == len(set(map(id, send_ats))) == 1:
        at, send_at, n = decisions.requests.at[0], send_ats[0], len(send_ats)
        return [stamp(at)] * n, [stamp(send_at) if send_at else None] * n, [stamp(due_at(at, send_at))] * n
    # By their identity, for a table has one time only, and to hash a time takes longer than all the rest.
    pairs = [(id(at), id(send_at)) for at, send_at in zip(decisions.requests.at, send_ats, strict=True)]
    different = dict(zip(pairs, zip(decisions.requests.at, send_ats, strict=True), strict=True))
    known = {
        pair: (stamp(at), stamp(send_at) if send_at else None, stamp(due_at(at, send_at)))
        for pair, (at, send_at) in different.items()
    }
    found = [known[pair] for pair in pairs]
    return [one[0] for one in found], [one[1] for one in found], [one[2] for one in found]


def _contexts(contexts: Sequence[EncodedContext]) -> list[str]:
    """Contexts as JSON; of columns each different value is written once."""
    if not isinstance(contexts, ContextColumns):
        return [_json(context.values) for context in contexts]
    if not contexts.columns:
        return ["{}"] * len(contexts)
    parts = [_members(column, is_first=place == 0) for place, column in enumerate(contexts.columns)]
    return ["".join(row) for row in zip(*parts, repeat("}", len(contexts)), strict=True)]


def _members(column: ContextColumn, *, is_first: bool) -> list[str]:
    """A name and its values as members of JSON objects."""
    before = ("{" if is_first else ",") + _json(column.name) + ":"
    texts = [before + _json(value) for value in column.values]
    return [texts[place] for place in column.places.tolist()]


def _arms(decisions: Decisions) -> list[str]:
    """The arms as JSON; each different choice is written once."""
    dimensions, known = decisions.campaign.dimensions, dict[tuple[int, ...], str]()
    found = []
    for picks in zip(*decisions.picks.T.tolist(), strict=True):
        if picks not in known:
            known[picks] = _json([d.ids[pick] for d, pick in zip(dimensions, picks, strict=True)])
        found.append(known[picks])
    return found


def _lists(numbers: FloatArray) -> list[str]:
    """Each row as a JSON list, all written in one go."""
    whole = _json(numbers.tolist())
    return [f"[{row}]" for row in whole[2:-2].split("],[")] if len(numbers) else []


def _excluded(contexts: Sequence[EncodedContext]) -> list[str | None]:
    """What was out of each decision, as JSON; of columns each different set is written once."""
    if not isinstance(contexts, ContextColumns) or contexts.excluded is None:
        return _listed(contexts, lambda context: written(context.excluded))
    texts = [_json(written(one)) if one else None for one in contexts.excluded.values]
    return [texts[place] for place in contexts.excluded.places.tolist()]


def _listed(contexts: Sequence[EncodedContext], part: Callable[[EncodedContext], Sequence[object]]) -> list[str | None]:
    """What customers got before, or what was excluded, as JSON; None for nothing."""
    if isinstance(contexts, ContextColumns):
        return [None] * len(contexts)
    found = [part(context) for context in contexts]
    return [_json(one) if one else None for one in found]


def _recent_sends(contexts: Sequence[EncodedContext]) -> list[int | None]:
    """Messages that customers had got lately; of columns nobody has counted them."""
    if isinstance(contexts, ContextColumns):
        return [None] * len(contexts)
    return [context.recent_sends for context in contexts]


def _json(value: object) -> str:
    return _text.encode(value).decode()
