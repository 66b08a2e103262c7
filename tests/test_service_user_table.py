"""Tables of customers read in columns say what `Schema.encode` says of each row, and refuse what it refuses."""

from __future__ import annotations

import csv
import math
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import Context
from bandit.context_columns import columns_of
from bandit.errors import InvalidContext
from bandit.schema import BooleanField, CategoricalField, NumericField, Schema
from service.store import Log
from service.table import context_of, read_rows
from service.user_check import check_table, groups_of
from service.user_table import columns_for

SCHEMA = Schema(
    (
        CategoricalField("level", ("low", "high", "1")),
        NumericField("days", 0.0, 10.0),
        BooleanField("member"),
        CategoricalField("gender", (), protected=True),
        NumericField("age", 18.0, 99.0, required=True),
    )
)
CELLS = {
    "level": st.sampled_from([None, "low", "high", "1", "mid", 1]),
    "days": st.sampled_from([None, 3, 3.0, -1.0, 11.5, 0.0, -0.0, 1e9]) | st.floats(),
    "member": st.sampled_from([None, True, False]),
    "gender": st.none() | st.text("ab\u00e9", max_size=2),
    "age": st.sampled_from([None, 20.0, 30.5]),
}
ROWS = st.lists(st.fixed_dictionaries(CELLS), max_size=12)


def one_by_one(cells):
    """A row as it was read before there were columns; None where it is refused."""
    try:
        return SCHEMA.encode(Context(context_of(cells, SCHEMA, list(CELLS))))
    except InvalidContext:
        return None


@pytest.fixture(scope="module")
def log(worlds):
    """A log whose campaign has the schema."""
    context = {
        "level": {"kind": "categorical", "values": ["low", "high", "1"]},
        "days": {"kind": "numeric", "range": [0, 10]},
        "member": {"kind": "boolean"},
        "gender": {"kind": "categorical", "protected": True},
        "age": {"kind": "numeric", "range": [18, 99], "required": True},
    }
    campaign = worlds.campaign(context=context)
    assert campaign.schema == SCHEMA
    return Log(1, campaign)


def held_to(path, log):
    """Every row of a file, read in columns and read one by one."""
    columns = columns_for(path, log, ignored=[])
    for group in groups_of(path, columns, log):
        bad = set(group.bad_rows().tolist())
        for row, cells in enumerate(read_rows(path)):
            alone = one_by_one(cells)
            assert (row in bad) == (alone is None)
            assert bool(group.fault(row)) == (alone is None)
            if alone is not None:
                assert repr(group.contexts[row]) == repr(alone)
        fine = [row for row in range(len(group)) if row not in bad]
        assert [repr(list(group.contexts)[row]) for row in fine] == [repr(group.contexts[row]) for row in fine]


@given(rows=ROWS)
def test_a_parquet_table(rows, log, tmp_path_factory):
    path = tmp_path_factory.mktemp("users") / "users.parquet"
    columns = {name: [row[name] for row in rows] for name in CELLS}
    columns["level"] = [None if one is None else str(one) for one in columns["level"]]
    columns["days"] = [None if one is None else float(one) for one in columns["days"]]
    table = pa.table(
        {"customer_id": [f"c{i}" for i in range(len(rows))], **columns},
        pa.schema(
            [
                ("customer_id", pa.string()),
                ("level", pa.string()),
                ("days", pa.float64()),
                ("member", pa.bool_()),
                ("gender", pa.string()),
                ("age", pa.float64()),
            ]
        ),
    )
    pq.write_table(table, path)
    if rows:
        held_to(path, log)


@given(
    rows=st.lists(st.fixed_dictionaries(dict.fromkeys(CELLS, st.text("1a -.ylow", max_size=3))), min_size=1, max_size=9)
)
def test_a_csv_table(rows, log, tmp_path_factory):
    path = tmp_path_factory.mktemp("users") / "users.csv"
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, ["customer_id", *CELLS])
        writer.writeheader()
        writer.writerows({"customer_id": f"c{i}", **row} for i, row in enumerate(rows))
    held_to(path, log)


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("member", pa.array([0, 1, 2, None])),
        ("level", pa.array([1, 0, None, 1])),
        ("level", pa.array(["low", "high", "low", "mid"]).dictionary_encode()),
        ("level", pa.array([[1], ["low"][:0], None, [2]])),
        ("days", pa.array(["3", "x", "", None])),
        ("days", pa.array([True, False, True, None])),
        ("gender", pa.array([1.5, 2.0, None, math.nan])),
        ("age", pa.array([20, 30, 120, 1], pa.int8())),
    ],
)
def test_columns_of_other_types(log, tmp_path, name, column):
    known = {"customer_id": pa.array([1, 2, 3, 4]), **{one: pa.nulls(4) for one in CELLS}, "age": pa.array([20.0] * 4)}
    pq.write_table(pa.table(known | {name: column}), tmp_path / "users.parquet")
    held_to(tmp_path / "users.parquet", log)


@given(rows=ROWS)
def test_contexts_that_came_one_by_one_are_encoded_alike_together(rows):
    contexts = [Context(row) for row in rows]
    together = columns_of(SCHEMA, contexts)
    alone = []
    for context in contexts:
        try:
            alone.append(SCHEMA.encode(context))
        except InvalidContext:
            assert together is None
            return
    assert [repr(one) for one in together] == [repr(one) for one in alone]
    assert repr(together.values()) == repr([dict(one.values) for one in alone])


@pytest.mark.parametrize("bad", [{"name": "Ann"}, {"level": ["low"]}, {"member": 1}, {"days": True}])
def test_a_context_that_is_refused_is_left_to_be_refused_by_itself(bad):
    assert columns_of(SCHEMA, [Context({"age": 20, "member": True, "days": 1}), Context({"age": 20} | bad)]) is None


def test_of_a_table_read_in_groups_every_bad_row_is_counted_and_the_first_named(log, tmp_path):
    n = 25_000
    ids = [f"d{i}" for i in range(n)]
    ids[20_000] = "d3"
    age = [20.0] * n
    age[10_500] = None
    pq.write_table(
        pa.table({"customer_id": [f"c{i}" for i in range(n)], "decision_id": ids, "age": age}), tmp_path / "u.parquet"
    )
    path = Path(tmp_path / "u.parquet")
    with pytest.raises(InvalidContext) as refused:
        check_table(path, columns_for(path, log, ignored=[]), log)
    message = str(refused.value)
    assert f"2 of {n} rows cannot be decided" in message
    assert message.index("row 10501: context 'age' is missing") < message.index(
        "row 20001: decision_id 'd3' stands above"
    )
