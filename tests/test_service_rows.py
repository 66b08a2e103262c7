"""The chain: it covers every column that never changes, those added later too, and old rows keep theirs. And times."""

import hashlib
from datetime import UTC, timedelta, timezone

import msgspec
from hypothesis import example, given
from hypothesis import strategies as st

from service.rows import DECIDED, moment_of, next_chain, stamp

FIRST = tuple(range(DECIDED.index("candidate")))
N_ADDED = len(DECIDED) - len(FIRST)


def test_a_row_without_anything_in_the_later_columns_has_the_chain_of_the_version_before():
    former = hashlib.blake2b(b"before" + msgspec.msgpack.encode(FIRST), digest_size=16).digest()
    assert next_chain(b"before", (*FIRST, *[None] * N_ADDED)) == former


def test_what_stands_in_a_later_column_is_covered_with_its_name():
    chains = {next_chain(b"", (*FIRST, *[None] * N_ADDED))}
    for place in range(N_ADDED):
        for value in ("one", "two"):
            chains.add(next_chain(b"", (*FIRST, *[value if p == place else None for p in range(N_ADDED)])))
    assert len(chains) == 1 + 2 * N_ADDED


ZONES = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
MOMENTS = st.datetimes(min_value=moment_of("0001-01-02T00:00:00"), max_value=moment_of("9999-12-30T00:00:00"))


@given(MOMENTS, st.one_of(st.just(UTC), ZONES))
@example(moment_of("2026-01-01T00:00:00"), UTC)
@example(moment_of("0987-01-01T00:00:00.000001"), UTC)
def test_times_are_kept_as_they_always_were_in_utc_with_six_digits_of_a_second(moment, zone):
    moment = moment.replace(tzinfo=zone)
    assert stamp(moment) == moment.astimezone(UTC).isoformat(timespec="microseconds")
    assert moment_of(stamp(moment)) == moment
