"""A frozen learner: everything needed to serve it, to recompute what it decided, and to go on learning."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, fields
from typing import Any

import msgspec

from bandit.errors import BrokenSnapshot, OutdatedSnapshot
from bandit.packing import Packed, packed, unpacked

FORMAT = 3
_UNPACKED = 2
"""The format before: the same with each model as it is."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Model bytes with the whole argument string and the counters; immutable.

    Attributes:
        campaign_hash: content hash of the campaign it belongs to.
        learner: name of the learner in the registry.
        arguments: Vowpal Wabbit's argument string of each model; a model file does not hold all of it.
        models: the models' bytes, one for each argument string.
        n_learned: decisions learned from, all together.
        watermark: number of the last matured decision learned from; learning goes on after it.
        candidate: which of the learner's candidates serves; empty where there is only one.
        state: what the learner needs besides the models to go on; its own bytes.
    """

    campaign_hash: str
    learner: str
    arguments: tuple[str, ...]
    models: tuple[bytes, ...]
    n_learned: int
    watermark: int
    candidate: str = ""
    state: bytes = b""

    def to_bytes(self) -> bytes:
        """Bytes with a checksum of their own: truncated weights and flipped bits load into VW without a word."""
        packs = tuple(packed(model) for model in self.models)
        parts = [packs if field.name == "models" else getattr(self, field.name) for field in fields(self)]
        body = msgspec.msgpack.encode((FORMAT, *parts))
        return hashlib.sha256(body).digest() + body

    @classmethod
    def from_bytes(cls, data: bytes, *, sha256: str | None = None) -> Snapshot:
        """Read back what `to_bytes` wrote.

        Args:
            data: the bytes.
            sha256: checksum kept elsewhere, hex; compared too where it is given.

        Raises:
            BrokenSnapshot: if a byte changed, or the format is of a later version.
            OutdatedSnapshot: if it is of an earlier one.

        >>> kept = Snapshot("hash", "regression", ("-q Ca",), (b"model",), 10, 12)
        >>> Snapshot.from_bytes(kept.to_bytes()) == kept
        True
        """
        digest, body = data[:32], data[32:]
        if hashlib.sha256(body).digest() != digest or (sha256 is not None and checksum(data) != sha256):
            raise BrokenSnapshot(
                f"the {len(data)} bytes of this snapshot are not the ones that were stored (checksum differs), so it "
                "could decide anything. It was not loaded; roll back to another one, or restore the database."
            )
        try:
            version, *parts = msgspec.msgpack.decode(body, type=list[Any])
            version = int(version)
            if version == _UNPACKED:
                return cls(*msgspec.convert(parts, _Parts))
            if version == FORMAT:
                campaign_hash, learner, arguments, packs, *rest = msgspec.convert(parts, _PackedParts)
                return cls(campaign_hash, learner, arguments, tuple(map(unpacked, packs)), *rest)
        except (msgspec.MsgspecError, ValueError, TypeError) as error:
            raise BrokenSnapshot(f"the snapshot cannot be read by this version ({error}). Upgrade manyarm.") from error
        found = f"snapshot format is {version}, this version reads {FORMAT}."
        if version < FORMAT:
            raise OutdatedSnapshot(f"{found} What it decided cannot be recomputed; learning begins again from the log.")
        raise BrokenSnapshot(f"{found} Upgrade manyarm.")


_Parts = tuple[str, str, tuple[str, ...], tuple[bytes, ...], int, int, str, bytes]
_PackedParts = tuple[str, str, tuple[str, ...], tuple[Packed, ...], int, int, str, bytes]


def checksum(data: bytes) -> str:
    """sha256 of a snapshot's bytes, hex."""
    return hashlib.sha256(data).hexdigest()
