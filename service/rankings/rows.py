"""Between a ranking and its row in the `rankings` table."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import msgspec
import numpy as np

from bandit.errors import EngineError, UnusableLog
from bandit.group import Group
from bandit.ranking import Ranking
from bandit.ranking_request import Action, RankingRequest
from bandit.ranking_rules import RankingRules
from service.rows import stamp

RANKED = (
    "campaign", "event_id", '"group"', "context", "actions", "excluded", "deferred", "pmf", "chosen", "propensity", "policy",
    "snapshot", "fallback", "estimate", "rules", "decided_at",
)  # fmt: skip
"""The columns that never change, in the order in which the chain covers them."""
BECAME = ("state", "activated_at", "reward", "matured")
READ = ", ".join(("seq", *RANKED, *BECAME))
"""What `kept_of` reads, as the column list of a SELECT."""

_Objects = tuple[dict[str, Any], ...]
_encode = msgspec.json.Encoder().encode


class _StoredAction(msgspec.Struct, frozen=True):
    id: str
    features: _Objects


_actions = msgspec.json.Decoder(tuple[_StoredAction, ...])
_context = msgspec.json.Decoder(_Objects)
_excluded = msgspec.json.Decoder(tuple[str, ...])
_rules = msgspec.json.Decoder(RankingRules)


@dataclass(frozen=True, slots=True)
class KeptRanking:
    """A row: what was drawn, and what became of it.

    Attributes:
        seq: its number.
        ranking: what was drawn; its propensity is that of its pmf.
        propensity: as it was written down.
        state: a value of `State`: deferred until it is activated, else pending; then matured, or expired.
        activated_at: when the caller said that it is shown; None for those not deferred.
        reward: once it has matured.
        matured: its place in the order of maturing.
    """

    seq: int
    ranking: Ranking
    propensity: float
    state: str
    activated_at: str | None
    reward: float | None
    matured: int | None


def ranked_values(ranking: Ranking) -> tuple[Any, ...]:
    """The never-changing part of a row."""
    request = ranking.request
    actions = tuple(_StoredAction(one.id, tuple(map(dict, one.features))) for one in request.actions)
    return (
        ranking.campaign,
        request.event_id,
        ranking.group.value,
        _text(request.context),
        _text(actions),
        _text(request.excluded),
        int(request.is_deferred),
        np.array(ranking.pmf).tobytes(),
        ranking.chosen,
        ranking.propensity,
        ranking.policy,
        ranking.snapshot,
        ranking.fallback,
        None if ranking.estimate is None else ranking.estimate + 0.0,  # SQLite has no -0.0, and the chain would miss it
        _text(ranking.rules),
        stamp(ranking.decided_at),
    )


def next_link(chain: bytes, values: Sequence[Any]) -> bytes:
    """The chain after a row: a hash over the chain before it and the row's never-changing values."""
    return hashlib.blake2b(chain + msgspec.msgpack.encode(tuple(values)), digest_size=16).digest()


def kept_of(row: Sequence[Any]) -> KeptRanking:
    """A row of `READ` columns, so far as it can be read; what it says is checked by `verify`.

    Raises:
        UnusableLog: if a column does not even hold a value of its type.
    """
    values = dict(zip(("seq", *RANKED, *BECAME), row, strict=True))
    try:
        return _kept_of(values)
    except (ValueError, TypeError, IndexError, msgspec.DecodeError, EngineError) as error:
        event = str(values["event_id"])[:60]
        raise UnusableLog(f"row {values['seq']}, event {event}: cannot be read ({error})") from error


def rules_of(text: str) -> RankingRules:
    """The rules that a row keeps.

    Raises:
        UnusableLog: if they cannot be read.
    """
    try:
        return _rules.decode(text)
    except (msgspec.DecodeError, EngineError) as error:
        raise UnusableLog(f"the rules {text[:80]!r} of a ranking cannot be read ({error})") from error


def _kept_of(values: dict[str, Any]) -> KeptRanking:
    actions = tuple(Action(one.id, one.features) for one in _actions.decode(values["actions"]))
    pmf = tuple(np.frombuffer(values["pmf"]).tolist())
    if len(pmf) != len(actions) or not 0 <= values["chosen"] < len(actions):
        raise ValueError(f"{len(pmf)} probabilities for {len(actions)} actions, of which {values['chosen']} was drawn")
    request = RankingRequest(
        values["event_id"],
        actions,
        _context.decode(values["context"]),
        _excluded.decode(values["excluded"]),
        bool(values["deferred"]),
    )
    ranking = Ranking(
        request,
        values["campaign"],
        Group(values['"group"']),
        pmf,
        values["chosen"],
        values["policy"],
        values["snapshot"],
        values["fallback"],
        values["estimate"],
        _rules.decode(values["rules"]),
        datetime.fromisoformat(values["decided_at"]),
    )
    return KeptRanking(values["seq"], ranking, values["propensity"], *(values[name] for name in BECAME))


def _text(value: object) -> str:
    return _encode(value).decode()
