"""Between a decision and its row in the `decisions` table, and the chain that makes an edit show."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import repeat
from typing import Any

import msgspec

from bandit.campaign import Campaign
from bandit.decision import Decision
from bandit.errors import UnusableLog
from bandit.exclusion import Excluded, unwritten, written
from bandit.log import LoggedDecision
from bandit.wear_out import Exposure
from service.product_pmf import pmf_bytes, probabilities_in

DECIDED = (
    "log_id", "decision_id", "customer_key", '"group"', "context", "arms", "propensities", "pmf", "propensity",
    "policy", "snapshot", "fallback", "estimate", "decided_at", "send_at", "candidate", "exposures", "seen",
    "excluded", "deferred", "recent_sends",
)  # fmt: skip
"""The columns that never change, in the order in which the chain covers them."""
_FIRST = DECIDED.index("candidate")
_ADDED = DECIDED[_FIRST:]
"""Columns from here on were added later: the chain covers them, by name, where they hold something."""

BECAME = ("state", "sent_at", "reward")
READ = ", ".join(("seq", *DECIDED, *BECAME))
"""What `logged_of` reads, as the column list of a SELECT."""

DecidedValues = tuple[Any, ...]
"""Values of `DECIDED`, as SQLite stores them and gives them back."""

_text = msgspec.json.Encoder()
_LONGEST, _ZONE = len('"2026-11-22T09:00:00.000001Z"'), len('"2026-11-22T09:00:00.000001')
"""Of a time in UTC as msgspec writes it, and where its zone stands."""


def stamp(moment: datetime) -> str:
    """A time as the store keeps it: UTC, microseconds, fixed width, so that text order is time order.

    >>> stamp(datetime(2026, 11, 22, 9, tzinfo=UTC))
    '2026-11-22T09:00:00.000000+00:00'
    """
    utc = moment if moment.tzinfo is UTC else moment.astimezone(UTC)
    text = _text.encode(utc)
    # A third of the time of isoformat, but whole seconds come without the microseconds.
    return f"{text[1:_ZONE].decode()}+00:00" if len(text) == _LONGEST else utc.isoformat(timespec="microseconds")


def moment_of(text: str | None) -> datetime | None:
    """The time that `stamp` wrote."""
    return None if text is None else datetime.fromisoformat(text)


def decided_values(decision: Decision, *, log_id: int, seen: int | None, deferred: bool = False) -> DecidedValues:
    """The never-changing part of a row."""
    picks = decision.picks
    return (
        log_id,
        decision.decision_id,
        decision.customer_key,
        decision.group.value,
        _json(decision.context),
        _json([pick.arm for pick in picks]),
        _json([pick.propensity for pick in picks]),
        pmf_bytes([p for pick in picks for p in pick.pmf.probabilities]),
        decision.propensity,
        decision.policy,
        decision.snapshot,
        decision.fallback,
        None
        if decision.estimate is None
        else decision.estimate + 0.0,  # SQLite has no -0.0, and the chain would miss it
        stamp(decision.decided_at),
        None if decision.send_at is None else stamp(decision.send_at),
        decision.candidate,
        _json(decision.exposures) if decision.exposures else None,
        seen,
        _json(written(decision.excluded)) if decision.excluded else None,
        1 if deferred else None,
        decision.recent_sends,
    )


def next_chain(chain: bytes, values: Sequence[Any]) -> bytes:
    """The chain after a row: a hash over the chain before it and the row's never-changing values."""
    return linked(chain, covered(values))


def covered(values: Sequence[Any]) -> bytes:
    """What the chain covers of a row.

    Rows written before a column was added have nothing in it, and the chain they were written with.
    """
    added = [pair for pair in zip(_ADDED, values[_FIRST:], strict=True) if pair[1] is not None]
    return msgspec.msgpack.encode((*values[:_FIRST], *added))


def covered_by(columns: Sequence[Sequence[Any]]) -> list[bytes]:
    """The same for many rows, from the columns of `DECIDED`."""
    encode, first = msgspec.msgpack.Encoder().encode, zip(*columns[:_FIRST], strict=True)
    added = [
        (name, column)
        for name, column in zip(_ADDED, columns[_FIRST:], strict=True)
        if any(value is not None for value in column)  # which 0 is not
    ]
    if not added:
        return [encode(row) for row in first]
    pairs = zip(*(zip(repeat(name), column, strict=False) for name, column in added), strict=True)
    return [
        encode((*row, *[pair for pair in more if pair[1] is not None])) for row, more in zip(first, pairs, strict=True)
    ]


def linked(chain: bytes, row: bytes) -> bytes:
    """The chain after a row of which this is covered."""
    return hashlib.blake2b(chain + row, digest_size=16).digest()


def logged_of(row: Sequence[Any], campaign: Campaign) -> LoggedDecision:
    """A row of `READ` columns as a logged decision; what it says is not checked, so that `verify` can look at anything.

    Raises:
        UnusableLog: if a column does not even hold a value of its type.
    """
    values = dict(zip(("seq", *DECIDED, *BECAME), row, strict=True))
    try:
        return _logged_of(values, campaign)
    except (ValueError, TypeError, msgspec.DecodeError) as error:
        raise UnusableLog(
            f"row {values['seq']}, decision {str(values['decision_id'])[:60]}: cannot be read ({error})"
        ) from error


def _logged_of(values: dict[str, Any], campaign: Campaign) -> LoggedDecision:
    flat = probabilities_in(values["pmf"], sum(campaign.sizes)).tolist()
    pmfs, start = [], 0
    for size in campaign.sizes:
        pmfs.append(tuple(flat[start : start + size]))
        start += size
    return LoggedDecision(
        seq=values["seq"],
        decision_id=values["decision_id"],
        campaign=campaign.id,
        campaign_hash=campaign.content_hash,
        customer_key=values["customer_key"],
        group=values['"group"'],
        context=msgspec.json.decode(values["context"], type=dict[str, str | float | bool | None]),
        arms=msgspec.json.decode(values["arms"], type=tuple[str, ...]),
        propensities=msgspec.json.decode(values["propensities"], type=tuple[float, ...]),
        pmfs=tuple(pmfs),
        propensity=values["propensity"],
        policy=values["policy"],
        snapshot=values["snapshot"],
        fallback=values["fallback"],
        estimate=values["estimate"],
        decided_at=datetime.fromisoformat(values["decided_at"]),
        send_at=moment_of(values["send_at"]),
        state=values["state"],
        sent_at=moment_of(values["sent_at"]),
        reward=values["reward"],
        candidate=values["candidate"],
        exposures=_exposures(values["exposures"], campaign),
        seen=values["seen"],
        excluded=_excluded(values["excluded"], campaign),
        deferred=values["deferred"] is not None,
        recent_sends=_recent_sends(values["recent_sends"]),
    )


def _exposures(text: str | None, campaign: Campaign) -> tuple[Exposure, ...]:
    """Exposures as they were written; positions that the campaign does not have would be used all the same."""
    if text is None:
        return ()
    found, sizes = msgspec.json.decode(text, type=tuple[Exposure, ...]), campaign.sizes
    for d, arm, recency, frequency in found:
        if not (0 <= d < len(sizes) and 0 <= arm < sizes[d] and recency > 0.0 and frequency > 0):
            raise ValueError(f"exposure {(d, arm, recency, frequency)} cannot be")
    return found


def _recent_sends(found: int | None) -> int | None:
    """Messages that a customer had got lately, as they were written."""
    if found is not None and found < 0:
        raise ValueError(f"{found} recent sends cannot be")
    return found


def _excluded(text: str | None, campaign: Campaign) -> tuple[Excluded, ...]:
    """Excluded arms as they were written."""
    if text is None:
        return ()
    found, sizes = unwritten(msgspec.json.decode(text, type=list[list[int | str]])), campaign.sizes
    for d, arm, _ in found:
        if not (0 <= d < len(sizes) and 0 <= arm < sizes[d]):
            raise ValueError(f"excluded arm {(d, arm)} cannot be")
    return found


def _json(value: object) -> str:
    return _text.encode(value).decode()
