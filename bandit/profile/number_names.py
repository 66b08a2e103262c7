"""The numbers about customers by name: what each says, and which model gives it.

It is read without what makes models, so that a service can see whether its campaign asks for numbers at all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

CHURN_RISK: Final = "churn_risk"
NEXT_PURCHASE: Final = "days_to_next_purchase"
VALUE: Final = "customer_value"
PURCHASE: Final = "purchase_propensity"
CONVERSION: Final = "conversion_probability"
LOWER: Final = "_lower"
UPPER: Final = "_upper"
NUMBERS: Final[Mapping[str, str]] = {
    CHURN_RISK: "chance of no activity at all within `models.churn`",
    NEXT_PURCHASE: "median of the days to the next purchase; missing where it is beyond the longest time seen",
    f"{NEXT_PURCHASE}{LOWER}": "days before which it comes with chance .1",
    f"{NEXT_PURCHASE}{UPPER}": "days before which it comes with chance .9; missing where that is beyond the longest time seen",
    VALUE: "expected spend within `models.value`, in money",
    f"{VALUE}{LOWER}": "spend below which the customer stays with chance .1",
    f"{VALUE}{UPPER}": "spend above which the customer comes with chance .1",
    PURCHASE: "chance of a purchase within `models.purchase`",
    CONVERSION: "chance of one of `models.conversion_types` within `models.conversion`",
}
"""Every number, with what it is."""
OF_NEXT_PURCHASE: Final = (f"{NEXT_PURCHASE}{LOWER}", NEXT_PURCHASE, f"{NEXT_PURCHASE}{UPPER}")
OF_VALUE: Final = (VALUE, f"{VALUE}{LOWER}", f"{VALUE}{UPPER}")
"""The numbers of a model that gives three, in the order in which it gives them."""


def numbers_asked(fields: Iterable[str], named: Mapping[str, str]) -> frozenset[str]:
    """The numbers that some fields of the context ask for.

    Args:
        fields: names of fields.
        named: the feature of a field of another name, as `[profile.fields]` says.

    >>> sorted(numbers_asked(["country", "risk", "customer_value"], {"risk": "churn_risk"}))
    ['churn_risk', 'customer_value']
    """
    asked = {name for field in fields for name in (field, named.get(field, field))}
    return frozenset(asked & NUMBERS.keys())
