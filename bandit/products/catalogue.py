"""The catalogue: what there is to offer, and what is wrong with the table that says so."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bandit.errors import UnusableCatalogue
from bandit.products.findings import Finding, Findings

PRODUCT: Final = "product"
COLUMNS: Final = (PRODUCT, "name", "description", "category", "price")
LONGEST_ID: Final = 200
LARGEST_PRICE: Final = 1e6


@dataclass(frozen=True, slots=True)
class Product:
    """One thing to offer.

    Attributes:
        id: for good; events name it.
        name, description: what customers read.
        category: of which kind it is; empty where the catalogue does not say.
        price: in the catalogue's currency; None where the catalogue does not say.
    """

    id: str
    name: str = ""
    description: str = ""
    category: str = ""
    price: float | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """Products in the order of their table.

    >>> Catalogue((Product("tea"), Product("cup"))).index_of("cup")
    1
    """

    products: tuple[Product, ...]
    places: Mapping[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "places", {one.id: place for place, one in enumerate(self.products)})

    def __len__(self) -> int:
        return len(self.products)

    def index_of(self, product: str) -> int:
        """Position of a product."""
        return self.places[product]


def read_catalogue(rows: Iterable[Mapping[str, object]]) -> tuple[Catalogue, tuple[Finding, ...]]:
    """Products from the rows of a table, and what was wrong with some of them.

    Args:
        rows: with the columns `product` and `name`, and perhaps `description`, `category` and `price`; others are not
            looked at. Rows without an id, and all but the first of an id, are left out; a price that is none is as one
            that is missing.

    Raises:
        UnusableCatalogue: if there is no `product` column, or no product at all.

    >>> rows = [{"product": "tea", "name": "Green tea", "price": "4.20"}, {"product": "tea", "name": "Again"}]
    >>> catalogue, findings = read_catalogue(rows)
    >>> catalogue.products[0].price, str(findings[0])
    (4.2, "1 without a category: they have no such feature, such as 'tea'")
    """
    findings, found = Findings(), dict[str, Product]()
    for number, row in enumerate(rows, 1):
        if PRODUCT not in row:
            raise UnusableCatalogue(
                f"the catalogue has the columns {', '.join(map(str, row))}; need product, the id that events name, and name, "
                "which customers read."
            )
        product = _text(row[PRODUCT])
        if not 0 < len(product) <= LONGEST_ID:
            findings.add(f"without a product id of 1 to {LONGEST_ID} characters: left out", f"row {number}")
        elif product in found:
            findings.add("of a product that stands above already: left out", product)
        else:
            found[product] = _product(product, row, findings)
    if not found:
        raise UnusableCatalogue(
            "the catalogue holds no product, so there is nothing to offer. Give it rows with an id."
        )
    return Catalogue(tuple(found.values())), findings.all


def _product(product: str, row: Mapping[str, object], findings: Findings) -> Product:
    name, category = _text(row.get("name")), _text(row.get("category"))
    if not name:
        findings.add("without a name: they have no text", product)
    if not category:
        findings.add("without a category: they have no such feature", product)
    return Product(
        product,
        name,
        _text(row.get("description")),
        category,
        _price(product, row.get("price"), findings),
    )


def _price(product: str, cell: object, findings: Findings) -> float | None:
    if _text(cell) in {"", "nan"}:
        findings.add("without a price: they have no such feature", product)
        return None
    try:
        price = float(_text(cell))
    except ValueError:
        price = math.nan
    if 0.0 <= price <= LARGEST_PRICE:
        return price
    findings.add(f"with a price that is no number from 0 to {LARGEST_PRICE:g}: they have no such feature", cell)
    return None


def _text(cell: object) -> str:
    return "" if cell is None else str(cell).strip()
