"""/v1/customers/{id}: show, erase and opt out one person."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from fastapi import APIRouter, Body, Response
from pydantic import BaseModel, ConfigDict, Field

from bandit.engine import check_ids
from service.customer_keys import read_customer_keys
from service.erasing import Order, erase_customer
from service.erasure import Reason
from service.opt_outs import OptOut, opt_in, opt_out
from service.person import person_document
from service.routes.decisions import JSON, PREFIX
from service.schemas import problems
from service.serving import Serving


class OptOutBody(BaseModel):
    """Whether a person may be mailed."""

    model_config = ConfigDict(extra="forbid")
    opted_out: bool = Field(default=True, description="false takes an earlier opt-out back.")
    reason: str = Field(default="asked", min_length=1, max_length=200, description="Where it came from, in a word.")


class OptOutAnswer(BaseModel):
    """What holds from now on."""

    opted_out: bool
    at: str | None = Field(description="Since when; null where the person may be mailed.")


class PersonAnswer(BaseModel):
    """All that is stored of a person."""

    customer_id: str
    opted_out: dict[str, str] | None = Field(description="When and by what; null where the person may be mailed.")
    product_candidates: list[dict[str, Any]] = Field(description="Products that may be offered, by campaign.")
    events: list[dict[str, Any]] = Field(description="What was reported of what they did, by time.")
    decisions: list[dict[str, Any]] = Field(
        description="In order: context, choice, what became of it, outcomes, and raw events of providers."
    )


class RemovedFromLog(BaseModel):
    """What was removed of one log."""

    log_id: int
    campaign: str
    decisions: int
    outcomes: int
    webhook_events: int


class ErasureReceipt(BaseModel):
    """What was erased and when; of whom it does not say."""

    erasure_id: str
    at: str
    reason: str
    before: str | None
    removed: list[RemovedFromLog]
    signature: str = Field(description="HMAC-SHA256 under a key of the store; `manyarm verify` checks it.")
    is_wiped: bool = Field(
        description="false: a reader kept the old bytes in the write-ahead log; they go with the next one."
    )


def customers_router(serving: Serving) -> APIRouter:
    """Routes for the rights of one person."""
    router = APIRouter(prefix=f"{PREFIX}/customers", tags=["customers"])
    routes = _Routes(serving)
    for path, handler, method, model, summary in (
        ("/{customer_id:path}/opt-out", routes.opt_out, "POST", OptOutAnswer, "Mail a person no more, or again"),
        ("/{customer_id:path}", routes.show, "GET", PersonAnswer, "All that is stored of a person"),
        (
            "/{customer_id:path}",
            routes.erase,
            "DELETE",
            ErasureReceipt,
            "Erase a person's decisions, contexts and outcomes",
        ),
    ):
        statuses = (400, 422, 503) if method == "POST" else (422, 503)
        router.add_api_route(
            path, handler, methods=[method], summary=summary, response_model=model, responses=problems(*statuses)
        )
    return router


@dataclass(frozen=True, slots=True)
class _Routes:
    """The handlers; not coroutines, for each may take as long as the log is."""

    serving: Serving

    @property
    def show(self) -> Callable[[str], Response]:
        def show(customer_id: str) -> Response:
            check_ids(customer_id, customer_id)
            return _json(person_document(self.serving.store, customer_id))

        return show

    @property
    def erase(self) -> Callable[[str], Response]:
        def erase(customer_id: str) -> Response:
            check_ids(customer_id, customer_id)
            serving = self.serving
            order = Order(serving.new_id(), serving.clock(), Reason.REQUEST)
            erasure = erase_customer(serving.store, customer_id, order)
            return _json(erasure.document() | {"is_wiped": serving.store.wipe()})

        return erase

    @property
    def opt_out(self) -> Callable[[str, OptOutBody], Response]:
        def change(customer_id: str, body: OptOutBody = Body(default_factory=OptOutBody)) -> Response:  # noqa: B008
            check_ids(customer_id, customer_id)
            store, now = self.serving.store, self.serving.clock()

            def operation(connection: sqlite3.Connection) -> OptOut | None:
                if body.opted_out:
                    return opt_out(connection, customer_id, read_customer_keys(connection), now, body.reason)
                opt_in(connection, customer_id, read_customer_keys(connection))
                return None

            found = store.write(operation)
            return _json({"opted_out": found is not None, "at": found and found.at})

        return change


def _json(document: object) -> Response:
    return Response(msgspec.json.encode(document), media_type=JSON)
