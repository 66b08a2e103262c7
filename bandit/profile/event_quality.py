"""What is wrong with a table of events: counted, with examples, and said what was done about it.

Nothing is made up: a cell that is missing or impossible stays unknown unless `[profile.missing]` says what stands in for it,
and an event without a customer, a type or a possible time is left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pandas as pd

from bandit.arrays import BoolArray
from bandit.fault import shown

MOST_EXAMPLES: Final = 3
LEFT_OUT: Final = "the events are left out"
UNKNOWN: Final = "left unknown"


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that is wrong with some rows.

    Attributes:
        column: where.
        what: is wrong, in words.
        n: rows.
        done: about it.
        examples: of rows and cells, a few.

    >>> print(Finding("at", "no time that can be read", 2, LEFT_OUT, ("row 7: 'soon'",)))
    at: no time that can be read in 2 rows; the events are left out (row 7: 'soon')
    """

    column: str
    what: str
    n: int
    done: str
    examples: tuple[str, ...] = ()

    def __str__(self) -> str:
        rows = f"{self.n:,} rows" if self.n != 1 else "1 row"
        examples = f" ({', '.join(self.examples)})" if self.examples else ""
        return f"{self.column}: {self.what} in {rows}; {self.done}{examples}"


@dataclass(frozen=True, slots=True)
class EventQuality:
    """What was found in a table of events.

    Attributes:
        n_rows: in the table.
        n_events: that are left.
        findings: what was wrong, none of them empty.
        ignored: columns of which nothing is known.
        absent: columns that would be used and are not there.
        untold: event types to which the campaign gives no meaning, with their number: they count as activity and nothing else.
    """

    n_rows: int
    n_events: int
    findings: tuple[Finding, ...] = ()
    ignored: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()
    untold: Mapping[str, int] = field(default_factory=dict)

    def __str__(self) -> str:
        lines = [f"{self.n_rows:,} rows, {self.n_events:,} events", *map(str, self.findings)]
        if self.ignored:
            lines.append(f"ignored columns: {', '.join(self.ignored)}")
        if self.absent:
            lines.append(f"no column {', '.join(self.absent)}: what is made of them stays unknown")
        if self.untold:
            told = ", ".join(f"{name} ({n:,})" for name, n in self.untold.items())
            lines.append(f"types without a meaning in [profile.events], counted as activity alone: {told}")
        return "\n".join(lines)


@dataclass(slots=True)
class Inspection:
    """Findings as they are made.

    Attributes:
        n: rows of the table.
        keeps: rows that are not left out, shape (n,).
        findings: so far.
    """

    n: int
    keeps: BoolArray = field(init=False)
    findings: list[Finding] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.keeps = np.ones(self.n, dtype=np.bool_)

    def note(self, column: str, what: str, rows: BoolArray, done: str, cells: pd.Series | None = None) -> None:
        """Add a finding if there is any such row; rows whose events are left out are kept no longer.

        Args:
            column: where, as in `Finding`.
            what: is wrong.
            rows: which they are, shape (n,).
            done: about it.
            cells: for the examples, as they stand in the table; without them rows alone are named.
        """
        places = np.flatnonzero(rows)
        if not len(places):
            return
        first = places[:MOST_EXAMPLES].tolist()
        named = [
            f"row {place + 1}" + (f": {shown(str(cells.iloc[place]))}" if cells is not None else "") for place in first
        ]
        self.findings.append(Finding(column, what, len(places), done, tuple(named)))
        if done == LEFT_OUT:
            self.keeps &= ~rows


def untold_types(types: pd.Series, known: Mapping[str, str]) -> dict[str, int]:
    """Event types without a meaning, the most frequent first."""
    counts = types.value_counts()
    return {str(name): int(n) for name, n in counts.items() if n and str(name) not in known}
