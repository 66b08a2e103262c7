"""The HTTP application: a factory, no module-level state."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta

from fastapi import APIRouter, FastAPI
from starlette.concurrency import run_in_threadpool
from starlette.types import ASGIApp, Receive, Scope, Send

from service.documented_access import document_access
from service.door import Door
from service.door_rules import DoorRules
from service.hot_route import HotRoute, is_hot
from service.measured import Measured
from service.personalizer.routes import personalizer_router
from service.problem import install
from service.routes.batches import batches_router
from service.routes.campaigns import campaigns_router
from service.routes.customers import customers_router
from service.routes.decisions import decisions_router
from service.routes.events import events_router
from service.routes.health import health_router
from service.routes.metrics import metrics_router
from service.routes.outcomes import outcomes_router
from service.routes.unsubscribe import unsubscribe_router
from service.routes.webhooks import webhooks_router
from service.serving import Serving

VERSION = "0.1.0"
ROUTERS: tuple[Callable[[Serving], APIRouter], ...] = (
    batches_router,
    decisions_router,
    outcomes_router,
    campaigns_router,
    events_router,
    customers_router,
    health_router,
    metrics_router,
    personalizer_router,
    webhooks_router,
    unsubscribe_router,
)
"""One a resource, in the order in which paths are matched."""


class Service(FastAPI):
    """FastAPI with a shorter way for the one hot request.

    What Starlette and FastAPI put around our own layers adds nothing to it: the outermost of ours measures it, and the door
    answers whatever goes wrong behind it.

    Attributes:
        hot: the outermost of our layers, once Starlette has put them together.
    """

    hot: ASGIApp | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if self.hot is not None and is_hot(scope):
            await self.hot(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)


def create_app(serving: Serving, *, train_every: timedelta | None = None, rules: DoorRules | None = None) -> FastAPI:
    """The service over one campaign's log.

    Args:
        serving: store, log and engine; the caller closes the store.
        train_every: pause between the trainer's steps; None for no trainer in this process.
        rules: what the door asks for; usually keys as soon as there is one.
    """

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        # Nobody is told that the service is ready before.
        await run_in_threadpool(serving.prepare)
        if train_every is not None:
            serving.train_every(train_every)
        yield
        serving.stop()

    def measured(behind: ASGIApp) -> ASGIApp:
        app.hot = Measured(behind, serving)
        return app.hot

    app = Service(
        title="Manyarm",
        version=VERSION,
        summary=f"Decisions of campaign {serving.log.campaign.id}, with the probability of each",
        lifespan=lifespan,
        docs_url="/docs" if serving.settings.is_on("docs_page") else None,
        redoc_url=None,
    )
    install(app)
    app.add_middleware(HotRoute, serving=serving)
    app.add_middleware(Door, serving=serving, rules=rules or DoorRules())
    app.add_middleware(measured)  # the last one is the outermost: refusals count too
    for router in ROUTERS:
        app.include_router(router(serving))
    document_access(app)
    return app
