"""The HTTP application: a factory, no module-level state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import APIRouter, FastAPI

from service.hot_route import HotRoute
from service.problem import install
from service.routes.decisions import decisions_router
from service.routes.health import health_router
from service.routes.outcomes import outcomes_router
from service.serving import Serving

VERSION = "0.1.0"
ROUTERS: tuple[Callable[[Serving], APIRouter], ...] = (decisions_router, outcomes_router, health_router)
"""One a resource, in the order in which paths are matched."""


def create_app(serving: Serving, *, train_every: timedelta | None = None) -> FastAPI:
    """The service over one campaign's log.

    Args:
        serving: store, log and engine; the caller closes the store.
        train_every: pause between the trainer's steps; None for no trainer in this process.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        if train_every is not None:
            serving.train_every(train_every)
        yield
        serving.stop()

    app = FastAPI(
        title="Manyarm",
        version=VERSION,
        summary=f"Decisions of campaign {serving.log.campaign.id}, with the probability of each",
        lifespan=lifespan,
    )
    install(app)
    app.add_middleware(HotRoute, serving=serving)
    for router in ROUTERS:
        app.include_router(router(serving))
    return app
