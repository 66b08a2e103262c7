"""/healthz: the process lives. /readyz: whether it should get requests, and how store, snapshot and trainer are."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Response
from pydantic import BaseModel

from service.readiness import Watch, step_age
from service.routes.decisions import JSON
from service.serving import Serving


class Health(BaseModel):
    """What /healthz answers."""

    status: str


class ReadyAnswer(BaseModel):
    """What /readyz answers; `reasons` are why it is not ready, `warnings` do not make it so."""

    status: str
    reasons: list[str]
    warnings: list[str]
    campaign: str
    campaign_hash: str
    store: str
    snapshot: str | None
    deciding: str
    trainer: str
    trainer_step_age_seconds: float | None


def health_router(serving: Serving) -> APIRouter:
    """Routes for whoever watches the service."""
    router = APIRouter(tags=["health"])
    router.add_api_route("/healthz", _alive, methods=["GET"], summary="The process lives", response_model=Health)
    router.add_api_route(
        "/readyz",
        _ready(serving),
        methods=["GET"],
        summary="Whether to send requests here: store, disk, snapshot, trainer",
        response_model=ReadyAnswer,
        responses={503: {"model": ReadyAnswer, "description": "Not ready; `reasons` says why"}},
    )
    return router


async def _alive() -> dict[str, str]:
    return {"status": "ok"}


def _ready(serving: Serving) -> Callable[[], Awaitable[Response]]:
    watch = Watch(serving)

    async def ready() -> Response:
        found = await watch.look()
        body = {
            "status": "not ready" if found.reasons else "ready",
            "reasons": found.reasons,
            "warnings": found.warnings,
            "campaign": serving.log.campaign.id,
            "campaign_hash": serving.log.campaign.content_hash,
            "store": found.store,
            "snapshot": serving.snapshot,
            "deciding": "learner" if serving.snapshot else f"random: {serving.engine.unserved}",
            "trainer": serving.last_error or "ok",
            "trainer_step_age_seconds": step_age(serving),
        }
        status = HTTPStatus.SERVICE_UNAVAILABLE if found.reasons else HTTPStatus.OK
        return Response(msgspec.json.encode(body), status_code=status.value, media_type=JSON)

    return ready
