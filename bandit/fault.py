"""One thing wrong with a campaign file, in words that lead to the repair."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TypeGuard


@dataclass(frozen=True, slots=True)
class Fault:
    """Where, what was found there, and what would be right.

    >>> print(Fault("policy.floor", "1.5", "a number in [0, 1]"))
    policy.floor: found 1.5; wanted a number in [0, 1]
    """

    where: str
    found: str
    wanted: str

    def __str__(self) -> str:
        return f"{self.where}: found {self.found}; wanted {self.wanted}"


def shown(value: object) -> str:
    """A value as it stands in a message: short, quoted, never a screenful.

    >>> shown("a" * 100)
    "'aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa..."
    """
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


class Reader:
    """A cursor over one table of the file that notes every fault and never stops at the first.

    Each `take` method removes the key it reads, so that `refuse_the_rest` can name what nobody asked for.
    """

    def __init__(self, table: object, where: str, faults: list[Fault]) -> None:
        self.where = where
        self.faults = faults
        self._rest: dict[str, object] = {}
        if isinstance(table, dict):
            self._rest = dict(table)
        else:
            self.fault("", table, "a table")

    def fault(self, key: str, found: object, wanted: str) -> None:
        """Note a fault at a key of this table (the empty key means the table itself)."""
        self.faults.append(Fault(self.path(key), shown(found) if found is not None else "nothing", wanted))

    def path(self, key: str) -> str:
        """The full path of a key, as it is shown to the user."""
        return f"{self.where}.{key}" if self.where and key else self.where or key

    def names(self) -> tuple[str, ...]:
        """Keys not yet taken, in file order."""
        return tuple(self._rest)

    def take(self, key: str) -> object:
        """The raw value of a key, or None."""
        return self._rest.pop(key, None)

    def table(self, key: str) -> Reader:
        """A reader of the table under a key; empty where the key is absent."""
        return Reader(self._rest.pop(key, {}), self.path(key), self.faults)

    def tables(self, key: str) -> list[Reader]:
        """Readers of an array of tables; empty where the key is absent."""
        found = self._rest.pop(key, [])
        if not isinstance(found, list):
            self.fault(key, found, f"an array of tables, [[{self.path(key)}]]")
            return []
        return [Reader(table, f"{self.path(key)}[{index}]", self.faults) for index, table in enumerate(found)]

    def text(self, key: str, *, wanted: str, default: str | None = None, max_length: int = 200) -> str:
        """A non-empty text; a fault and an empty text where it is anything else."""
        found = self._rest.pop(key, default)
        if isinstance(found, str) and 0 < len(found) <= max_length:
            return found
        self.fault(key, found, wanted)
        return ""

    def number(self, key: str, *, low: float, high: float, default: float | None, wanted: str) -> float:
        """A finite number in [low, high]; a fault and the low end where it is anything else."""
        found = self._rest.pop(key, default)
        if is_number(found) and low <= found <= high:
            return float(found)
        self.fault(key, found, wanted)
        return low

    def boolean(self, key: str, *, default: bool) -> bool:
        """True or false; a fault and the default where it is anything else."""
        found = self._rest.pop(key, default)
        if isinstance(found, bool):
            return found
        self.fault(key, found, "true or false, without quotes")
        return default

    def texts(self, key: str, *, wanted: str) -> tuple[str, ...]:
        """A list of different texts; a fault for everything else."""
        found = self._rest.pop(key, [])
        if isinstance(found, list) and all(isinstance(item, str) and item for item in found):
            if len(set(found)) == len(found):
                return tuple(found)
            self.fault(key, repeated(found), "each value once")
            return tuple(dict.fromkeys(found))
        self.fault(key, found, wanted)
        return ()

    def refuse_the_rest(self, known: Iterable[str]) -> None:
        """Name every key that nobody asked for, with the ones that exist here."""
        for key in self._rest:
            self.fault(key, self._rest[key], "no such key; here stand " + ", ".join(known))


def is_number(value: object) -> TypeGuard[float]:
    """Whether a value is a finite int or float (a bool is neither).

    >>> is_number(3), is_number(True), is_number(float("inf")), is_number("3")
    (True, False, False, False)
    """
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    try:
        return math.isfinite(value)
    except OverflowError:  # a whole number beyond the largest float
        return False


def repeated(values: Iterable[str]) -> str:
    """The values that stand more than once, for a message."""
    return ", ".join(value for value, count in Counter(values).items() if count > 1)
