"""POST /v1/customers/{id}/events: what a customer did, as it happens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable, Collection, Sequence
from datetime import datetime
from typing import TYPE_CHECKING

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from bandit.engine import check_ids
from bandit.errors import UnusableEvents
from service.customer_events import Reported, require_profile
from service.routes.decisions import JSON, PREFIX
from service.schemas import LONGEST_ID, documented, problems, read
from service.serving import Serving
from service.table import time_of

if TYPE_CHECKING:
    from service.live_profile import LiveProfile, ReportedEvent

MOST = 1000
"""Events of one request."""
MOST_NAMED = 30


class EventRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """One event of the body."""

    event_id: str
    type: str
    at: datetime | None = None
    value: float | None = None
    channel: str | None = None
    device: str | None = None
    content: str | None = None
    zone: str | None = None
    discount: float | None = None


class EventsRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of POST /v1/customers/{id}/events."""

    events: list[EventRequest]


class EventBody(BaseModel):
    """Something a customer did."""

    model_config = ConfigDict(extra="forbid")
    event_id: str = Field(min_length=1, max_length=LONGEST_ID, description="Its own id; a repetition is harmless.")
    type: str = Field(min_length=1, max_length=LONGEST_ID, examples=["purchase"], description="As in [profile.events].")
    at: datetime | None = Field(default=None, description="When, with a zone; now where you give none.")
    value: float | None = Field(default=None, description="Money of a purchase, minutes of a session.")
    channel: str | None = None
    device: str | None = None
    content: str | None = None
    zone: str | None = Field(default=None, examples=["Europe/Madrid"], description="Where the customer was.")
    discount: float | None = Field(default=None, ge=0, le=1, description="Share of the price that was taken off.")


class EventsBody(BaseModel):
    """Some events of one customer, in any order."""

    model_config = ConfigDict(extra="forbid")
    events: list[EventBody] = Field(min_length=1, max_length=MOST)


class EventsAnswer(BaseModel):
    """What became of the events."""

    accepted: int = Field(description="Events that were new; they count.")
    duplicate: int = Field(description="Events that were reported before, by their ids, and said the same.")
    conflict: int = Field(description="Events whose id was reported before with other contents, which stay.")
    unknown_type: int = Field(description="Events of a type that [profile.events] does not name; they are kept.")
    notes: list[str] = Field(default=[], description="What to do, where there were conflicts or unknown types.")


_decoder = msgspec.json.Decoder(EventsRequest)


def events_router(serving: Serving) -> APIRouter:
    """The route of the live stream."""
    router = APIRouter(prefix=f"{PREFIX}/customers", tags=["customers"])
    router.add_api_route(
        "/{customer_id:path}/events",
        _record(serving),
        methods=["POST"],
        summary="Report what a customer did; the next decision for them knows it",
        response_model=EventsAnswer,
        openapi_extra=documented(EventsBody),
        responses=problems(400, 422, 503),
    )
    return router


def _record(serving: Serving) -> Callable[[str, Request], Awaitable[Response]]:
    async def record(customer_id: str, request: Request) -> Response:
        check_ids(customer_id, customer_id)
        body = read(_decoder, await request.body())
        if not 0 < len(body.events) <= MOST:
            raise UnusableEvents(
                f"the body holds {len(body.events)} events, need 1 to {MOST}. Send them in several requests."
            )
        require_profile(serving.log.campaign)
        now = serving.clock()
        profile, reported = await run_in_threadpool(_prepared, serving, customer_id, body, now)

        def operation(connection: sqlite3.Connection) -> list[Reported]:
            return profile.record(connection, customer_id, reported, now)

        became = await serving.store.writer.submit(operation, asyncio.get_running_loop())
        answer = _answer(reported, became, profile.known_types)
        return Response(msgspec.json.encode(answer), media_type=JSON)

    return record


def _prepared(
    serving: Serving, customer_id: str, body: EventsRequest, now: datetime
) -> tuple[LiveProfile, list[ReportedEvent]]:
    """Checked events; in a worker thread, since what makes features of events takes a second to load the first time."""
    from bandit.profile.events import Event  # noqa: PLC0415 - see above
    from service.live_profile import ReportedEvent  # noqa: PLC0415

    reported = []
    for one in body.events:
        if not 0 < len(one.event_id) <= LONGEST_ID:
            raise UnusableEvents(
                f"an event_id has {len(one.event_id)} characters, need 1 to {LONGEST_ID}: a repeated report is known by it."
            )
        cells = msgspec.structs.asdict(one)
        event_id, at = cells.pop("event_id"), time_of(cells.pop("at"), what="at")
        reported.append(ReportedEvent(event_id, Event(customer_id, at or now, **cells), timed=at is not None))
    return serving.live_profile, reported


def _answer(
    reported: Sequence[ReportedEvent], became: Sequence[Reported], known: Collection[str]
) -> dict[str, int | list[str]]:
    """How many of what, and what to do about those that are not as they should be."""
    conflicts = [one.event_id for one, what in zip(reported, became, strict=True) if what is Reported.CONFLICT]
    unknown = [one.event.type for one in reported if one.event.type not in known]
    notes = []
    if conflicts:
        notes.append(
            f"reported before with other contents, which stay: {_named(conflicts)}. An event_id is of one event: give a "
            "correction an id of its own."
        )
    if unknown:
        notes.append(
            f"of a type without a meaning: {_named(unknown)}. Such events are kept and count as activity, for nothing else. "
            f"Known are {_named(sorted(known))}; correct the type, or name it under [profile.events]."
        )
    n = {word.value: sum(one is word for one in became) for word in Reported}
    return {**n, "unknown_type": len(unknown), **({"notes": notes} if notes else {})}


def _named(texts: Sequence[str]) -> str:
    different = [text[:80] for text in dict.fromkeys(texts)]
    more = f" and {len(different) - MOST_NAMED} more" if len(different) > MOST_NAMED else ""
    return ", ".join(different[:MOST_NAMED]) + more
