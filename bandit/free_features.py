"""Features without a schema: JSON objects, checked once and flattened to the names that a learner hashes.

Texts and truth values are categories, numbers are numbers, objects in objects make longer names, an array of numbers is a
number at each place. A name is the path as JSON, so that no value can pass for another feature.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import msgspec

from bandit.errors import InvalidRanking
from bandit.fault import is_number, shown

MOST_FEATURES = 1000
DEEPEST = 10
LARGEST = 1e6
"""Numbers beyond it count as it: products of two larger ones would leave Vowpal Wabbit's single precision."""
UNREAD = "_"
"""Names that begin so are kept in the log and never learned from."""

Object = Mapping[str, object]
Named = tuple[str, float]
_encode = msgspec.json.Encoder().encode


def flattened(objects: Sequence[Object], where: str) -> list[Named]:
    """Named features of a list of JSON objects; those of the same name stand as often as they were given.

    Args:
        objects: of texts, numbers, truth values, arrays of numbers, and objects of these. null is not known, and left out.
        where: how messages call the list.

    Raises:
        InvalidRanking: naming the place of a value that cannot be a feature.

    >>> flattened([{"user": {"tier": "gold", "age": 40}, "_note": "unread"}], "contextFeatures")
    [('[["user","tier"],"gold"]', 1.0), ('["user","age"]', 40.0)]
    """
    found: list[Named] = []
    _check_count(len(objects), where)
    for place, item in enumerate(objects):
        _add_object(found, item, (), f"{where}[{place}]")
    return found


def _add_object(found: list[Named], item: Object, path: tuple[str, ...], where: str) -> None:
    if len(path) >= DEEPEST:
        raise InvalidRanking(f"{where} lies {len(path)} objects deep, need at most {DEEPEST}. Flatten it.")
    # Before anything is flattened: names and numbers take a hundred times as long as the JSON they came in.
    _check_count(len(found) + len(item), where)
    for name, value in item.items():
        if name.startswith(UNREAD) or value is None:
            continue
        here = (*path, name)
        # Texts and numbers first: nearly everything is one.
        if isinstance(value, (str, bool)):
            found.append((_named((here, value)), 1.0))
        elif is_number(value):
            found.append((_named(here), _clipped(value)))
        elif isinstance(value, Mapping):
            _add_object(found, value, here, _place(where, name))
        elif isinstance(value, (list, tuple)) and _are_numbers(value, len(found), _place(where, name)):
            found += [(_named((here, at)), _clipped(number)) for at, number in enumerate(value)]
        else:
            raise _refused(value, _place(where, name))


def _check_count(n_features: int, where: str) -> None:
    if n_features > MOST_FEATURES:
        raise InvalidRanking(
            f"with {where} there are more than {MOST_FEATURES} features; need at most so many. Most of them say the same: send "
            "those that customers differ by."
        )


def _are_numbers(values: Sequence[object], n_before: int, where: str) -> bool:
    _check_count(n_before + len(values), where)
    return all(map(is_number, values))


def _place(where: str, name: str) -> str:
    return f"{where}.{name}"[:200]


def _named(name: object) -> str:
    return _encode(name).decode()


def _clipped(value: float) -> float:
    return min(max(float(value), -LARGEST), LARGEST)


def _refused(value: object, where: str) -> InvalidRanking:
    return InvalidRanking(
        f"{where} is {shown(value)}, need a text, a number, true, false, an object of these, or an array of numbers. "
        "A list of words is an object with true for each word."
    )
