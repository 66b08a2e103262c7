"""POST /v1/customers/{id}/events: what a customer did, as it happens."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool

from bandit.engine import check_ids
from bandit.errors import UnusableEvents
from service.customer_events import require_profile
from service.routes.decisions import JSON, PREFIX
from service.schemas import LONGEST_ID, documented, problems, read
from service.serving import Serving
from service.table import time_of

if TYPE_CHECKING:
    from service.live_profile import LiveProfile, ReportedEvent

MOST = 1000
"""Events of one request."""


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
    """How many were counted."""

    accepted: int
    duplicate: int = Field(description="Events that were reported before, by their ids.")


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

        def operation(connection: sqlite3.Connection) -> list[bool]:
            return profile.record(connection, customer_id, reported, now)

        news = await serving.store.writer.submit(operation, asyncio.get_running_loop())
        answer: dict[str, Any] = {"accepted": sum(news), "duplicate": len(news) - sum(news)}
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
        event_id, at = cells.pop("event_id"), time_of(cells.pop("at"), what="at") or now
        reported.append(ReportedEvent(event_id, Event(customer_id, at, **cells)))
    return serving.live_profile, reported
