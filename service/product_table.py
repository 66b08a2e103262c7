"""Customers' product candidates as the store keeps them: under the customer's key, so that nobody's name stands here.

Loading replaces all candidates of a campaign's dimension, so that there is one list a customer, of one time. Rows are written
in slices, under the number of their load; what serves is one number, which changes once all of them are there.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from itertools import islice

import msgspec

from bandit.draw import customer_keys
from bandit.errors import UnusableCatalogue
from bandit.product_candidates import Candidates
from service.customer_keys import read_customer_keys
from service.marks import marks
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

    def of_many(
        self, customer_ids: Sequence[str], given: Sequence[Candidates] | None = None
    ) -> list[Candidates] | None:
        """The same of many customers; None where the campaign has no product dimensions.

        Args:
            customer_ids: who.
            given: what came with the rows, for each customer; None where nothing did.
        """
        if not self._dimensions:
            return None
        found: list[Candidates] = [_NONE] * len(customer_ids)
        for secret in reversed(self._store.customer_keys.secrets):
            keys = customer_keys(customer_ids, secret=secret)
            kept = self._kept(keys)
            found = [kept.get(key, before) for key, before in zip(keys, found, strict=True)]
        if given is None:
            return found
        return [{**before, **own} for before, own in zip(found, given, strict=True)]

    def _found(self, keys: Sequence[str]) -> Candidates:
        kept = self._kept(keys)
        return next((kept[key] for key in keys if key in kept), _NONE)

    def _kept(self, keys: Sequence[str]) -> dict[str, dict[str, list[str]]]:
        """Candidates by dimension, by customer's key."""
        found: dict[str, dict[str, list[str]]] = {}
        reader, left = self._store.reader(), iter(keys)
        while some := tuple(islice(left, _AT_ONCE)):
            query = (
                "SELECT customer_key, dimension, products FROM product_loads "  # noqa: S608 - built from constants
                "JOIN product_candidates USING (campaign, dimension, load) "
                f"WHERE campaign = ? AND customer_key IN ({marks(some)})"
            )
            for key, name, products in reader.execute(query, (self._campaign.id, *some)):
                if name in self._dimensions:
                    ids = [one for one in _products.decode(products) if one in self._dimensions[name]]
                    found.setdefault(key, {})[name] = ids
        return found


def load_candidates(
    store: Store, campaign: str, dimension: str, rows: Iterable[tuple[str, Sequence[str]]], at: datetime
) -> int:
    """Keep candidates in place of those that were kept before; returns of how many customers.

    Decisions go on with the ones before until all are there. A load that was killed leaves rows that serve nobody, and the
    next one takes them away.

    Args:
        store: where to.
        campaign: its id.
        dimension: whose arms they are.
        rows: customer_id, and products, best first.
        at: now.

    Raises:
        UnusableCatalogue: if a load that began later was faster, and stands.
    """
    whose, left = (campaign, dimension), iter(rows)
    number = store.write(partial(_begin, whose))
    while some := list(islice(left, _AT_ONCE)):
        store.write(partial(_add, (*whose, number), some, stamp(at)))
    serves = store.write(partial(_swap, (*whose, number)))
    while store.write(partial(_drop_some, (*whose, number), serves=serves)) == _AT_ONCE:
        pass
    if not serves:
        raise UnusableCatalogue(
            f"another table of candidates of {dimension!r} was loaded meanwhile, which began later: it stands, and nothing of "
            "this one is kept. Load this one again if it is the newer one."
        )
    query = "SELECT count(*) FROM product_candidates WHERE campaign = ? AND dimension = ? AND load = ?"
    return int(store.reader().execute(query, (*whose, number)).fetchone()[0])


def _begin(whose: tuple[str, str], connection: sqlite3.Connection) -> int:
    """The number of a new load."""
    connection.execute(
        "INSERT OR IGNORE INTO product_loads (campaign, dimension, load, begun) VALUES (?, ?, 0, 0)", whose
    )
    connection.execute("UPDATE product_loads SET begun = begun + 1 WHERE campaign = ? AND dimension = ?", whose)
    query = "SELECT begun FROM product_loads WHERE campaign = ? AND dimension = ?"
    return int(connection.execute(query, whose).fetchone()[0])


def _add(
    load: tuple[str, str, int], some: list[tuple[str, Sequence[str]]], loaded_at: str, connection: sqlite3.Connection
) -> None:
    keys = read_customer_keys(connection)
    names = customer_keys([customer_id for customer_id, _ in some], secret=keys.newest)
    connection.executemany(
        "INSERT OR REPLACE INTO product_candidates (campaign, dimension, load, customer_key, products, loaded_at, generation) "
        "VALUES (?, ?, ?, ?, ?, ?, ?)",
        [
            (*load, name, msgspec.json.encode(list(products)).decode(), loaded_at, keys.generation)
            for name, (_, products) in zip(names, some, strict=True)
        ],
    )


def _swap(load: tuple[str, str, int], connection: sqlite3.Connection) -> bool:
    """Let a load serve; returns whether it does."""
    campaign, dimension, number = load
    query = "UPDATE product_loads SET load = ? WHERE campaign = ? AND dimension = ? AND load < ?"
    return connection.execute(query, (number, campaign, dimension, number)).rowcount == 1


def _drop_some(load: tuple[str, str, int], connection: sqlite3.Connection, *, serves: bool) -> int:
    """Delete some rows of earlier loads, or of this one if it does not serve; returns how many."""
    query = (
        "SELECT load, customer_key FROM product_candidates "  # noqa: S608 - of constants
        f"WHERE campaign = ? AND dimension = ? AND load {'<' if serves else '='} ? LIMIT ?"
    )
    found = connection.execute(query, (*load, _AT_ONCE)).fetchall()
    connection.executemany(
        "DELETE FROM product_candidates WHERE campaign = ? AND dimension = ? AND load = ? AND customer_key = ?",
        [(*load[:2], number, key) for number, key in found],
    )
    return len(found)


def erase_candidates(connection: sqlite3.Connection, keys: Sequence[str]) -> None:
    """Forget a customer's candidates, whichever campaign they are of."""
    connection.execute(f"DELETE FROM product_candidates WHERE customer_key IN ({marks(keys)})", keys)  # noqa: S608


def candidates_of_person(connection: sqlite3.Connection, keys: Sequence[str]) -> list[Mapping[str, object]]:
    """A customer's candidates, readable."""
    query = (
        "SELECT campaign, dimension, products, loaded_at FROM product_candidates "  # noqa: S608 - built from constants
        f"WHERE customer_key IN ({marks(keys)}) ORDER BY campaign, dimension"
    )
    return [
        {"campaign": campaign, "dimension": dimension, "products": _products.decode(products), "loaded_at": loaded_at}
        for campaign, dimension, products, loaded_at in connection.execute(query, keys)
    ]
