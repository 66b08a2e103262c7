"""Randomness without a random number generator: a salted hash of who and what, so that every draw can be repeated.

The position of a draw has 53 bits, so an arm of probability 0.0005 really is drawn 0.0005 of the time, and a salt, so
that two installations do not put the same customer at the same place.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray

SALT_BYTES = 16
_BLOCK = 64


def position_of(*parts: str, salt: bytes) -> float:
    """Uniform position in [0, 1), the same every time for the same parts and salt.

    Parts are joined with their lengths, so that ("ab", "c") and ("a", "bc") differ.

    >>> position_of("contest", "d1", "subject", salt=b"pepper") == position_of("contest", "d1", "subject", salt=b"pepper")
    True
    """
    message = "".join([f"{len(part)}:{part}" for part in parts])
    digest = hashlib.blake2b(message.encode(), digest_size=8, key=salt).digest()
    return (int.from_bytes(digest, "big") >> 11) * 2.0**-53


def begun_position(*parts: str, salt: bytes) -> Hash:
    """The first parts of positions that many draws have in common, worked in once; see `position_after`."""
    message = "".join([f"{len(part)}:{part}" for part in parts])
    return hashlib.blake2b(message.encode(), digest_size=8, key=salt)


def position_after(begun: Hash, part: str) -> float:
    """The position of the parts worked in and a last one, in half the time of `position_of`.

    >>> begun = begun_position("contest", "d1", salt=b"pepper")
    >>> position_after(begun, "subject") == position_of("contest", "d1", "subject", salt=b"pepper")
    True
    """
    return (int.from_bytes(with_part(begun, part).digest(), "big") >> 11) * 2.0**-53


def with_part(begun: Hash, part: str) -> Hash:
    """One more part worked in."""
    hashed = begun.copy()
    hashed.update(f"{len(part)}:{part}".encode())
    return hashed


def positions_of(before: str, names: Iterable[str], *after: str, salt: bytes) -> FloatArray:
    """The same for many names between parts that all have in common, in a third of the time; shape (n_names,).

    >>> second = position_of("contest", "d2", "subject", salt=b"pepper")
    >>> positions_of("contest", ["d1", "d2"], "subject", salt=b"pepper").tolist()[1] == second
    True
    """
    begun = begun_position(before, salt=salt).copy
    ending = "".join([f"{len(part)}:{part}" for part in after])
    digests = []
    for name in names:
        hashed = begun()
        hashed.update(f"{len(name)}:{name}{ending}".encode())
        digests.append(hashed.digest())
    return _uniform(digests)


def positions_of_each(before: str, names: Sequence[str], after: Sequence[str], *, salt: bytes) -> FloatArray:
    """The same for each of some last parts, each name worked in once; shape (n_after, n_names).

    >>> both = positions_of_each("contest", ["d1", "d2"], ["subject", "cta"], salt=b"pepper")
    >>> both[1].tolist() == positions_of("contest", ["d1", "d2"], "cta", salt=b"pepper").tolist()
    True
    """
    begun = begun_position(before, salt=salt).copy
    *endings, last = [f"{len(part)}:{part}".encode() for part in after]
    digests = list[bytes]()
    add = digests.append
    for name in names:
        hashed = begun()
        hashed.update(f"{len(name)}:{name}".encode())
        again = hashed.copy
        for ending in endings:
            one = again()
            one.update(ending)
            add(one.digest())
        hashed.update(last)
        add(hashed.digest())
    return _uniform(digests).reshape(len(names), len(after)).T


def _uniform(digests: Sequence[bytes]) -> FloatArray:
    whole = np.frombuffer(b"".join(digests), dtype=">u8").astype(np.uint64)
    found: FloatArray = (whole >> np.uint64(11)).astype(np.float64) * 2.0**-53
    return found


def draw(probabilities: Sequence[float], position: float) -> int:
    """The arm whose share of [0, 1) holds the position; arms of probability 0 are never drawn.

    Args:
        probabilities: one an arm, in the campaign's order, summing to 1.
        position: in [0, 1).

    >>> [draw((0.5, 0.0, 0.5), position) for position in (0.0, 0.4999, 0.5, 0.9999)]
    [0, 0, 2, 2]
    """
    arm = bisect_right(list(accumulate(probabilities)), position)
    if arm < len(probabilities):
        return arm
    # The sum fell short of 1 by rounding, and the position is above it: the last arm that can be drawn.
    return max(index for index, probability in enumerate(probabilities) if probability > 0.0)


def draw_many(probabilities: FloatArray, positions: FloatArray) -> NDArray[np.int64]:
    """The same for many draws, each from a distribution of its own.

    Args:
        probabilities: shape (n, n_arms).
        positions: shape (n,).

    >>> draw_many(np.array([[0.5, 0.0, 0.5]] * 4), np.array([0.0, 0.4999, 0.5, 0.9999])).tolist()
    [0, 0, 2, 2]
    """
    n_arms = probabilities.shape[1]
    arms: NDArray[np.int64] = (np.cumsum(probabilities, axis=1) <= positions[:, None]).sum(axis=1)
    for short in np.flatnonzero(arms == n_arms):
        arms[short] = np.flatnonzero(probabilities[short] > 0.0)[-1]
    return arms


class Hash(Protocol):
    """What `hashlib` makes."""

    def copy(self) -> Hash:
        """Another one that has worked in the same."""

    def update(self, data: bytes, /) -> None:
        """Work more in."""

    def digest(self) -> bytes:
        """The hash."""

    def hexdigest(self) -> str:
        """The hash in hex digits."""


class KeyedHmac(NamedTuple):
    """HMAC-SHA256 with its key worked in: the inner and the outer hash, begun."""

    inner: Hash
    outer: Hash


def keyed_hmac(secret: bytes) -> KeyedHmac:
    """Work a key in, once for many customers."""
    # HMAC by its definition (RFC 2104): the library's own object costs as much to copy as the hashing itself.
    key = (hashlib.sha256(secret).digest() if len(secret) > _BLOCK else secret).ljust(_BLOCK, b"\0")
    return KeyedHmac(
        hashlib.sha256(bytes([byte ^ 0x36 for byte in key])), hashlib.sha256(bytes([byte ^ 0x5C for byte in key]))
    )


def key_under(keyed: KeyedHmac, customer_id: str) -> str:
    """The customer's key under a key worked in before; see `customer_key`."""
    first, second = keyed.inner.copy(), keyed.outer.copy()
    first.update(customer_id.encode())
    second.update(first.digest())
    return second.hexdigest()[:32]


def customer_key(customer_id: str, *, secret: bytes) -> str:
    """What the log keeps instead of a customer_id: its HMAC-SHA256 under the store's secret, 32 hex digits.

    >>> len(customer_key("ann@example.org", secret=b"secret"))
    32
    """
    return key_under(keyed_hmac(secret), customer_id)


def customer_keys(customer_ids: Iterable[str], *, secret: bytes) -> list[str]:
    """The same for many customers, in half the time.

    >>> customer_keys(["ann"], secret=b"secret") == [customer_key("ann", secret=b"secret")]
    True
    """
    keyed = keyed_hmac(secret)
    inner, outer = keyed.inner.copy, keyed.outer.copy
    found = []
    for customer_id in customer_ids:
        first, second = inner(), outer()
        first.update(customer_id.encode())
        second.update(first.digest())
        found.append(second.hexdigest()[:32])
    return found
