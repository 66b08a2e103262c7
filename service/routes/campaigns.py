"""/v1/campaigns/{id}: its snapshots, which of them serves, and the report of what it earned."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import asdict
from functools import partial
from typing import Annotated, Any

import anyio.to_thread
import msgspec
from anyio import CapacityLimiter
from fastapi import APIRouter, Query, Response

from bandit.errors import UnknownCampaign
from bandit.reward import REWARD
from service.routes.decisions import JSON, PREFIX
from service.schemas import problems
from service.serving import Serving
from service.snapshot_schemas import Promoted, ReportAnswer, SnapshotAction, SnapshotBody
from service.snapshots_table import list_snapshots


def campaigns_router(serving: Serving) -> APIRouter:
    """Routes for whoever looks after a campaign."""
    router = APIRouter(prefix=f"{PREFIX}/campaigns/{{campaign}}", tags=["campaigns"])
    router.add_api_route(
        "/snapshots",
        _list(serving),
        methods=["GET"],
        summary="All snapshots, oldest first, and which of them serves",
        response_model=list[SnapshotBody],
        responses=problems(404),
    )
    router.add_api_route(
        "/snapshots",
        _act(serving),
        methods=["POST"],
        summary="Promote a snapshot past the gate or by hand, or go back to the one that served before",
        response_model=Promoted,
        responses=problems(404, 422, 503),
    )
    router.add_api_route(
        "/report",
        _report(serving),
        methods=["GET"],
        summary="What each group and arm earned, with intervals that hold at every look: `manyarm compare --db` as JSON",
        response_model=ReportAnswer,
        responses=problems(404, 422),
    )
    return router


def _list(serving: Serving) -> Callable[[str], list[dict[str, object]]]:
    def list_(campaign: str) -> list[dict[str, object]]:
        _require(campaign, serving)
        return [asdict(found) for found in list_snapshots(serving.store.reader(), serving.log.log_id)]

    return list_


def _act(serving: Serving) -> Callable[[str, SnapshotAction], Promoted]:
    def act(campaign: str, action: SnapshotAction) -> Promoted:
        _require(campaign, serving)
        # What judges snapshots and compares groups loads statsmodels: a service is ready a second sooner without.
        from service.campaign_answers import act_on  # noqa: PLC0415

        found = act_on(serving, action)
        serving.take_up()
        if not found.passed:
            serving.tallies.add("gate_refusals")
        return Promoted(serving=found.serving, passed=found.passed, reasons=list(found.reasons))

    return act


def _report(serving: Serving) -> Callable[..., Awaitable[Response]]:
    # One at a time: each reads the whole log, and others wait without holding a thread.
    limiter: list[CapacityLimiter] = []

    async def report(
        campaign: str,
        by: Annotated[str, Query(description="A context name: groups and arms in each of its values.")] = "",
        metric: Annotated[str, Query(description="`reward`, or a type of outcome.")] = REWARD,
        planned: Annotated[int | None, Query(ge=1, description="Sends after which the classical test is read.")] = None,
        margin: Annotated[float | None, Query(description="Difference in a send's reward that is none.")] = None,
    ) -> Response:
        _require(campaign, serving)
        if not limiter:
            limiter.append(CapacityLimiter(1))
        asked = partial(_document, serving, metric, by=by, planned=planned, margin=margin)
        document = await anyio.to_thread.run_sync(asked, limiter=limiter[0])
        return Response(msgspec.json.encode(document), media_type=JSON)

    return report


def _document(serving: Serving, metric: str, *, by: str, planned: int | None, margin: float | None) -> dict[str, Any]:
    from service.campaign_answers import report_of  # noqa: PLC0415 - see above; and here a worker thread loads it

    return report_of(serving, metric, by=by, planned=planned, margin=margin)


def _require(campaign: str, serving: Serving) -> None:
    """Refuse a campaign that this service does not serve.

    Raises:
        UnknownCampaign: naming the one that it does.
    """
    if campaign != serving.log.campaign.id:
        raise UnknownCampaign(
            f"this service has no campaign {campaign[:80]!r}; it decides for {serving.log.campaign.id!r}. Ask for that, or ask "
            "the service of the other one."
        )
