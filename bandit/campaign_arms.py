"""The `[[dimension]]` part of the campaign file: arms, and the rules between them."""

from __future__ import annotations

import re
from collections.abc import Sequence

from bandit.dimension import Allowed, Arm, ArmFeature, Dimension, Range
from bandit.fault import Fault, Reader, is_number, repeated
from bandit.schema import BooleanField, CategoricalField, NumericField, Schema
from bandit.send_slot import read_slot
from bandit.text_feature_spec import read_text_features
from bandit.variables import RESERVED, VARIABLE_NAME

DIMENSION_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")
MOST_DIMENSIONS = 26
LARGEST_FEATURE = 1e6
LONGEST_TEXT = 1_000_000
MOST_CANDIDATES = 50


def read_dimensions(tables: Sequence[Reader], schema: Schema, faults: list[Fault]) -> tuple[Dimension, ...]:
    """All dimensions in file order; rules may look at the context and at earlier dimensions only."""
    if not tables:
        faults.append(Fault("dimension", "nothing", "at least one [[dimension]] with a name and its arms"))
    if len(tables) > MOST_DIMENSIONS:
        faults.append(Fault("dimension", f"{len(tables)} dimensions", f"at most {MOST_DIMENSIONS}"))
    dimensions: list[Dimension] = []
    for table in tables:
        dimensions.append(_dimension(table, schema, tuple(dimensions)))
    twice = repeated(dimension.name for dimension in dimensions if dimension.name)
    if twice:
        faults.append(Fault("dimension", f"the name {twice} more than once", "a different name for each dimension"))
    return tuple(dimensions)


def _dimension(table: Reader, schema: Schema, earlier: tuple[Dimension, ...]) -> Dimension:
    wanted = "a name of letters, digits and _, such as subject (it becomes the log's column arm.NAME)"
    name = table.text("name", wanted=wanted)
    if name and not DIMENSION_NAME.fullmatch(name):
        table.fault("name", name, wanted)
    arms = tuple(_arm(item, schema, earlier) for item in table.tables("arm"))
    if not arms:
        table.fault("arm", None, "at least one [[dimension.arm]] with an id")
    twice = repeated(arm.id for arm in arms if arm.id)
    if twice:
        table.fault("arm", f"the id {twice} more than once", "a different id for each arm")
    candidates = _candidates(table)
    text_features = read_text_features(table)
    table.refuse_the_rest(("name", "candidates", "text_features", "arm"))
    return Dimension(name, arms, candidates, text_features)


def _candidates(table: Reader) -> int | None:
    """How many of the arms each customer is offered; None for all."""
    if "candidates" not in table.names():
        return None
    wanted = f"a whole number from 1 to {MOST_CANDIDATES}: how many of the products each customer is offered"
    found = table.take("candidates")
    if isinstance(found, int) and not isinstance(found, bool) and 1 <= found <= MOST_CANDIDATES:
        return found
    table.fault("candidates", found, wanted)
    return None


def _arm(table: Reader, schema: Schema, earlier: tuple[Dimension, ...]) -> Arm:
    arm_id = table.text("id", wanted="a text that names the arm for good", max_length=LONGEST_TEXT)
    text = table.take("text")
    if text is not None and not isinstance(text, str):
        table.fault("text", text, "a text")
    when = _when(table.table("when"), schema)
    requires = _requires(table.table("requires"), earlier)
    features = _features(table.table("features"))
    slot = read_slot(table.table("slot")) if "slot" in table.names() else None
    no_send = table.boolean("no_send", default=False)
    default, parts = _default(table), _parts(table.table("parts"))
    table.refuse_the_rest(("id", "text", "default", "parts", "when", "requires", "features", "slot", "no_send"))
    said = text if isinstance(text, str) else ""
    return Arm(arm_id, said, when, requires, features, slot, no_send, default, parts)


def _default(table: Reader) -> str:
    """The text that stands in for one that misses a variable."""
    if "default" not in table.names():
        return ""
    wanted = "a text without variables, which is sent where one of `text` is missing"
    return table.text("default", wanted=wanted, max_length=LONGEST_TEXT)


def _parts(table: Reader) -> dict[str, str]:
    """What an arm says of other parts of the message, such as the colour of its button."""
    parts: dict[str, str] = {}
    for name in table.names():
        found = table.take(name)
        if not VARIABLE_NAME.fullmatch(name) or name in RESERVED:
            table.fault(name, found, f"a name of letters, digits and _, and none of {', '.join(RESERVED)}")
        elif isinstance(found, str) and found:
            parts[name] = found
        else:
            table.fault(name, found, "a text")
    return parts


def _when(table: Reader, schema: Schema) -> dict[str, Allowed]:
    rules: dict[str, Allowed] = {}
    for name in table.names():
        found = table.take(name)
        if name not in schema:
            table.fault(
                name, found, f"a declared context name: {', '.join(f.name for f in schema.fields) or 'none yet'}"
            )
            continue
        rule = _rule(table, name, found, schema)
        if rule is not None:
            rules[name] = rule
    return rules


def _rule(table: Reader, name: str, found: object, schema: Schema) -> Allowed | None:
    item = schema[name]
    if item.protected:
        table.fault(name, found, "a field that is not protected: a protected one may not decide who gets an arm")
    elif isinstance(item, CategoricalField):
        return _categories(table, name, found, item)
    elif isinstance(item, BooleanField):
        if isinstance(found, bool):
            return frozenset((found,))
        table.fault(name, found, "true or false")
    elif isinstance(item, NumericField):
        return _range(table, name, found, item)
    return None


def _range(table: Reader, name: str, found: object, item: NumericField) -> Range | None:
    if not (isinstance(found, list) and len(found) == 2 and all(map(is_number, found)) and found[0] <= found[1]):
        table.fault(name, found, "a range of two numbers, low then high, both included")
    elif found[1] < item.low or found[0] > item.high:
        table.fault(
            name, found, f"a range that meets the declared one, [{item.low:g}, {item.high:g}]: values are clipped to it"
        )
    else:
        return Range(float(found[0]), float(found[1]))
    return None


def _categories(table: Reader, name: str, found: object, item: CategoricalField) -> frozenset[str] | None:
    if isinstance(found, list) and found and all(value in item.values for value in found):
        return frozenset(found)
    table.fault(name, found, f"a list of declared values: {', '.join(item.values)}")
    return None


def _requires(table: Reader, earlier: tuple[Dimension, ...]) -> dict[str, frozenset[str]]:
    known = {dimension.name: dimension for dimension in earlier}
    rules = {}
    for name in table.names():
        found = table.take(name)
        if name not in known:
            table.fault(name, found, f"a dimension that stands earlier in the file: {', '.join(known) or 'none does'}")
        elif isinstance(found, list) and found and all(isinstance(arm, str) and arm in known[name] for arm in found):
            rules[name] = frozenset(found)
        else:
            table.fault(name, found, f"a list of arms of {name}: {', '.join(known[name].ids[:12])}")
    return rules


def _features(table: Reader) -> dict[str, ArmFeature]:
    features: dict[str, ArmFeature] = {}
    for name in table.names():
        found = table.take(name)
        if not DIMENSION_NAME.fullmatch(name):
            table.fault(name, name, "a name of letters, digits and _")
        elif isinstance(found, str) or (is_number(found) and abs(found) <= LARGEST_FEATURE):
            features[name] = found if isinstance(found, str) else float(found)
        elif isinstance(found, bool):
            features[name] = str(found).lower()
        else:
            table.fault(name, found, f"a text, a number within {LARGEST_FEATURE:g}, or true or false")
    return features
