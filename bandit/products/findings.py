"""What is wrong with the rows of a table: how many, and a few of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from bandit.fault import shown

MOST_EXAMPLES: Final = 3


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of fault.

    Attributes:
        what: is wrong, and what was done about it.
        count: rows that have it.
        examples: a few values.
    """

    what: str
    count: int
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        """The finding on one line.

        >>> print(Finding("without a price", 2, ("'tea'", "'pot'")))
        2 without a price, such as 'tea', 'pot'
        """
        return f"{self.count} {self.what}" + (f", such as {', '.join(self.examples)}" if self.examples else "")


@dataclass(slots=True)
class Findings:
    """Counts faults while a table is read.

    >>> found = Findings()
    >>> found.add("without a price", "tea")
    >>> found.all
    (Finding(what='without a price', count=1, examples=("'tea'",)),)
    """

    _counts: dict[str, int] = field(default_factory=dict)
    _examples: dict[str, list[str]] = field(default_factory=dict)

    def add(self, what: str, example: object = None, count: int = 1) -> None:
        """Note a fault."""
        if not count:
            return
        self._counts[what] = self._counts.get(what, 0) + count
        examples = self._examples.setdefault(what, [])
        if example is not None and len(examples) < MOST_EXAMPLES:
            examples.append(shown(example))

    @property
    def all(self) -> tuple[Finding, ...]:
        """Every kind, the first one found first."""
        return tuple(Finding(what, count, tuple(self._examples[what])) for what, count in self._counts.items())
