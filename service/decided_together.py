"""Many requests decided together: each gets the answer that it would have got alone, and a bad one spoils no other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

import msgspec

from bandit.context import Context, EncodedContext
from bandit.decide_many import decide_many
from bandit.decision import Decision
from bandit.decisions import Requests
from bandit.engine import check_ids
from bandit.errors import ConflictingDecision, EngineError, InvalidVariables
from bandit.exclusion import excluded_in
from bandit.log import LoggedDecision
from bandit.product_candidates import check_candidates
from bandit.wear_out import PastSend
from service.consent import Consent, Ruling
from service.deciding import Request, deferral, stored_decision
from service.decisions_table import Row
from service.past_sends import PastSends
from service.product_table import KeptCandidates
from service.profiled import profiled_now
from service.schemas import DecisionRequest, read
from service.serving import Serving
from service.wording import NOTHING_GIVEN, Filling

AT_ONCE = 500
"""Requests that are decided and committed together."""

Outcome = Decision | LoggedDecision | EngineError | msgspec.DecodeError
"""What became of a request: a decision, or why there is none."""
_decoder = msgspec.json.Decoder(DecisionRequest)


@dataclass(slots=True)
class Asked:
    """One of the requests.

    Attributes:
        request: what is asked; None if that cannot be read.
        is_new: whether its id is one of our own, which nobody has used.
        explain: whether the answer is to say why.
        outcome: what became of it, once that is known.
        filling: what is filled into the texts of its answer.
    """

    request: Request | None
    is_new: bool = False
    explain: bool = False
    outcome: Outcome | None = None
    filling: Filling = NOTHING_GIVEN


class _Ready:
    """A request that can be decided: checked, encoded, and with what the customer got before."""

    __slots__ = ("asked", "at", "candidates", "context", "encoded", "past", "request", "seen")

    def __init__(self, asked: Asked, request: Request, serving: Serving, at: datetime) -> None:
        check_ids(request.customer_id, request.decision_id)
        campaign = serving.log.campaign
        self.context = profiled_now(serving, request.customer_id, request.context, at)
        self.encoded: EncodedContext = campaign.schema.encode(campaign.completed(self.context, at))
        excluded_in(serving.log.campaign.dimensions, request.exclude)
        check_candidates(serving.log.campaign.dimensions, request.candidates)
        self.asked, self.request, self.at = asked, request, at
        self.past: list[PastSend] | None
        self.candidates = KeptCandidates(serving.store, serving.log).of(request.customer_id, request.candidates)
        self.past, self.seen = PastSends(serving.store, serving.log).to(request.customer_id, at)


def asked_in(bodies: Sequence[bytes | msgspec.Raw], serving: Serving) -> list[Asked]:
    """Request bodies, read one by one."""
    found = []
    for body in bodies:
        try:
            one = read(_decoder, bytes(body))
            filling = serving.wording.filling(one.variables, is_whole=one.render)
        except (msgspec.DecodeError, InvalidVariables) as error:
            found.append(Asked(None, outcome=error))
            continue
        is_new = one.decision_id is None
        decision_id = serving.new_id() if one.decision_id is None else one.decision_id
        request = Request(one.customer_id, Context(one.context), decision_id, one.exclude, one.deferred, one.candidates)
        found.append(Asked(request, is_new, one.explain, filling=filling))
    return found


def decide_together(asked: Sequence[Asked], serving: Serving) -> None:
    """Give each request its outcome; it returns when all of them are on disk.

    Args:
        asked: in order. One that comes twice is decided once, and so is a customer whose earlier sends matter: the second
            time waits for the first one's commit.
        serving: decides; all from the snapshot that serves now.
    """
    for wave in _waves(_to_decide(asked, serving), serving):
        ready = list(_ready(wave, serving))
        decided = [(one, decision) for one, decision in zip(ready, _decisions(ready, serving), strict=True) if decision]
        rows = [_row(one, decision, serving) for one, decision in decided]
        for (one, decision), error in zip(decided, _stored(rows, serving), strict=True):
            one.asked.outcome = decision if error is None else _instead(one, error, serving)


def _to_decide(asked: Sequence[Asked], serving: Serving) -> list[Asked]:
    """Those that are to be decided; who opted out or did not consent gets their outcome here."""
    consent, at = Consent(serving.store, serving.log), serving.clock()
    serving.renew_keys(at)
    rulings: list[Ruling] = []
    for one in asked:
        try:
            ruling = None if one.request is None else consent.ruling(one.request, at)
        except EngineError as error:
            one.outcome = error
            continue
        if ruling:
            rulings.append(ruling)
            one.outcome, one.explain = ruling.outcome, False
    if rulings:
        serving.store.write(partial(consent.count, rulings=rulings, at=at))
    return [one for one in asked if one.outcome is None]


def _waves(asked: Sequence[Asked], serving: Serving) -> list[list[Asked]]:
    """Requests that cannot touch each other, wave after wave."""
    asks_past = serving.log.campaign.looks_back is not None
    waves: list[list[Asked]] = []
    last: dict[tuple[str, str], int] = {}
    for one in asked:
        if one.request is None:
            continue
        keys = [("decision", one.request.decision_id), *([("customer", one.request.customer_id)] * asks_past)]
        place = max(last.get(key, -1) for key in keys) + 1
        last |= dict.fromkeys(keys, place)
        if place == len(waves):
            waves.append([])
        waves[place].append(one)
    return waves


def _ready(wave: Sequence[Asked], serving: Serving) -> Iterator[_Ready]:
    """Those that are to be decided; the others get their outcome here."""
    for asked in wave:
        request = asked.request
        if request is None:
            continue
        try:
            if not asked.is_new:
                asked.outcome = stored_decision(serving.store, serving.log, request)
            if asked.outcome is None:
                yield _Ready(asked, request, serving, serving.clock())
        except EngineError as error:
            asked.outcome = error


def _decisions(ready: Sequence[_Ready], serving: Serving) -> list[Decision | None]:
    """The decision of each; None where there is none, and its outcome says why."""
    requests = Requests(
        [one.request.customer_id for one in ready],
        [one.encoded for one in ready],
        [one.request.decision_id for one in ready],
        [one.at for one in ready],
        None if serving.log.campaign.looks_back is None else [one.past or [] for one in ready],
        [one.request.exclude for one in ready],
        [one.candidates for one in ready],
    )
    engine = serving.engine
    try:
        found = decide_many(engine, requests)
    except EngineError:
        # Rules leave somebody nothing: one by one only they go without.
        return [_alone(one, serving) for one in ready]
    return [found.decision(row) for row in range(len(found))]


def _alone(one: _Ready, serving: Serving) -> Decision | None:
    request = one.request
    try:
        return serving.engine.decide(
            request.customer_id,
            one.context,
            decision_id=request.decision_id,
            at=one.at,
            past=one.past,
            exclude=request.exclude,
            candidates=one.candidates,
        )
    except EngineError as error:
        one.asked.outcome = error
        return None


def _row(one: _Ready, decision: Decision, serving: Serving) -> Row:
    waits = deferral(one.request, serving.settings)
    return serving.store.row_of(decision, serving.log, seen=one.seen, deferred_for=waits)


def _stored(rows: Sequence[Row], serving: Serving) -> Sequence[EngineError | None]:
    """What was wrong with each row; they go to disk in one commit."""
    try:
        return serving.store.add_each(rows) if rows else []
    except EngineError as error:
        return [error] * len(rows)


def _instead(one: _Ready, error: EngineError, serving: Serving) -> Outcome:
    """Another request with this id was faster by less than a commit; the same request gets its answer."""
    if not isinstance(error, ConflictingDecision):
        return error
    try:
        return stored_decision(serving.store, serving.log, one.request) or error
    except ConflictingDecision as conflict:
        return conflict
