"""Deciding for a whole table of customers: checked first, then decided and stored in groups."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path

from bandit.context import Context
from bandit.decision import Decision
from bandit.engine import Engine, check_ids
from bandit.errors import ConflictingDecision, EngineError, InvalidContext
from bandit.log import LoggedDecision
from bandit.wear_out import PastSend
from service.clock import NewId
from service.deciding import Request, choice_of, stored_decision, texts_of
from service.past_sends import PastSends
from service.store import Log, Store
from service.table import Cells, columns_in, context_of, read_rows

AT_ONCE = 1000
MOST_SHOWN = 20


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns of a table mean what."""

    customer_id: str
    decision_id: str | None
    context: tuple[str, ...]


def columns_for(path: Path, log: Log, *, ignored: Sequence[str]) -> Columns:
    """Find the columns of a table of customers.

    Raises:
        InvalidContext: if there is no customer_id, or a column the campaign does not declare.
    """
    found = columns_in(path)
    if "customer_id" not in found:
        raise InvalidContext(
            f"{path} has the columns {', '.join(found) or 'none'}; need customer_id, which groups hang on."
        )
    rest = [name for name in found if name not in {"customer_id", "decision_id", *ignored}]
    unknown = [name for name in rest if name not in log.campaign.schema]
    if unknown:
        raise InvalidContext(
            f"{path} has columns that the campaign does not declare: {', '.join(unknown)}. Declare them under [context], "
            f"or leave them out with --ignore {','.join(unknown)}."
        )
    has_ids = "decision_id" in found and "decision_id" not in ignored
    return Columns("customer_id", "decision_id" if has_ids else None, tuple(rest))


def check_table(path: Path, columns: Columns, log: Log) -> int:
    """Read the whole table once and refuse it if any row cannot be decided; returns how many rows there are.

    Raises:
        InvalidContext: naming the first bad rows. Nothing was decided for any row.
    """
    bad: list[str] = []
    n_rows, seen = 0, set[str]()
    for n_rows, cells in enumerate(read_rows(path), start=1):
        fault = _fault(cells, columns, log, seen)
        if fault:
            bad.append(f"row {n_rows}: {fault}")
    if bad:
        more = f"\n  and {len(bad) - MOST_SHOWN} more" if len(bad) > MOST_SHOWN else ""
        listed = "\n  ".join(bad[:MOST_SHOWN])
        raise InvalidContext(
            f"{path}: {len(bad)} of {n_rows} rows cannot be decided, so none was. Correct them and run it again.\n"
            f"  {listed}{more}"
        )
    return n_rows


def _fault(cells: Cells, columns: Columns, log: Log, seen: set[str]) -> str:
    decision_id = _id(cells, columns.decision_id) if columns.decision_id else "new"
    if columns.decision_id and decision_id in seen:
        return f"decision_id {decision_id[:60]!r} stands above already; every send needs its own"
    seen.add(decision_id)
    try:
        check_ids(_id(cells, columns.customer_id), decision_id)
        log.campaign.schema.encode(Context(context_of(cells, log.campaign.schema, columns.context)))
    except InvalidContext as error:
        return str(error)
    return ""


def requests_in(path: Path, columns: Columns, log: Log, new_id: NewId) -> Iterator[Request]:
    """Each row of a checked table as a request."""
    for cells in read_rows(path):
        context = Context(context_of(cells, log.campaign.schema, columns.context))
        decision_id = _id(cells, columns.decision_id) if columns.decision_id else new_id()
        yield Request(_id(cells, columns.customer_id), context, decision_id)


def _id(cells: Cells, column: str) -> str:
    """An id as text; an empty cell is an empty text."""
    return "" if cells[column] is None else str(cells[column])


def decide_all(
    store: Store, log: Log, engine: Engine, requests: Iterable[Request], at: datetime
) -> Iterator[tuple[Request, Decision | LoggedDecision]]:
    """Decide and store in groups; a decision_id that is stored already gets its stored decision.

    Raises:
        ConflictingDecision, NoEligibleArm: the groups before it are stored; running the same table again with its
            decision_ids repeats nothing.
    """
    left, past = iter(requests), PastSends(store, log)
    while group := list(islice(left, AT_ONCE)):
        made: list[tuple[Request, Decision | LoggedDecision]] = []
        rows = []
        for request in group:
            found: Decision | LoggedDecision | None = stored_decision(store, log, request)
            if found is None:
                before = past.to(request.customer_id, at)
                found = _decide(engine, request, at, before.sends)
                rows.append(store.row_of(found, log, seen=before.seen))
            made.append((request, found))
        store.add_decisions(rows)
        yield from made


def _decide(engine: Engine, request: Request, at: datetime, past: list[PastSend] | None) -> Decision:
    try:
        return engine.decide(request.customer_id, request.context, decision_id=request.decision_id, at=at, past=past)
    except ConflictingDecision:
        raise
    except EngineError as error:
        raise type(error)(f"customer {request.customer_id[:60]!r}: {error}") from error


def cells_for(request: Request, decision: Decision | LoggedDecision, log: Log) -> dict[str, object]:
    """A decided row as the output table has it."""
    choice = choice_of(decision, log)
    texts = texts_of(choice, log)
    return {
        "decision_id": decision.decision_id,
        "customer_id": request.customer_id,
        "group": str(decision.group),
        "propensity": decision.propensity,
        "send_at": decision.send_at,
        **{f"arm.{name}": arm for name, arm in choice.items()},
        **{f"text.{d.name}": texts.get(d.name, "") for d in log.campaign.dimensions},
    }
