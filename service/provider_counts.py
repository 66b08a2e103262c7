"""What the provider counted, held against the log: messages, customers, messages by arm, outcomes by type.

Nothing in a log says that an event never reached it, or that another message went out than the one chosen. The provider's
own numbers do, and every provider exports them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pyarrow as pa

from bandit.errors import UnusableLog
from bandit.reward import UNSENT
from evaluation.verify import Check
from service.erased_sums import read_sums
from service.marks import marks
from service.store import Log, Store
from service.table import read_rows
from service.table_writer import write_rows

MESSAGES, CUSTOMERS = "sent", "customers"
MOST_APART = 0.01
"""Share by which a count may differ: reports are on their way while one counts."""

_NOT_VOID = f"log_id = ? AND state NOT IN ({marks(UNSENT)})"
_SCHEMA = pa.schema([("what", pa.string()), ("count", pa.int64())])


def counts_in_log(store: Store, log: Log) -> dict[str, int]:
    """Messages that should have gone out, and what was reported of them; a choice that sends nothing is no message.

    Returns:
        `sent`, `customers`, each type of outcome, and `dimension=arm` for each arm.
    """
    reader, (messages, those) = store.reader(), _messages_of(log)
    (sent, customers) = reader.execute(
        f"SELECT count(*), count(DISTINCT customer_key) FROM decisions WHERE {messages}",  # noqa: S608
        those,
    ).fetchone()
    counts = {MESSAGES: sent, CUSTOMERS: customers} | dict.fromkeys(log.campaign.reward.types, 0)
    counts |= dict(
        reader.execute(
            "SELECT o.type, count(*) FROM outcomes o JOIN decisions d ON d.decision_id = o.decision_id "
            "WHERE d.log_id = ? GROUP BY o.type",
            (log.log_id,),
        ).fetchall()
    )
    for d, dimension in enumerate(log.campaign.dimensions):
        query = f"SELECT json_extract(arms, '$[{d}]'), count(*) FROM decisions WHERE {messages} GROUP BY 1"  # noqa: S608
        found = dict(reader.execute(query, those).fetchall())
        counts |= {of_arm(dimension.name, arm): found.get(arm, 0) for arm in dimension.ids}
    return counts


def _messages_of(log: Log) -> tuple[str, tuple[object, ...]]:
    """Which rows are messages, as a condition in SQL with its values."""
    those, silent = (log.log_id, *sorted(UNSENT)), log.campaign.silent
    if silent is None:
        return _NOT_VOID, those
    last = len(log.campaign.dimensions) - 1
    return f"{_NOT_VOID} AND json_extract(arms, '$[{last}]') != ?", (*those, silent)


def of_arm(dimension: str, arm: str) -> str:
    """The name of an arm's count.

    >>> of_arm("cta", "join")
    'cta=join'
    """
    return f"{dimension}={arm}"


def check_provider(store: Store, log: Log, given: Mapping[str, int]) -> Check:
    """Whether the log holds what the provider counted, to within a hundredth; erased rows may be missing in it.

    Args:
        store: with the log.
        log: the campaign's; counts are of all of it.
        given: the provider's counts, some of the names of `counts_in_log`.

    Raises:
        UnusableLog: for a name that is none of them.
    """
    check = Check("provider", f"the log holds what the provider counted, to within {MOST_APART:.0%}")
    found = counts_in_log(store, log)
    n_erased = sum(sums.n_decisions for sums in read_sums(store.reader(), log.log_id).values())
    for name, count in given.items():
        if name not in found:
            raise UnusableLog(
                f"the provider's count {name!r} is of nothing in the log. Count some of {', '.join(found)}."
            )
        check.n_checked += 1
        gap = found[name] - count
        gap += min(max(-gap, 0), n_erased)
        if abs(gap) > MOST_APART * max(count, found[name]):
            check.fail(f"{name}: the provider counts {count}, the log {found[name]} ({gap:+d})")
    return check


def read_counts(path: Path) -> dict[str, int]:
    """A table with the columns what and count.

    Raises:
        UnusableLog: if it has other columns or no row, counts something twice, or a count is no whole number of at least 0.
    """
    counts: dict[str, int] = {}
    for number, row in enumerate(read_rows(path), start=1):
        what, count = _count_of(path, number, row)
        if what in counts:
            raise UnusableLog(
                f"{path}, row {number}: {what!r} is counted twice, {counts[what]} and {count}. Keep one of them."
            )
        counts[what] = count
    if not counts:
        raise UnusableLog(
            f"{path} holds no counts, so nothing could be compared. Give at least one row, such as sent,1200."
        )
    return counts


def write_counts(path: Path, counts: Mapping[str, int]) -> None:
    """The table that `read_counts` reads."""
    write_rows(path, _SCHEMA, ({"what": name, "count": count} for name, count in counts.items()))


def _count_of(path: Path, number: int, row: Mapping[str, object]) -> tuple[str, int]:
    what, count = row.get("what"), str(row.get("count", ""))
    if not what or not count.isdecimal():
        raise UnusableLog(
            f"{path}, row {number}: what is {what!r}, count {count!r}. Give two columns: what (sent, customers, a type of "
            "outcome, or dimension=arm) and count, a whole number of at least 0."
        )
    return str(what), int(count)
