"""/healthz: the process lives. /readyz: it can decide and store, and with what."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from http import HTTPStatus

import msgspec
from fastapi import APIRouter, Response

from service.routes.decisions import JSON
from service.serving import Serving


def health_router(serving: Serving) -> APIRouter:
    """Routes for whoever watches the service."""
    router = APIRouter(tags=["health"])
    router.add_api_route("/healthz", _alive, methods=["GET"], summary="The process lives")
    router.add_api_route("/readyz", _ready(serving), methods=["GET"], summary="Store, snapshot and trainer")
    return router


async def _alive() -> dict[str, str]:
    return {"status": "ok"}


def _ready(serving: Serving) -> Callable[[], Response]:
    def ready() -> Response:
        store = _store_trouble(serving)
        served = serving.engine.served
        body = {
            "status": "ready" if store is None else "not ready",
            "campaign": serving.log.campaign.id,
            "campaign_hash": serving.log.campaign.content_hash,
            "store": store or "ok",
            "snapshot": served.snapshot if served else None,
            "deciding": "learner" if served else f"random: {serving.engine.unserved}",
            "trainer": serving.last_error or "ok",
        }
        status = HTTPStatus.OK if store is None else HTTPStatus.SERVICE_UNAVAILABLE
        return Response(msgspec.json.encode(body), status_code=status.value, media_type=JSON)

    return ready


def _store_trouble(serving: Serving) -> str | None:
    try:
        serving.store.reader().execute("SELECT seq FROM head").fetchone()
    except sqlite3.Error as error:
        return str(error)
    return None
