"""What an erasure costs, and what it leaves behind in the file.

Run: .venv/bin/python benchmarks/erasing.py

A store is filled with matured sends and their clicks, one row a customer, whose ids lie in no order. A tenth of the
customers is erased. The keys of the erased ones that can still be read in the bytes of the files are counted: as SQLite comes,
as the store does it (deleted bytes are overwritten, the write-ahead log is emptied), and after the file was written anew.
"""

from __future__ import annotations

import argparse
import random
import sqlite3
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path

from decide import AT, SEED, campaign_text
from timing import keep

from bandit import Context, Outcome, read_campaign
from service.engines import engine_for
from service.erasing import Order, erase_customer, erase_customers
from service.erasure import Reason
from service.outcomes_table import record_outcome
from service.store import Log, Store
from service.trainer import Trainer

DIMENSIONS = {"subject": 4, "cta": 3}
AT_ONCE = 50
"""Rows a commit: what one holds stands together in the file."""


@contextmanager
def overwriting(is_on: bool) -> Iterator[None]:
    """Stores opened meanwhile overwrite what they delete, as they do, or leave it, as SQLite comes."""
    connect = Store._connect  # noqa: SLF001 - what is measured

    def connected(store: Store) -> sqlite3.Connection:
        connection = connect(store)
        connection.execute(f"PRAGMA secure_delete = {'ON' if is_on else 'OFF'}")
        return connection

    Store._connect = connected  # type: ignore[method-assign]  # noqa: SLF001
    try:
        yield
    finally:
        Store._connect = connect  # type: ignore[method-assign]  # noqa: SLF001


def fill(store: Store, log: Log, ids: list[str]) -> None:
    """Decide for everybody, click in every third, and close the windows."""
    engine = engine_for(store, log)
    for start in range(0, len(ids), AT_ONCE):
        some = ids[start : start + AT_ONCE]
        made = [engine.decide(one, Context({}), decision_id=f"send-{one}", at=AT) for one in some]
        store.add_decisions([store.row_of(decision, log) for decision in made])
        for one in some[::3]:
            click = Outcome(f"click-{one}", f"send-{one}", "click", AT)
            store.write(lambda c, click=click: record_outcome(c, click, store.reward_of, AT))  # type: ignore[misc]
    Trainer(store, log).close_windows(AT + timedelta(days=30))


def left_of(path: Path, keys: dict[str, str]) -> int:
    """Customers whose key or decision_id can still be read in the files."""
    raw = b"".join(one.read_bytes() for one in path.parent.glob(f"{path.name}*"))
    return sum(key.encode() in raw or f"send-{one}".encode() in raw for one, key in keys.items())


def measured(path: Path, n_rows: int, *, is_overwriting: bool) -> dict[str, object]:
    """Fill, erase, and look."""
    luck = random.Random(SEED)
    ids = [f"{luck.getrandbits(64):016x}" for _ in range(n_rows)]
    gone = luck.sample(ids, n_rows // 10)
    with overwriting(is_overwriting), Store(path, salt=b"salt", secret=b"secret") as store:
        log = store.open_log(read_campaign(campaign_text(DIMENSIONS)), AT)
        started = time.perf_counter()
        fill(store, log, ids)
        filled = time.perf_counter()
        keys = {one: store.customer_keys.of(one)[0] for one in gone}
        orders = ((one, Order(f"r{number}", AT, Reason.REQUEST)) for number, one in enumerate(gone[:-1]))
        n_erased = sum(receipt.n_decisions for receipt in erase_customers(store, orders))
        many = time.perf_counter()
        n_erased += erase_customer(store, gone[-1], Order("last", AT, Reason.REQUEST)).n_decisions
        single = time.perf_counter()
        store.wipe()
        wiped = time.perf_counter()
        left = left_of(path, keys)
        begun = time.perf_counter()
        store.wipe(rewriting=True)
        rewritten = time.perf_counter()
        return {
            "rows": n_rows,
            "erased": n_erased,
            "readable": left,
            "readable after rewriting": left_of(path, keys),
            "seconds": {
                "filling": round(filled - started, 2),
                "one of many": round((many - filled) / (len(gone) - 1), 5),
                "one alone": round(single - many, 4),
                "emptying the write-ahead log": round(wiped - single, 4),
                "rewriting the file": round(rewritten - begun, 3),
            },
            "megabytes": round(path.stat().st_size / 1e6, 1),
        }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=20_000)
    parser.add_argument("--smoke", action="store_true", help="a few rows, nothing written: does it run?")
    options = parser.parse_args()
    n_rows = 300 if options.smoke else options.rows
    with tempfile.TemporaryDirectory() as folder:
        found = {
            name: measured(Path(folder) / f"{number}.db", n_rows, is_overwriting=is_overwriting)
            for number, (name, is_overwriting) in enumerate((("as SQLite comes", False), ("as the store does", True)))
        }
    if options.smoke:
        print("ok")
        return
    keep("erasing", {"seed": SEED, **found})


if __name__ == "__main__":
    main()
