"""The `[context]` part of the campaign file: what is known about a customer before deciding."""

from __future__ import annotations

import re
from dataclasses import replace

from bandit.fault import Reader, is_number
from bandit.schema import BooleanField, CategoricalField, ContextField, NumericField, Schema

WIDEST = 1e15
MARKS = ("protected", "personal", "required")
"""What may be said of a field of any kind."""
FIELD_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


def read_schema(table: Reader) -> Schema:
    """The declared fields in file order, with the table's faults noted."""
    fields = []
    for name in table.names():
        if not FIELD_NAME.fullmatch(name):
            table.fault(name, name, "a name of letters, digits and _ (it becomes the log's column context.NAME)")
        fields.append(_field(name, table.table(name)))
    return Schema(tuple(item for item in fields if item))


def _field(name: str, table: Reader) -> ContextField | None:
    kind = table.text("kind", wanted="categorical, numeric or boolean")
    personal = table.boolean("personal", default=False)
    protected = table.boolean("protected", default=False) or personal
    required = table.boolean("required", default=False)
    if kind == "categorical":
        return replace(_categorical(name, table, protected=protected, required=required), personal=personal)
    if kind == "numeric":
        return replace(_numeric(name, table, protected=protected, required=required), personal=personal)
    if kind == "boolean":
        table.refuse_the_rest(("kind", *MARKS))
        return BooleanField(name, protected, required, personal)
    if kind:
        table.fault("kind", kind, "categorical, numeric or boolean")
    return None


def _categorical(name: str, table: Reader, *, protected: bool, required: bool) -> CategoricalField:
    is_given = "values" in table.names()
    values = table.texts("values", wanted='a list of texts such as ["new", "active"]')
    if not is_given and not protected:
        table.fault("values", None, "the list of values, so that a typo is refused by name")
    table.refuse_the_rest(("kind", "values", *MARKS))
    return CategoricalField(name, values, protected, required)


def _numeric(name: str, table: Reader, *, protected: bool, required: bool) -> NumericField:
    found = table.take("range")
    table.refuse_the_rest(("kind", "range", *MARKS))
    if (
        isinstance(found, list)
        and len(found) == 2
        and all(is_number(end) for end in found)
        and found[0] < found[1] <= WIDEST
        and found[0] >= -WIDEST
    ):
        return NumericField(name, float(found[0]), float(found[1]), protected, required)
    table.fault("range", found, "two numbers, low then high, such as [0, 365]")
    return NumericField(name, 0.0, 1.0, protected, required)
