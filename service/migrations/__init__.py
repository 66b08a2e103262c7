"""The store's tables, as an append-only list of migrations. Never edit one that has shipped; add the next."""

from __future__ import annotations

import sqlite3

from sqlite_utils import Database

# Each of these files puts its migrations on the list when it is loaded; they are applied in this order.
from service.migrations import m001_to_m020, m021_to_m040
from service.migrations.registry import migrations

__all__ = ["apply", "m001_to_m020", "m021_to_m040", "migrations"]


def apply(connection: sqlite3.Connection) -> None:
    """Apply what has not been applied yet, each migration in a transaction of its own."""
    migrations.apply(Database(connection))
