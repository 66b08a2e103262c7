"""What customers did with products, as a matrix: how much each has to do with each, and when they last had.

An event counts by its type (a purchase more than a look) and less the longer it is ago. Only events before a given time are
looked at, so that what is made for that time knows nothing of what came after.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import csr_array

from bandit.errors import UnusableCatalogue
from bandit.products.catalogue import Catalogue
from bandit.products.findings import Finding, Findings

COLUMNS: Final = ("customer_id", "at", "type", "product")
WEIGHTS: Final[Mapping[str, float]] = MappingProxyType({"view": 1.0, "click": 1.0, "cart": 3.0, "purchase": 5.0})
"""What an event of each type counts; types that are not named count nothing."""
BOUGHT: Final = frozenset({"purchase"})
HALF_LIFE: Final = timedelta(days=90)


@dataclass(frozen=True, slots=True, eq=False)
class Interactions:
    """Who has to do with what.

    Attributes:
        catalogue: whose products the columns are.
        customers: of the rows, sorted.
        weights: shape (n_customers, n_products), sparse: sums of the weights of events, decayed by their age.
        bought: the same shape, sparse: 1 where the customer bought the product.
    """

    catalogue: Catalogue
    customers: tuple[str, ...]
    weights: csr_array
    bought: csr_array

    def places_of(self, customers: list[str]) -> NDArray[np.int64]:
        """The row of each customer, -1 for those of whom nothing is known."""
        places = {one: place for place, one in enumerate(self.customers)}
        return np.array([places.get(one, -1) for one in customers], dtype=np.int64)


def interactions_of(
    events: pd.DataFrame,
    catalogue: Catalogue,
    *,
    until: datetime,
    weights: Mapping[str, float] = WEIGHTS,
    half_life: timedelta = HALF_LIFE,
) -> tuple[Interactions, tuple[Finding, ...]]:
    """The matrix of a table of events, and what was wrong with some of them.

    Args:
        events: the columns customer_id, at (a time with a zone, or a text of one), type and product; others are not looked
            at. Events that cannot be used are counted and left out.
        catalogue: products that are none of its own are left out.
        until: only events before this time count.
        weights: of each type of event.
        half_life: after which an event counts half.

    Raises:
        UnusableCatalogue: if a column is missing, or no event is left.
    """
    used, findings = usable_events(events, catalogue, until=until, weights=weights)
    return summed(used, catalogue, until=until, weights=weights, half_life=half_life), findings


def usable_events(
    events: pd.DataFrame, catalogue: Catalogue, *, until: datetime, weights: Mapping[str, float] = WEIGHTS
) -> tuple[pd.DataFrame, tuple[Finding, ...]]:
    """Events that count, their times in UTC, and what was wrong with the others; see `interactions_of`.

    Raises:
        UnusableCatalogue: if a column is missing, or no event is left.
    """
    missing = [name for name in COLUMNS if name not in events.columns]
    if missing:
        raise UnusableCatalogue(
            f"the events have the columns {', '.join(map(str, events.columns))}; {', '.join(missing)} is missing, so it "
            f"cannot be said who did what with which product. Need {', '.join(COLUMNS)}."
        )
    findings = Findings()
    used = _usable(events, catalogue, until, weights, findings)
    if used.empty:
        said = "".join(f"\n  {one}" for one in findings.all)
        raise UnusableCatalogue(
            f"none of the {len(events)} events can be used, so nothing is known of anybody's taste. Name the types that count "
            f"with --weight TYPE=NUMBER, and check times and the ids of products.{said}"
        )
    return used, findings.all


def summed(
    used: pd.DataFrame,
    catalogue: Catalogue,
    *,
    until: datetime,
    weights: Mapping[str, float] = WEIGHTS,
    half_life: timedelta = HALF_LIFE,
) -> Interactions:
    """The matrix of usable events that came before a time; see `interactions_of`."""
    used = used[used["at"] < pd.Timestamp(until)]
    ages = (pd.Timestamp(until) - used["at"]).dt.total_seconds().to_numpy(dtype=np.float64)
    counted = used["type"].map(dict(weights)).to_numpy(dtype=np.float64)
    counted = counted * np.exp2(-ages / half_life.total_seconds())
    customers, found_at = np.unique(used["customer_id"].to_numpy(dtype=str), return_inverse=True)
    rows = found_at.astype(np.int64)
    columns = used["product"].map(dict(catalogue.places)).to_numpy(dtype=np.int64)
    shape = (len(customers), len(catalogue))
    is_bought = used["type"].isin(BOUGHT).to_numpy()
    return Interactions(
        catalogue,
        tuple(customers.tolist()),
        _matrix(counted, rows, columns, shape),
        _matrix(np.ones(int(is_bought.sum())), rows[is_bought], columns[is_bought], shape).sign(),
    )


def _usable(
    events: pd.DataFrame, catalogue: Catalogue, until: datetime, weights: Mapping[str, float], findings: Findings
) -> pd.DataFrame:
    """Events that count; the others are counted."""
    used = events[[*COLUMNS]].copy()
    for name in ("customer_id", "type", "product"):
        used[name] = used[name].astype("string").str.strip().fillna("")
    for name in ("customer_id", "product"):
        used = _without(used, used[name] == "", f"without a {name}: left out", findings, "type")
    used["at"] = _times(used["at"])
    used = _without(used, used["at"].isna(), "whose time cannot be read or has no zone: left out", findings)
    used = _without(used, used["at"] >= pd.Timestamp(until), "at or after the time asked for: left out", findings)
    used = _without(used, ~used["type"].isin(weights), "of a type that counts nothing: left out", findings, "type")
    unknown = ~used["product"].isin(catalogue.places)
    used = _without(used, unknown, "with a product that is not in the catalogue: left out", findings, "product")
    return _without(used, used.duplicated(), "that repeat another one exactly: left out", findings, "product")


def _without(
    events: pd.DataFrame, is_bad: pd.Series[bool], what: str, findings: Findings, shown: str = "product"
) -> pd.DataFrame:
    bad = events[is_bad]
    for number, value in enumerate(bad[shown].head(3)):
        findings.add(what, str(value), count=len(bad) - 2 if number == 0 and len(bad) > 2 else 1)
    return events[~is_bad]


def _times(cells: pd.Series[Any]) -> pd.Series[pd.Timestamp]:
    if isinstance(cells.dtype, pd.DatetimeTZDtype):
        return pd.to_datetime(cells, utc=True)
    texts = cells.astype("string")
    # Without its zone a time may be hours off, and so would be what came before what.
    texts = texts.where(texts.str.contains(r"(?:Z|[+-]\d\d:?\d\d)$", regex=True, na=False))
    return pd.to_datetime(texts, utc=True, errors="coerce", format="ISO8601")


def _matrix(values: NDArray[Any], rows: NDArray[Any], columns: NDArray[Any], shape: tuple[int, int]) -> csr_array:
    found = csr_array((values, (rows, columns)), shape=shape)
    found.sum_duplicates()
    return found
