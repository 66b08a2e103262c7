"""Taking a table of candidates into the store."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import NamedTuple

from bandit.engine import check_ids
from service.product_campaign import products_in
from service.product_table import load_candidates
from service.product_tables import read_candidates
from service.store import Log, Store


class Loaded(NamedTuple):
    """What was loaded: for how many customers, of which dimension, and which products the campaign does not have."""

    n_customers: int
    dimension: str
    unknown: list[str]


def load_table(store: Store, log: Log, path: Path, dimension: str, at: datetime) -> Loaded:
    """Take a table of candidates into the store, in place of the last one.

    Raises:
        UnusableCatalogue: if the campaign's dimension offers no candidates, or the table lacks a column.
        UnusableLog, InvalidContext: if the table cannot be read, or has a customer_id that nobody can have.
    """
    products, unknown = products_in(log.campaign.toml, dimension), dict[str, None]()
    known, rows = set(products), list[tuple[str, list[str]]]()
    for customer_id, ids in read_candidates(path):
        check_ids(customer_id, customer_id)
        unknown |= dict.fromkeys(one for one in ids if one not in known)
        offered = [one for one in dict.fromkeys(ids) if one in known]
        if offered:
            rows.append((customer_id, offered))

    return Loaded(load_candidates(store, log.campaign.id, dimension, rows, at), dimension, list(unknown))
