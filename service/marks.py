"""Placeholders of SQL lists: as many question marks as there are values."""

from __future__ import annotations

from collections.abc import Sized


def marks(values: Sized) -> str:
    """Question marks with commas between them, for `IN (...)` and `VALUES (...)`.

    >>> marks(["a", "b", "c"])
    '?, ?, ?'
    """
    return ", ".join("?" * len(values))
