"""The chain: it covers every column that never changes, those added later too, and old rows keep theirs."""

import hashlib

import msgspec

from service.rows import DECIDED, next_chain

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
