"""POST rank, events/{eventId}/reward and events/{eventId}/activate, under /personalizer/v1.0."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import APIRouter, Request, Response

from bandit.errors import BrokenSnapshot
from bandit.ranking import Ranking
from bandit.ranking_request import RankingRequest, check_event_id
from bandit.ranking_rules import check_reward
from service.personalizer.errors import JSON, PersonalizerRoute
from service.personalizer.schemas import (
    ErrorBody,
    RankAnswer,
    RankAnswerBody,
    RankBody,
    RankRead,
    RewardBody,
    RewardRead,
)
from service.rankings.table import activate, find_ranking, record_reward, require_same, store_ranking
from service.schemas import documented, read
from service.serving import Serving

PREFIX = "/personalizer/v1.0"
_rank = msgspec.json.Decoder(RankRead)
_reward = msgspec.json.Decoder(RewardRead)
Handler = Callable[[str, Request], Awaitable[Response]]


def personalizer_router(serving: Serving) -> APIRouter:
    """The three calls."""
    router = APIRouter(prefix=PREFIX, tags=["personalizer"], route_class=PersonalizerRoute)
    router.add_api_route(
        "/rank",
        _ranking(serving),
        methods=["POST"],
        status_code=HTTPStatus.CREATED,
        summary="Draw one of the actions in the body",
        response_model=RankAnswerBody,
        openapi_extra=documented(RankBody),
        responses=_errors(400, 409, 503),
    )
    events: tuple[tuple[str, Handler, str, dict[str, Any] | None], ...] = (
        ("/reward", _rewarding(serving), "Say what an event earned", documented(RewardBody)),
        ("/activate", _activating(serving), "Say that a deferred event is shown, so that it counts", None),
    )
    for path, handler, summary, extra in events:
        router.add_api_route(
            "/events/{event_id:path}" + path,
            handler,
            methods=["POST"],
            status_code=HTTPStatus.NO_CONTENT,
            summary=summary,
            openapi_extra=extra,
            responses=_errors(400, 404, 503),
        )
    return router


def _ranking(serving: Serving) -> Callable[[Request], Awaitable[Response]]:
    async def rank(request: Request) -> Response:
        body = read(_rank, await request.body())
        asked = body.request(serving.new_id() if body.event_id is None else body.event_id)
        ranking = await _once(serving, asked)
        return Response(msgspec.json.encode(RankAnswer.of(ranking)), status_code=HTTPStatus.CREATED, media_type=JSON)

    return rank


async def _once(serving: Serving, asked: RankingRequest) -> Ranking:
    """The stored ranking of this event, made now if there is none; it is on disk when this returns."""
    campaign = serving.log.campaign.id
    found = find_ranking(serving.store.reader(), asked.event_id)
    if found is not None:
        return require_same(found, asked, campaign)
    try:
        return await _stored(serving, asked, campaign)
    except BrokenSnapshot:
        # Another process trained, and deleted what still served here before any ranking named it.
        serving.rankings.refresh()
        return await _stored(serving, asked, campaign)


async def _stored(serving: Serving, asked: RankingRequest, campaign: str) -> Ranking:
    ranking = serving.rankings.engine.rank(asked, at=serving.clock())
    faster = await serving.store.writer.submit(
        lambda connection: store_ranking(connection, ranking), asyncio.get_running_loop()
    )
    return ranking if faster is None else require_same(faster, asked, campaign)


def _rewarding(serving: Serving) -> Handler:
    async def reward(event_id: str, request: Request) -> Response:
        check_event_id(event_id)
        value = read(_reward, await request.body()).value
        check_reward(value)
        now = serving.clock()
        return await _written(serving, lambda connection: record_reward(connection, event_id, value, now))

    return reward


def _activating(serving: Serving) -> Handler:
    async def activated(event_id: str, request: Request) -> Response:
        del request
        check_event_id(event_id)
        now = serving.clock()
        return await _written(serving, lambda connection: activate(connection, event_id, now))

    return activated


async def _written(serving: Serving, operation: Callable[[sqlite3.Connection], bool]) -> Response:
    """Answer when it is on disk. What comes too late is kept, or without effect, and is no error: it was none there."""
    await serving.store.writer.submit(operation, asyncio.get_running_loop())
    return Response(status_code=HTTPStatus.NO_CONTENT)


def _errors(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the errors a call can answer with."""
    return {status: {"model": ErrorBody} for status in statuses}
