"""`manyarm erase`: people, or rows that are too old, out of the log for good."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

import click

from bandit.errors import UnusableLog
from service.clock import random_id
from service.commands.customers import customer_ids, file_option
from service.commands.options import (
    Moment,
    answer,
    at_option,
    campaign_option,
    existing,
    existing_db_option,
    json_option,
    now_or,
    opened,
    progress,
)
from service.commands.settings_option import settings_option
from service.customer_keys import retire_keys, rotate_key
from service.erasing import Order, erase_customers, erase_expired
from service.erasure import Erasure, Reason, find_erasure
from service.rankings.erasing import erase_old_rankings, erase_ranking
from service.retention import rankings_retention_of, retention_of
from service.settings import Settings
from service.store import Store


@dataclass(frozen=True, slots=True)
class _Answer:
    """What a kind of erasing has to say."""

    document: dict[str, object]
    text: str
    is_yes: bool = True


@click.command(epilog="Example:  manyarm erase ann@example.org --db manyarm.db")
@click.argument("customer_id", required=False)
@file_option
@click.option("--expired", is_flag=True, help="Instead of people: rows older than [privacy].retention of the campaign.")
@click.option(
    "--event", default="", metavar="ID", help="The ranking of one event of the Personalizer calls, and its rewards."
)
@click.option("--receipt", default="", metavar="ID", help="Show a receipt, and whether this database signed it.")
@click.option("--rotate-key", is_flag=True, help="Begin a new key of customers; the ones so far go on being looked up.")
@click.option(
    "--retire-keys-before",
    type=Moment(),
    help="Destroy the keys that were replaced before this time: nobody can link their rows to anybody then.",
)
@click.option("--drop-opt-outs", is_flag=True, help="With --retire-keys-before: opt-outs under these keys too.")
@click.option(
    "--vacuum",
    is_flag=True,
    help="Write the file anew afterwards: no copy is left in free space. Others wait meanwhile.",
)
@existing_db_option
@campaign_option
@settings_option
@at_option
@json_option
@click.pass_context
def erase(  # noqa: PLR0913, PLR0917 - one argument an option
    ctx: click.Context,
    customer_id: str | None,
    file: Path | None,
    expired: bool,
    event: str,
    receipt: str,
    rotate_key: bool,
    retire_keys_before: datetime | None,
    drop_opt_outs: bool,
    vacuum: bool,
    db: Path,
    campaign: Path,
    settings: Settings,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Erase all that is known of CUSTOMER_ID: decisions, contexts, outcomes, raw events of providers. Aggregates stay right.

    A receipt says what was removed, and not of whom; `manyarm verify` checks it.
    """
    is_named = customer_id is not None or file is not None
    kinds = [is_named, expired, bool(event), bool(receipt), rotate_key, bool(retire_keys_before)]
    if sum(kinds) != 1 and not (vacuum and not any(kinds)):
        raise click.UsageError(
            "say what to do, one thing at a time: CUSTOMER_ID, --file, --expired, --event, --receipt, --rotate-key, "
            "--retire-keys-before, or --vacuum alone."
        )
    if drop_opt_outs and not retire_keys_before:
        raise click.UsageError("--drop-opt-outs goes with --retire-keys-before.")
    now = now_or(at)
    if expired:
        found = _expire(db, campaign, settings, now, vacuum=vacuum)
    elif event:
        found = _erase_event(db, campaign, event, vacuum=vacuum)
    else:
        ids = customer_ids(customer_id, file) if kinds[0] else []
        with existing(db) as store:
            found = _done(store, ids, receipt, rotate_key, retire_keys_before, drop_opt_outs, now)
            if not receipt:
                store.wipe(rewriting=vacuum)
    answer(found.document, found.text, as_json=as_json)
    ctx.exit(0 if found.is_yes else 1)


def _done(
    store: Store, ids: list[str], receipt: str, rotating: bool, before: datetime | None, dropping: bool, now: datetime
) -> _Answer:
    """The one thing that was asked for."""
    if receipt:
        return _shown(store, receipt)
    if rotating:
        return _rotated(store, now)
    if before:
        return _retired(store, before, now, dropping=dropping)
    return _erased(store, ids, now) if ids else _Answer({"erasures": []}, "The file was written anew.")


def _erased(store: Store, ids: list[str], now: datetime) -> _Answer:
    orders = [(one, Order(random_id(), now, Reason.REQUEST)) for one in ids]
    with progress(erase_customers(store, orders), "erasing", len(ids)) as receipts:
        return _receipts(receipts)


def _expire(db: Path, campaign: Path, settings: Settings, now: datetime, *, vacuum: bool) -> _Answer:
    with opened(db, campaign, now, making=False) as (store, log):
        retention, of_rankings = retention_of(log, settings), rankings_retention_of(log, settings)
        if of_rankings is None:
            raise UnusableLog(
                f'{campaign} does not say how long rows are kept, so none is too old. Add [privacy] retention = "400d", or '
                "the setting retention."
            )
        found = (
            _receipts(erase_expired(store, log, retention, at=now, new_id=random_id)) if retention else _receipts([])
        )
        n_rankings = erase_old_rankings(store, log.campaign.id, of_rankings, now)
        store.wipe(rewriting=vacuum)
        return _Answer({**found.document, "n_rankings": n_rankings}, f"{found.text}\nErased {n_rankings} rankings.")


def _erase_event(db: Path, campaign: Path, event: str, *, vacuum: bool) -> _Answer:
    with opened(db, campaign, making=False) as (store, log):
        erase_ranking(store, log.campaign.id, event)
        store.wipe(rewriting=vacuum)
    return _Answer({"n_rankings": 1}, "Erased 1 ranking.")


def _shown(store: Store, erasure_id: str) -> _Answer:
    found, is_signed = find_erasure(store.reader(), erasure_id, store.receipts_key)
    said = "signed by this database" if is_signed else "NOT signed by this database for the rows that are gone"
    return _Answer(found.document() | {"is_signed": is_signed}, f"{_line(found)}\n  {said}", is_signed)


def _rotated(store: Store, now: datetime) -> _Answer:
    generation = store.write(lambda connection: rotate_key(connection, now))
    text = (
        f"New rows bear generation {generation} of the key. A running service takes it up within two seconds, a "
        "running batch when it is over. Retire the earlier ones with --retire-keys-before after that."
    )
    return _Answer({"generation": generation}, text)


def _retired(store: Store, before: datetime, now: datetime, *, dropping: bool) -> _Answer:
    n_retired = store.write(lambda connection: retire_keys(connection, before, now, dropping=dropping))
    text = f"{n_retired} keys are destroyed: their rows can be linked to nobody, by this database neither."
    return _Answer({"n_retired": n_retired}, text if n_retired else "No key was replaced before that time.")


def _receipts(found: Iterable[Erasure]) -> _Answer:
    receipts = list(found)
    n_rows = sum(one.n_decisions for one in receipts)
    lines = [f"Erased {n_rows} decisions; {len(receipts)} receipts.", *(f"  {_line(one)}" for one in receipts)]
    return _Answer({"n_decisions": n_rows, "erasures": [one.document() for one in receipts]}, "\n".join(lines))


def _line(erasure: Erasure) -> str:
    gone = ", ".join(
        f"{one.decisions} decisions, {one.outcomes} outcomes and {one.webhook_events} raw events of {one.campaign or 'any'}"
        for one in erasure.removed
    )
    return f"{erasure.erasure_id}  {erasure.at[:19]}  {gone or 'nothing was known'}"
