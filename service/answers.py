"""What a caller is answered about a decision: the short form of POST, and the receipt with everything behind it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from bandit.decision import Decision
from bandit.draw import position_of
from bandit.exclusion import named
from bandit.log import LoggedDecision
from service.consent import NO_CONSENT
from service.deciding import choice_of
from service.serving import Serving
from service.snapshots_table import checksum_of
from service.webhooks.unsubscribe import unsubscribe_key, unsubscribe_path
from service.wording import NOTHING_GIVEN, Filling, Spoken

_encoder = msgspec.json.Encoder()
SILENCE = Spoken(msgspec.Raw(b"{}"), msgspec.Raw(b'{"missing":[],"defaulted":[]}'))
"""What is said where nothing is sent."""


class Answer(msgspec.Struct, frozen=True):
    """What POST /v1/decisions answers; `service.schemas.DecisionAnswer` documents it."""

    decision_id: str
    campaign: str
    group: str
    choice: dict[str, str]
    texts: msgspec.Raw
    content: msgspec.Raw
    propensity: float
    policy: str
    snapshot: str | None
    candidate: str | None
    fallback: str | None
    decided_at: datetime
    send_at: datetime | None
    send: bool = True
    html: str | msgspec.UnsetType | None = msgspec.UNSET
    text: str | msgspec.UnsetType | None = msgspec.UNSET


def answer_of(decision: Decision | LoggedDecision, serving: Serving, filling: Filling | None = NOTHING_GIVEN) -> Answer:
    """A decision as POST answers it.

    Args:
        decision: the stored one.
        serving: has the campaign's wording.
        filling: what is filled into the texts; None leaves them as they stand in the campaign file.
    """
    choice = choice_of(decision, serving.log)
    spoken = _spoken(decision, choice, serving, filling)
    return Answer(
        decision.decision_id,
        decision.campaign,
        str(decision.group),
        choice,
        spoken.texts,
        spoken.content,
        decision.propensity,
        decision.policy,
        decision.snapshot,
        decision.candidate,
        decision.fallback,
        decision.decided_at,
        decision.send_at,
        not serving.log.campaign.sends_nothing(choice),
        spoken.html,
        spoken.text,
    )


def _spoken(
    decision: Decision | LoggedDecision, choice: dict[str, str], serving: Serving, filling: Filling | None
) -> Spoken:
    if serving.log.campaign.sends_nothing(choice):
        return SILENCE
    if filling is None:
        return serving.wording.unfilled(choice)
    # What nobody stored has no link: nothing would be found behind it.
    is_stored = filling.is_whole and decision.policy != NO_CONSENT
    path = unsubscribe_path(decision.decision_id, unsubscribe_key(serving.store)) if is_stored else None
    return serving.wording.spoken(choice, decision.context, filling, decision.decision_id, path)


def answered(
    decision: Decision | LoggedDecision,
    serving: Serving,
    *,
    explain: bool = False,
    filling: Filling = NOTHING_GIVEN,
) -> bytes:
    """The answer as JSON, filled in for one customer; with the explanation, if it was asked for."""
    answer = answer_of(decision, serving, filling)
    if not explain or decision.policy == NO_CONSENT:  # nothing was weighed for who did not consent
        return _encoder.encode(answer)
    return _encoder.encode(_fields(answer) | {"explanation": explanation_of(decision, serving)})


def _fields(answer: Answer) -> dict[str, object]:
    """What stands in an answer."""
    return {name: value for name, value in msgspec.structs.asdict(answer).items() if value is not msgspec.UNSET}


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
        **_fields(answer_of(row, serving, None)),
        "seq": row.seq,
        "customer_key": row.customer_key,
        "campaign_hash": row.campaign_hash,
        "context": row.context,
        "exposures": _exposures(row, serving),
        "recent_sends": row.recent_sends,
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
