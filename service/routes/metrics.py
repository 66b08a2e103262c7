"""GET /metrics: what Prometheus scrapes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import APIRouter, Request, Response
from prometheus_client.exposition import CONTENT_TYPE_LATEST, choose_encoder

from service.collector import registry_of
from service.serving import Serving

DOCUMENTED: dict[int | str, dict[str, Any]] = {
    200: {"content": {CONTENT_TYPE_LATEST: {"schema": {"type": "string"}}}, "description": "The metrics"}
}


def metrics_router(serving: Serving) -> APIRouter:
    """The route for whoever measures the service; docs/operations.md lists every metric."""
    router = APIRouter(tags=["health"])
    router.add_api_route(
        "/metrics",
        _metrics(serving),
        methods=["GET"],
        summary="Metrics in the text format of Prometheus, or in OpenMetrics where that is accepted",
        response_class=Response,
        responses=DOCUMENTED,
    )
    return router


def _metrics(serving: Serving) -> Callable[[Request], Response]:
    registry = registry_of(serving)

    def metrics(request: Request) -> Response:
        encode, content_type = choose_encoder(request.headers.get("accept", ""))
        return Response(encode(registry), headers={"content-type": content_type})

    return metrics
