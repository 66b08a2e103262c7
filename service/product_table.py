"""Customers' product candidates as the store keeps them: under the customer's key, so that nobody's name stands here.

Loading replaces all candidates of a campaign's dimension, so that there is one list a customer, of one time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from itertools import islice

import msgspec

from bandit.draw import customer_keys
from bandit.product_candidates import Candidates
from service.customer_keys import CustomerKeys
from service.rows import stamp
from service.store import Log, Store

_AT_ONCE = 500
_NONE: Candidates = {}
_products = msgspec.json.Decoder(list[str])


class KeptCandidates:
    """Looks up what products customers may be offered; cheap to make.

    Args:
        store: where they are.
        log: of the campaign; one without product dimensions costs nothing.
    """

    def __init__(self, store: Store, log: Log) -> None:
        self._store, self._campaign = store, log.campaign
        self._dimensions = {one.name: one for one in log.campaign.dimensions if one.candidates}

    def of(self, customer_id: str, given: Candidates = _NONE) -> Candidates:
        """A customer's candidates: those that came with the request, else those that were loaded.

        Products that the campaign no longer has are left out.
        """
        if not self._dimensions or given.keys() >= self._dimensions.keys():
            return given
        return {**self._found(self._store.customer_keys.of(customer_id)), **given}

    def of_many(self, customer_ids: Sequence[str]) -> list[Candidates] | None:
        """The loaded candidates of many customers; None where the campaign has no product dimensions."""
        if not self._dimensions:
            return None
        found: list[Candidates] = [_NONE] * len(customer_ids)
        for secret in reversed(self._store.customer_keys.secrets):
            keys = customer_keys(customer_ids, secret=secret)
            kept = self._kept(keys)
            found = [kept.get(key, before) for key, before in zip(keys, found, strict=True)]
        return found

    def _found(self, keys: Sequence[str]) -> Candidates:
        kept = self._kept(keys)
        return next((kept[key] for key in keys if key in kept), _NONE)

    def _kept(self, keys: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        """Candidates by dimension, by customer's key."""
        found: dict[str, dict[str, list[str]]] = {}
        reader, left = self._store.reader(), iter(keys)
        while some := tuple(islice(left, _AT_ONCE)):
            query = (
                "SELECT customer_key, dimension, products FROM product_candidates "  # noqa: S608 - built from constants
                f"WHERE campaign = ? AND customer_key IN ({', '.join('?' * len(some))})"
            )
            for key, name, products in reader.execute(query, (self._campaign.id, *some)):
                if name in self._dimensions:
                    ids = [one for one in _products.decode(products) if one in self._dimensions[name]]
                    found.setdefault(key, {})[name] = ids
        return found


def load_candidates(
    connection: sqlite3.Connection,
    campaign: str,
    dimension: str,
    rows: Iterable[tuple[str, Sequence[str]]],
    keys: CustomerKeys,
    at: datetime,
) -> int:
    """Keep candidates in place of those that were kept before; returns of how many customers.

    Args:
        connection: inside a transaction.
        campaign: its id.
        dimension: whose arms they are.
        rows: customer_id, and products, best first.
        keys: of customers, read in the same transaction.
        at: now.
    """
    connection.execute("DELETE FROM product_candidates WHERE campaign = ? AND dimension = ?", (campaign, dimension))
    connection.executemany(
        "INSERT OR REPLACE INTO product_candidates (campaign, dimension, customer_key, products, loaded_at, generation) "
        "VALUES (?, ?, ?, ?, ?, ?)",
        _kept_rows(campaign, dimension, rows, keys, at),
    )
    query = "SELECT count(*) FROM product_candidates WHERE campaign = ? AND dimension = ?"
    (n_customers,) = connection.execute(query, (campaign, dimension)).fetchone()
    return int(n_customers)


def erase_candidates(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    """Forget a customer's candidates, whichever campaign they are of."""
    connection.execute(f"DELETE FROM product_candidates WHERE customer_key IN ({', '.join('?' * len(keys))})", keys)  # noqa: S608


def candidates_of_person(connection: sqlite3.Connection, keys: Sequence[str]) -> list[Mapping[str, object]]:
    """A customer's candidates, readable."""
    query = (
        "SELECT campaign, dimension, products, loaded_at FROM product_candidates "  # noqa: S608 - built from constants
        f"WHERE customer_key IN ({', '.join('?' * len(keys))}) ORDER BY campaign, dimension"
    )
    return [
        {"campaign": campaign, "dimension": dimension, "products": _products.decode(products), "loaded_at": loaded_at}
        for campaign, dimension, products, loaded_at in connection.execute(query, keys)
    ]


def _kept_rows(
    campaign: str, dimension: str, rows: Iterable[tuple[str, Sequence[str]]], keys: CustomerKeys, at: datetime
) -> Iterator[tuple[str, str, str, str, str, int]]:
    encode, loaded_at = msgspec.json.encode, stamp(at)
    left = iter(rows)
    while some := list(islice(left, _AT_ONCE)):
        names = customer_keys([customer_id for customer_id, _ in some], secret=keys.newest)
        for name, (_, products) in zip(names, some, strict=True):
            yield campaign, dimension, name, encode(list(products)).decode(), loaded_at, keys.generation
