"""`manyarm opt-out`: who must not be mailed any more."""

from __future__ import annotations

import sqlite3
from datetime import datetime
from pathlib import Path

import click

from service.commands.customers import customer_ids, file_option
from service.commands.options import answer, at_option, existing, existing_db_option, json_option, now_or
from service.customer_keys import read_customer_keys
from service.opt_outs import opt_in
from service.opt_outs import opt_out as opt_one_out
from service.store import Store


@click.command("opt-out", epilog="Example:  manyarm opt-out ann@example.org --reason phone")
@click.argument("customer_id", required=False)
@file_option
@click.option("--reason", default="asked", show_default=True, help="Where it came from, in a word.")
@click.option("--undo", is_flag=True, help="They may be mailed again.")
@existing_db_option
@at_option
@json_option
def opt_out(
    customer_id: str | None, file: Path | None, reason: str, undo: bool, db: Path, at: datetime | None, as_json: bool
) -> None:
    """Decide no more for CUSTOMER_ID, or for everybody in a table: they are refused until the opt-out is taken back.

    They need not be known yet.
    """
    ids = customer_ids(customer_id, file)
    with existing(db) as store:
        n_changed = _undo(store, ids) if undo else _opt_all_out(store, ids, now_or(at), reason)
        store.wipe()
    said = f"{n_changed} of {len(ids)} opt-outs taken back." if undo else f"{n_changed} customers are opted out."
    answer({"n_customers": len(ids), "n_changed": n_changed, "opted_out": not undo}, said, as_json=as_json)


def _opt_all_out(store: Store, ids: list[str], at: datetime, reason: str) -> int:
    def operation(connection: sqlite3.Connection) -> int:
        keys = read_customer_keys(connection)
        for customer_id in ids:
            opt_one_out(connection, customer_id, keys, at, reason)
        return len(ids)

    return store.write(operation)


def _undo(store: Store, ids: list[str]) -> int:
    def operation(connection: sqlite3.Connection) -> int:
        keys = read_customer_keys(connection)
        return sum(opt_in(connection, one, keys) for one in ids)

    return store.write(operation)
