"""POST /v1/webhooks/{provider}: events of mail providers, checked, kept, and read afterwards."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from datetime import timedelta
from functools import partial

from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, Field

from service.routes.decisions import JSON
from service.schemas import problems
from service.serving import Serving
from service.webhooks.event import Delivery
from service.webhooks.events_table import append_events
from service.webhooks.provider import Door
from service.webhooks.refusal import NoSuchWebhook
from service.webhooks.registry import PROVIDERS

logger = logging.getLogger("manyarm")
NO_TOLERANCE = timedelta(0)


class Kept(BaseModel):
    """What became of a delivery."""

    stored: int = Field(description="Events that are new.")
    duplicates: int = Field(description="Events that were there already.")
    notice: str = Field(description="What somebody has to do by hand, such as a link to open; empty for nothing.")


_BODY = {"required": True, "content": {JSON: {"schema": {"type": ["object", "array"]}}}}
"""Whatever the provider documents; SNS calls its JSON text/plain."""


def webhooks_router(serving: Serving) -> APIRouter:
    """The route that providers call.

    Raises:
        InvalidSettings: for a key or certificate that cannot be one.
    """
    router = APIRouter(prefix="/v1/webhooks", tags=["webhooks"])
    router.add_api_route(
        "/{provider}",
        _take(serving, _doors(serving)),
        methods=["POST"],
        summary="Events of a mail provider, signed by it",
        response_model=Kept,
        openapi_extra={"requestBody": _BODY},
        responses=problems(400, 401, 404, 503),
    )
    return router


def _doors(serving: Serving) -> dict[str, Door]:
    """Doors of the providers whose settings are there."""
    settings = serving.settings
    return {name: one.door(settings) for name, one in PROVIDERS.items() if not one.missing(settings)}


def _take(serving: Serving, doors: dict[str, Door]) -> Callable[[str, Request], Awaitable[Response]]:
    async def webhook(provider: str, request: Request) -> Response:
        if provider not in doors:
            raise _no_such(provider, serving)
        tolerance = serving.settings.pause("webhook_tolerance") or NO_TOLERANCE
        headers = {name.lower(): value for name, value in request.headers.items()}
        delivery = Delivery(headers, await request.body(), serving.clock(), tolerance)
        kept = await _kept(serving, provider, doors[provider], delivery)
        return Response(kept.model_dump_json(), media_type=JSON)

    return webhook


async def _kept(serving: Serving, name: str, door: Door, delivery: Delivery) -> Kept:
    """Answered when it is on disk; nothing is stored before the door has let it in."""
    provider = PROVIDERS[name]
    door(delivery)
    events = provider.split(delivery)
    operation = partial(append_events, provider=name, events=events, received_at=delivery.at)
    appended = await serving.store.writer.submit(operation, asyncio.get_running_loop())
    serving.digester.wake()
    notice = " ".join(filter(None, (provider.notice(event.body) for event in events)))
    if notice:
        logger.warning("webhook %s: %s", name, notice)
    return Kept(stored=appended.n_new, duplicates=appended.n_duplicate, notice=notice)


def _no_such(provider: str, serving: Serving) -> NoSuchWebhook:
    if provider not in PROVIDERS:
        return NoSuchWebhook(f"no provider {provider[:60]!r}; known are {', '.join(PROVIDERS)}. Nothing was stored.")
    missing = ", ".join(PROVIDERS[provider].missing(serving.settings))
    return NoSuchWebhook(
        f"webhooks of {provider} are not set up: give {missing}, so that its signature can be checked. Nothing was stored."
    )
