"""Tables that people have are read as they are meant, or refused with the line and what to do; written whole or not."""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime, timedelta, timezone

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.errors import InvalidContext, InvalidOutcome, UnusableLog
from bandit.schema import BooleanField, CategoricalField, NumericField, Schema
from service.table import columns_in, context_of, read_rows, time_of
from service.table_writer import TIME, write_rows

SCHEMA = Schema((CategoricalField("level", ("low", "5")), NumericField("days", 0, 10), BooleanField("member")))
TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00\r"), max_size=20)
AWKWARD = 'name,text\r\nann,"a, ""b""\r\nc"\r\n🎉,\r\n'


@pytest.fixture
def saved(tmp_path):
    """Saves bytes under a name; returns the path."""

    def save(content, name="table.csv"):
        (tmp_path / name).write_bytes(content)
        return tmp_path / name

    return save


@pytest.mark.parametrize("packed", [False, True], ids=["plain", "gzipped"])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"], ids=["", "byte order mark"])
def test_quotes_commas_line_ends_and_a_byte_order_mark_are_read_as_they_are_meant(saved, packed, mark):
    content = mark + AWKWARD.encode()
    path = saved(gzip.compress(content), "t.csv.gz") if packed else saved(content)
    assert list(read_rows(path)) == [{"name": "ann", "text": 'a, "b"\r\nc'}, {"name": "🎉", "text": ""}]
    assert columns_in(path) == ("name", "text")


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5))
def test_what_any_csv_writer_wrote_comes_back(tmp_path_factory, rows):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([("a", "b"), *rows])
    assert [(row["a"], row["b"]) for row in read_rows(path)] == [row for row in rows if row != ("",)]


def test_parquet_is_read_with_its_types_and_in_order(tmp_path):
    rows = [
        {"id": i, "days": i / 3, "member": bool(i % 2), "at": datetime(2026, 1, 1, tzinfo=UTC)} for i in range(6000)
    ]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "t.parquet")
    assert list(read_rows(tmp_path / "t.parquet")) == rows
    assert columns_in(tmp_path / "t.parquet") == ("id", "days", "member", "at")


@pytest.mark.parametrize(
    ("line", "found"),
    [("x,1,extra", "3 cells, the header has 2"), ("x", "1 cells, the header has 2"), ("x,1,", "3 cells")],
)
def test_a_line_with_too_few_or_too_many_cells_is_refused_with_its_number(saved, line, found):
    with pytest.raises(UnusableLog, match=rf"table\.csv, line 3: {found}.*Quote texts that hold commas"):
        list(read_rows(saved(f"a,b\n1,2\n{line}\n".encode())))


@pytest.mark.parametrize(
    "content",
    [
        "a,b\nÄ,2\n".encode("latin-1"),
        "a,b\n1,2\n".encode("utf-16"),
        b'a,b\n1,"2\n',
        b'a,b\n1,"2"3\n',
    ],
    ids=["latin-1", "utf-16", "open quote", "text after a quote"],
)
def test_a_file_in_another_encoding_or_with_broken_quotes_is_refused(saved, content):
    with pytest.raises(UnusableLog, match="Save it as UTF-8 CSV with a header"):
        list(read_rows(saved(content)))


@pytest.mark.parametrize(
    ("content", "byte"),
    [
        ("a,b\nÄ,2\n".encode("latin-1"), "0xc4"),
        ("Ä,b\n1,2\n".encode("cp1252"), "0xc4"),
        ("a\n".encode("utf-16"), "0xff"),
    ],
)
def test_a_file_that_is_no_utf_8_is_said_to_be_none(saved, content, byte):
    with pytest.raises(UnusableLog, match=f"the byte {byte}, which is no UTF-8; the file is in another encoding"):
        list(read_rows(saved(content)))


@pytest.mark.parametrize(("separator", "word"), [(";", "semicolons"), ("\t", "tabs")])
def test_cells_that_are_separated_by_something_else_than_commas_are_refused_in_words_that_say_so(
    saved, separator, word
):
    path = saved(f"arm{separator}reward\nplain{separator}0,5\n".encode())
    for read in (columns_in, lambda path: list(read_rows(path))):
        with pytest.raises(UnusableLog, match=f"separated by {word}, need commas. Save it as CSV with commas"):
            read(path)


def test_a_semicolon_in_one_of_several_names_is_only_a_name(saved):
    assert list(read_rows(saved(b"a;b,c\n1,2\n"))) == [{"a;b": "1", "c": "2"}]


@pytest.mark.parametrize("damage", ["no gzip at all", "cut off", "a byte changed", "a byte changed early"])
def test_a_damaged_gzip_file_is_refused(saved, damage):
    packed = bytearray(
        gzip.compress(b"a,b\n" + b"".join(b"%d,%d\n" % (i * i, i**3 % 977) for i in range(3000)), mtime=0)
    )
    if damage == "no gzip at all":
        packed = bytearray(b"a,b\n1,2\n")
    elif damage == "cut off":
        del packed[len(packed) // 2 :]
    else:
        packed[len(packed) // 2 if damage == "a byte changed" else 12] ^= 0xFF
    with pytest.raises(UnusableLog, match=r"t\.csv\.gz, line \d+"):
        list(read_rows(saved(bytes(packed), "t.csv.gz")))


def test_a_header_that_names_a_column_twice_is_refused(saved):
    """Else one of the two would silently win, and it may be the wrong one."""
    with pytest.raises(UnusableLog, match="level"):
        list(read_rows(saved(b"customer_id,level,level\nann,low,high\n")))


def test_a_file_that_is_missing_or_of_another_kind_is_refused_with_what_is_read(saved, tmp_path):
    with pytest.raises(UnusableLog, match=r"no such file\. Name a CSV or Parquet file"):
        list(read_rows(tmp_path / "absent.csv"))
    for folder in (tmp_path, tmp_path / "folder.csv", tmp_path / "folder.parquet"):
        folder.mkdir(exist_ok=True)
        with pytest.raises(UnusableLog, match=r"this is a folder\. Name a CSV or Parquet file in it"):
            list(read_rows(folder))
    with pytest.raises(UnusableLog, match=r"found the ending '\.xlsx', need \.csv, \.csv\.gz or \.parquet"):
        list(read_rows(saved(b"PK", "table.xlsx")))
    with pytest.raises(UnusableLog, match=r"not a readable Parquet file.*or use CSV"):
        list(read_rows(saved(b"PAR1 but nothing else", "table.parquet")))


@pytest.mark.parametrize("content", [b"", b"a,b\n"], ids=["empty", "only a header"])
def test_a_file_without_rows_has_none(saved, content):
    assert list(read_rows(saved(content))) == []


@pytest.mark.parametrize(
    ("name", "cell", "value"),
    [
        ("level", "low", "low"),
        ("level", "5", "5"),
        ("days", "5", 5.0),
        ("days", " 2.5e0 ", 2.5),
        ("days", 3, 3),
        ("member", "Yes", True),
        ("member", "0", False),
        ("member", " FALSE ", False),
        ("member", True, True),
        ("elsewhere", "x", "x"),
        *((name, empty, None) for name in ("level", "days", "member") for empty in ("", None)),
    ],
)
def test_a_cell_becomes_what_the_campaign_declares(name, cell, value):
    assert repr(context_of({name: cell}, SCHEMA, [name])) == repr({name: value})


@pytest.mark.parametrize(
    ("name", "cell", "advice"),
    [("days", "five", "need a number, or nothing"), ("member", "maybe", "need true or false")],
)
def test_a_cell_that_cannot_be_what_is_declared_is_refused_by_name(name, cell, advice):
    with pytest.raises(InvalidContext, match=rf"context '{name}' is '{cell}', {advice}"):
        context_of({name: cell}, SCHEMA, [name])


def test_times_are_taken_with_their_zone_and_turned_into_utc():
    nine = datetime(2026, 11, 22, 9, tzinfo=UTC)
    there = datetime(2026, 11, 22, 11, tzinfo=timezone(timedelta(hours=2)))
    for cell in ("2026-11-22T09:00:00Z", "2026-11-22 11:00+02:00", "20261122T090000Z", there):
        found = time_of(cell, what="at")
        assert (found, found.tzinfo) == (nine, UTC)
    assert time_of("", what="at") is None is time_of(None, what="at")


@pytest.mark.parametrize("cell", ["2026-11-22T09:00:00", "2026-11-22", "soon", "1700000000", 3, datetime(2026, 1, 1)])  # noqa: DTZ001 - on purpose
def test_a_time_without_a_zone_is_refused(cell):
    with pytest.raises(InvalidOutcome, match=r"at is .*, need an ISO 8601 time with its zone, such as 2026"):
        time_of(cell, what="at")


@pytest.mark.parametrize("cell", ["0001-01-01T00:00:00+14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_beyond_the_calendar_is_refused(cell):
    with pytest.raises(InvalidOutcome):
        time_of(cell, what="at")


ROWS = [{"id": "d1", "at": datetime(2026, 1, 1, tzinfo=UTC), "p": 1 / 3}, {"id": 'a,"b"\n', "at": None, "p": 5e-324}]
COLUMNS = pa.schema([("id", pa.string()), ("at", TIME), ("p", pa.float64())])


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_what_was_written_is_read_back_with_every_bit_of_its_numbers(tmp_path, name):
    assert write_rows(tmp_path / name, COLUMNS, iter(ROWS)) == 2
    found = list(read_rows(tmp_path / name))
    assert [row["id"] for row in found] == ["d1", 'a,"b"\n']
    assert [float(row["p"]) for row in found] == [1 / 3, 5e-324]
    assert [time_of(row["at"], what="at") for row in found] == [ROWS[0]["at"], None]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_table_is_written_whole_or_not_at_all(tmp_path, name):
    def failing():
        yield ROWS[0]
        raise UnusableLog("row 2 is ill")

    (tmp_path / name).write_text("what was there")
    with pytest.raises(UnusableLog, match="row 2 is ill"):
        write_rows(tmp_path / name, COLUMNS, failing())
    assert (tmp_path / name).read_text() == "what was there"
    assert [path.name for path in tmp_path.iterdir()] == [name]


@pytest.mark.parametrize("name", ["out.csv", "out.parquet"])
def test_a_table_of_no_rows_still_has_its_columns(tmp_path, name):
    assert write_rows(tmp_path / name, COLUMNS, []) == 0
    names = (
        pq.read_table(tmp_path / name).column_names
        if "parquet" in name
        else (tmp_path / name).read_text().strip().split(",")
    )
    assert names == ["id", "at", "p"]
