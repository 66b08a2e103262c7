"""A snapshot comes back exactly as it was stored, or not at all."""

from __future__ import annotations

import dataclasses
import hashlib

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit import Snapshot
from bandit.errors import BrokenSnapshot
from bandit.learners import LEARNERS
from bandit.snapshot import FORMAT, checksum

LAW = settings(max_examples=60, deadline=None)
SMALL = Snapshot("campaign", "regression", ("-q Ca", "-q Cb"), (b"\x00model", b""), 10, 12)
DATA = SMALL.to_bytes()
TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
COUNT = st.integers(0, 2**53)


def with_checksum(body):
    return hashlib.sha256(body).digest() + body


@LAW
@given(TEXT, TEXT, st.lists(st.tuples(TEXT, st.binary(max_size=200)), max_size=4), COUNT, COUNT)
def test_a_snapshot_survives_storage(campaign, learner, models, n_learned, watermark):
    arguments = tuple(argument for argument, _ in models)
    kept = Snapshot(campaign, learner, arguments, tuple(model for _, model in models), n_learned, watermark)
    assert Snapshot.from_bytes(kept.to_bytes()) == kept
    assert Snapshot.from_bytes(kept.to_bytes()).to_bytes() == kept.to_bytes()


@pytest.mark.parametrize("bit", range(8))
def test_every_single_flipped_bit_is_noticed(bit):
    for place in range(len(DATA)):
        flipped = bytearray(DATA)
        flipped[place] ^= 1 << bit
        with pytest.raises(BrokenSnapshot, match="checksum differs"):
            Snapshot.from_bytes(bytes(flipped))


def test_every_truncation_and_every_addition_is_noticed():
    for length in range(len(DATA)):
        with pytest.raises(BrokenSnapshot):
            Snapshot.from_bytes(DATA[:length])
    for more in (b"\x00", b"\xff" * 100, DATA):
        with pytest.raises(BrokenSnapshot):
            Snapshot.from_bytes(DATA + more)


def test_the_refusal_says_what_happened_and_what_to_do():
    with pytest.raises(BrokenSnapshot, match=r"the 3 bytes .* It was not loaded; roll back to another one"):
        Snapshot.from_bytes(b"abc")


def test_a_checksum_kept_elsewhere_is_compared_too():
    assert Snapshot.from_bytes(DATA, sha256=checksum(DATA)) == SMALL
    other = dataclasses.replace(SMALL, watermark=13).to_bytes()
    with pytest.raises(BrokenSnapshot, match="checksum differs"):
        Snapshot.from_bytes(other, sha256=checksum(DATA))


def test_the_checksum_is_the_sha256_that_everybody_can_compute():
    assert checksum(DATA) == hashlib.sha256(DATA).hexdigest()


@pytest.mark.parametrize(
    "change", [{"n_learned": 11}, {"watermark": 13}, {"campaign_hash": "other"}, {"models": (b"",) * 2}]
)
def test_different_snapshots_have_different_checksums(change):
    assert checksum(dataclasses.replace(SMALL, **change).to_bytes()) != checksum(DATA)


@pytest.mark.parametrize("more", [(), ("a new field",)], ids=["same fields", "another field"])
def test_a_snapshot_of_a_later_version_is_refused_with_the_advice_to_upgrade(more):
    fields = dataclasses.astuple(SMALL)
    later = msgspec.msgpack.encode((FORMAT + 1, *fields, *more))
    with pytest.raises(BrokenSnapshot, match="Upgrade manyarm"):
        Snapshot.from_bytes(with_checksum(later))


@pytest.mark.parametrize(
    "body", [b"", b"garbage", msgspec.msgpack.encode(["x"] * 7)], ids=["empty", "garbage", "texts"]
)
def test_a_right_checksum_over_something_else_is_a_broken_snapshot(body):
    with pytest.raises(BrokenSnapshot):
        Snapshot.from_bytes(with_checksum(body))


@pytest.mark.parametrize("learner", LEARNERS)
def test_a_snapshot_of_another_campaign_or_learner_is_never_served_or_continued(worlds, learner):
    policy = {"name": "native" if learner == "native" else "squarecb"}
    campaign = worlds.campaign(policy=policy)
    kind = worlds.kind(campaign)
    snapshot = kind.fresh(campaign).snapshot(watermark=0)
    other = worlds.campaign(policy=policy, campaign={"id": "autumn"})
    wrong_learner = dataclasses.replace(snapshot, learner="another")
    for made in (kind.serve, kind.resume):
        with pytest.raises(BrokenSnapshot, match=r"Use the campaign file it was\s+trained for, or train a new"):
            made(other, snapshot)
        with pytest.raises(BrokenSnapshot, match="of learner 'another'"):
            made(campaign, wrong_learner)


def test_a_snapshot_never_changes():
    with pytest.raises(dataclasses.FrozenInstanceError):
        SMALL.n_learned = 11
