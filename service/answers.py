"""What a caller is answered about a decision: the short form of POST, and the receipt with everything behind it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bandit.decision import Decision
from bandit.draw import position_of
from bandit.exclusion import named
from bandit.log import LoggedDecision
from service.consent import NO_CONSENT
from service.deciding import choice_of, texts_of
from service.serving import Serving
from service.snapshots_table import checksum_of
from service.webhooks.unsubscribe import unsubscribe_key, unsubscribe_path

_encoder = msgspec.json.Encoder()


class Answer(msgspec.Struct, frozen=True):
    """What POST /v1/decisions answers; `service.schemas.DecisionAnswer` documents it."""

    decision_id: str
    campaign: str
    group: str
    choice: dict[str, str]
    texts: dict[str, str]
    propensity: float
    policy: str
    snapshot: str | None
    candidate: str | None
    fallback: str | None
    decided_at: datetime
    send_at: datetime | None


def answer_of(decision: Decision | LoggedDecision, serving: Serving) -> Answer:
    """A decision as POST answers it."""
    choice = choice_of(decision, serving.log)
    return Answer(
        decision.decision_id,
        decision.campaign,
        str(decision.group),
        choice,
        texts_of(choice, serving.log),
        decision.propensity,
        decision.policy,
        decision.snapshot,
        decision.candidate,
        decision.fallback,
        decision.decided_at,
        decision.send_at,
    )


def answered(decision: Decision | LoggedDecision, serving: Serving, *, explain: bool = False) -> bytes:
    """The answer as JSON; with the explanation, if it was asked for."""
    answer = answer_of(decision, serving)
    if not explain or decision.policy == NO_CONSENT:  # nothing was weighed for who did not consent
        return _encoder.encode(answer)
    return _encoder.encode(msgspec.structs.asdict(answer) | {"explanation": explanation_of(decision, serving)})


def explanation_of(decision: Decision | LoggedDecision, serving: Serving) -> dict[str, object]:
    """Why this was decided."""
    row = LoggedDecision.of(decision, 0) if isinstance(decision, Decision) else decision
    return serving.explainer.document(row, serving.engine.served)


def receipt_of(row: LoggedDecision, serving: Serving) -> dict[str, object]:
    """A stored decision with everything that went into it, but for the salt: who knows that can foretell every draw."""
    dimensions = serving.log.campaign.dimensions
    names = [dimension.name for dimension in dimensions]
    pmfs = {d.name: dict(zip(d.ids, pmf, strict=True)) for d, pmf in zip(dimensions, row.pmfs, strict=True)}
    positions = {name: position_of(row.campaign, row.decision_id, name, salt=serving.store.salt) for name in names}
    return {
        **msgspec.structs.asdict(answer_of(row, serving)),
        "seq": row.seq,
        "customer_key": row.customer_key,
        "campaign_hash": row.campaign_hash,
        "context": row.context,
        "exposures": _exposures(row, serving),
        "excluded": named(row.excluded, dimensions),
        "snapshot_sha256": row.snapshot and checksum_of(serving.store.reader(), row.snapshot),
        "propensities": dict(zip(names, row.propensities, strict=True)),
        "pmf": pmfs,
        "positions": positions,
        "estimate": row.estimate,
        "deferred": row.deferred,
        "state": row.state,
        "sent_at": row.sent_at,
        "reward": row.reward,
        "unsubscribe": unsubscribe_path(row.decision_id, unsubscribe_key(serving.store)),
    }


def _exposures(row: LoggedDecision, serving: Serving) -> dict[str, dict[str, dict[str, float]]]:
    """Recency and frequency of each arm the customer got lately, by dimension."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    for exposure in row.exposures:
        dimension = serving.log.campaign.dimensions[exposure.dimension]
        worn = {"recency": exposure.recency, "frequency": exposure.frequency}
        found.setdefault(dimension.name, {})[dimension.ids[exposure.arm]] = worn
    return found
