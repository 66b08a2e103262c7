"""Rows in columns reach the table whole, however many they are, and another process as they are."""

from __future__ import annotations

import pickle
from datetime import timedelta

import pytest

from bandit.decide_many import decide_many
from bandit.decisions import Requests
from service.integrity import check_chain
from service.rows_in_columns import append_rows, rows_in_columns
from service.store import Store

N = 83


@pytest.fixture
def store(tmp_path, worlds):
    with Store(tmp_path / "rows.db", salt=worlds.salt, secret=worlds.secret) as store:
        yield store


def made(worlds, store, at):
    """Rows of sends at these times, and their log."""
    campaign = worlds.campaign()
    log = store.open_log(campaign, worlds.noon)
    names = [f"it's é {i}" for i in range(len(at))]
    asked = Requests(names, worlds.contexts(campaign, len(at)), names, at)
    return rows_in_columns(decide_many(worlds.engine(campaign), asked), log, [None] * len(at)), log


@pytest.mark.parametrize("n", [0, 1, 39, 40, 41, 80, N])
def test_every_row_is_appended_once_and_in_order_whatever_fits_into_a_statement(worlds, store, n):
    rows, log = made(worlds, store, [worlds.noon] * N)
    store.write(lambda connection: append_rows(connection, rows.only(range(n))))
    assert [row.decision_id for row in store.decisions(log)] == list(rows.columns["decision_id"])[:n]
    assert check_chain(store.reader()).passed


def test_rows_come_to_another_process_as_they_are(worlds, store):
    rows, _ = made(worlds, store, [worlds.noon] * 3)
    there = pickle.loads(pickle.dumps(rows))
    assert list(there.values()) == list(rows.values())
    assert (list(there.covered), there.common) == (list(rows.covered), rows.common)


@pytest.mark.parametrize("seconds", [0, 1])
def test_a_time_that_all_have_in_common_is_written_as_times_that_differ(worlds, store, seconds):
    at = [worlds.noon + timedelta(seconds=seconds * (i % 2)) for i in range(4)]
    rows, log = made(worlds, store, at)
    store.write(lambda connection: append_rows(connection, rows))
    assert [row.decided_at for row in store.decisions(log)] == at
