"""A file made by an older version keeps its rows, its chain and its keys when a newer one opens it."""

from __future__ import annotations

import sqlite3

import pytest
from sqlite_utils import Database

from service import current_tables
from service.integrity import check_chain
from service.migrations import migrations
from service.store import Store

NAMES = [migration.name for migration in migrations.pending(Database(memory=True))]


@pytest.fixture
def today(tmp_path, worlds):
    """A store of this version with five decisions."""
    with Store(tmp_path / "today.db") as store:
        log = store.open_log(worlds.campaign(), worlds.noon)
        made = worlds.decide(worlds.engine(log.campaign), 5)
        store.add_decisions([store.row_of(decision, log) for decision in made])
        yield store


@pytest.fixture
def older(tmp_path, today):
    """Makes the file that the version just before a migration would have left, with today's rows in its tables."""

    def make(stop_before):
        path = tmp_path / "older.db"
        connection = sqlite3.connect(path, isolation_level=None)
        migrations.apply(Database(connection), stop_before=stop_before)
        connection.execute("ATTACH ? AS today", (str(today.path),))
        found = connection.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall()
        tables = {name for (name,) in found} - {"_sqlite_migrations", "sqlite_sequence"}
        first = ["keys", "logs", "decisions", "head", "outcomes", "snapshots", "promotions"]
        for table in (*(name for name in first if name in tables), *sorted(tables - set(first))):
            columns = ", ".join(f'"{row[1]}"' for row in connection.execute(f"PRAGMA main.table_info({table})"))
            connection.execute(f"INSERT OR REPLACE INTO main.{table} ({columns}) SELECT {columns} FROM today.{table}")
        connection.close()
        return path, tables

    return make


@pytest.mark.parametrize("name", NAMES[1:])
def test_a_file_of_an_older_version_keeps_its_rows_and_gets_the_newer_tables(older, today, worlds, name):
    path, tables = older(name)
    everything = "SELECT name, sql FROM sqlite_master ORDER BY name"
    with Store(path) as upgraded:
        assert (upgraded.salt, upgraded.secret) == (today.salt, today.secret)
        assert upgraded.reader().execute(everything).fetchall() == today.reader().execute(everything).fetchall()
        log = upgraded.open_log(worlds.campaign(), worlds.noon)
        kept = [row.decision_id for row in upgraded.decisions(log)]
        assert kept == (["d0", "d1", "d2", "d3", "d4"] if "decisions" in tables else [])
        assert check_chain(upgraded.reader()).failures == []


def test_an_upgraded_file_goes_on_where_it_stopped(older, worlds):
    path, _ = older(NAMES[-1])
    with Store(path) as upgraded:
        log = upgraded.open_log(worlds.campaign(), worlds.noon)
        more = worlds.decide(worlds.engine(log.campaign), 3, prefix="more")
        upgraded.add_decisions([upgraded.row_of(decision, log) for decision in more])
        assert [row.seq for row in upgraded.decisions(log)] == list(range(1, 9))
        assert check_chain(upgraded.reader()).failures == []


def test_opening_a_file_again_applies_nothing_twice(today):
    applied = "SELECT name, applied_at FROM _sqlite_migrations ORDER BY id"
    before = today.reader().execute(applied).fetchall()
    with Store(today.path) as again:
        assert again.reader().execute(applied).fetchall() == before
    assert [name for name, _ in before] == NAMES


def test_the_names_by_which_a_file_is_known_to_be_current_are_those_of_the_migrations():
    assert list(current_tables.NAMES) == NAMES
