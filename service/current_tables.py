"""Whether a file's tables are up to date, without loading what would bring them up to date (sqlite-utils, and pandas with it)."""

from __future__ import annotations

import sqlite3

from bandit.errors import UnusableStore

APPLIED = "_sqlite_migrations"
"""The table in which sqlite-utils keeps which migrations it has applied."""

NAMES = (
    "m001_create_keys_and_logs",
    "m002_create_decisions",
    "m003_create_outcomes",
    "m004_create_snapshots",
    "m005_add_candidate_to_decisions",
    "m006_add_exposures_to_decisions",
    "m007_create_api_keys",
    "m008_create_erasures",
    "m009_create_customer_keys",
    "m010_create_opt_outs",
    "m011_add_excluded_to_decisions",
    "m012_create_batch_runs",
    "m013_create_webhook_events",
    "m014_add_verdict_to_outcomes",
    "m020_index_settled_decisions",
    "m021_create_rankings",
    "m022_index_rankings_by_snapshot",
    "m023_add_n_done_to_batch_runs",
    "m024_create_product_candidates",
    "m025_create_customer_events",
    "m026_create_profile_models",
    "m027_add_recent_sends_to_decisions",
    "m028_create_erased_rankings",
    "m029_load_product_candidates_in_slices",
    "m030_add_n_missed_to_ranking_snapshots",
)
"""Every migration of service/migrations, in its order; a test holds the two together."""


def bring_up_to_date(connection: sqlite3.Connection, path: object) -> None:
    """Make the tables that are missing.

    Raises:
        UnusableStore: if the file is another program's.
    """
    tables = {name for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    if tables and APPLIED not in tables:
        raise UnusableStore(
            f"{path} is a database of another program (it has {', '.join(sorted(tables)[:5])}) and was left as it is. "
            "Name another file with --db."
        )
    connection.execute("PRAGMA journal_mode = WAL")
    if APPLIED not in tables or not _are_current(connection):
        # Half of a command's start would be spent on loading it, for files that need nothing of it.
        from service.migrations import apply  # noqa: PLC0415

        apply(connection)


def _are_current(connection: sqlite3.Connection) -> bool:
    applied = {name for (name,) in connection.execute(f"SELECT name FROM {APPLIED} WHERE migration_set = 'manyarm'")}  # noqa: S608
    return applied.issuperset(NAMES)
