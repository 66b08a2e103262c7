"""Packing loses nothing, whatever the bytes, and a snapshot is as large as what was learned, not as its table of weights."""

from __future__ import annotations

import hashlib
from dataclasses import fields

import msgspec
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bandit import Snapshot
from bandit.errors import BrokenSnapshot
from bandit.learners import LEARNERS
from bandit.packing import Packed, packed, unpacked


def table(n_rows, *, first=0, stride=1, changed=(), head=b"head of any length"):
    """Bytes of a table in which all rows but some say the same."""
    rows = np.zeros((n_rows, 3), "<u4")
    rows[:, 0] = first + stride * np.arange(n_rows)
    rows[:, 2] = 7
    for row, value in changed:
        rows[row % n_rows, 1] = value
    return head + rows.tobytes()


@given(model=st.binary(max_size=200))
def test_bytes_that_are_no_table_come_back_as_they_were(model):
    assert unpacked(packed(model)) == model


@given(
    n_rows=st.integers(1000, 3000),
    first=st.integers(0, 2**20),
    stride=st.integers(1, 4),
    changed=st.lists(st.tuples(st.integers(0, 3000), st.integers(0, 2**32 - 1)), max_size=30),
    head=st.binary(max_size=60),
)
def test_a_table_comes_back_bit_for_bit_and_is_as_small_as_what_differs(n_rows, first, stride, changed, head):
    model = table(n_rows, first=first, stride=stride, changed=changed, head=head)
    found = packed(model)
    assert unpacked(found) == model
    assert len(msgspec.msgpack.encode(found)) < len(head) + 12 * len(changed) + 100


@given(seed=st.integers(0, 2**32), size=st.integers(12_000, 40_000))
def test_large_bytes_without_any_order_come_back_too(seed, size):
    model = np.random.default_rng(seed).bytes(size)
    assert unpacked(packed(model)) == model


@pytest.mark.parametrize("learner", LEARNERS)
def test_every_learners_models_survive_a_snapshots_bytes(worlds, learner):
    policy = {"regression": "squarecb", "bootstrap": "thompson", "native": "native"}[learner]
    campaign = worlds.campaign(policy={"name": policy}, learner={"name": learner})
    snapshot = worlds.train(campaign, worlds.rows(campaign, 600, lambda *_: {"click": 0.3, "conversion": 0.1}))
    data = snapshot.to_bytes()
    assert Snapshot.from_bytes(data) == snapshot
    # 18 bits would be 3 MB a model, of which there are up to 20.
    assert len(data) < 1_000_000


def test_the_format_before_is_still_read(worlds):
    campaign = worlds.campaign()
    snapshot = worlds.train(campaign, worlds.rows(campaign, 100, lambda *_: {"click": 0.3}))
    body = msgspec.msgpack.encode((2, *(getattr(snapshot, field.name) for field in fields(snapshot))))
    assert Snapshot.from_bytes(hashlib.sha256(body).digest() + body) == snapshot


@pytest.mark.parametrize(
    "wrong",
    [{"rows": b"\x00\x00\x00\x00"}, {"common": b"short"}, {"kept": b"12345678" * 3}],
    ids=["rows", "common", "kept"],
)
def test_parts_that_do_not_belong_together_are_a_broken_snapshot(wrong):
    found = packed(table(1500, changed=[(3, 9), (1400, 5)]))
    broken = Packed(**{name: getattr(found, name) for name in found.__struct_fields__} | wrong)
    with pytest.raises(BrokenSnapshot, match="do not belong together"):
        unpacked(broken)
