"""What comes in and goes out over HTTP: msgspec on the hot routes, pydantic models of the same shape for the docs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

LONGEST_ID = 1000
Body = TypeVar("Body")


class DecisionRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of POST /v1/decisions."""

    customer_id: str
    context: dict[str, str | float | bool | None] = {}
    decision_id: str | None = None


class OutcomeRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of POST /v1/decisions/{id}/outcomes."""

    event_id: str
    type: str
    at: datetime | None = None


class SentRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of POST /v1/decisions/{id}/sent."""

    sent: bool = True
    at: datetime | None = None


class DecisionBody(BaseModel):
    """Who is decided for, and what is known about them."""

    model_config = ConfigDict(extra="forbid")
    customer_id: str = Field(min_length=1, max_length=LONGEST_ID, examples=["ann@example.org"])
    context: dict[str, Any] = Field(default_factory=dict, examples=[{"engagement_level": "power_user"}])
    decision_id: str | None = Field(
        default=None, max_length=LONGEST_ID, description="Yours, for safe retries; ours where you give none."
    )


class OutcomeBody(BaseModel):
    """Something that happened after the decision."""

    model_config = ConfigDict(extra="forbid")
    event_id: str = Field(min_length=1, max_length=LONGEST_ID, description="Its own id; a repetition is harmless.")
    type: str = Field(examples=["click"], description="One of the campaign's [reward].events.")
    at: datetime | None = Field(default=None, description="When, with a zone; now where you give none.")


class SentBody(BaseModel):
    """Whether and when the message went out."""

    model_config = ConfigDict(extra="forbid")
    sent: bool = Field(default=True, description="false makes the decision void.")
    at: datetime | None = Field(default=None, description="When, with a zone; now where you give none.")


class DecisionAnswer(BaseModel):
    """The stored decision."""

    decision_id: str
    campaign: str
    group: str
    choice: dict[str, str]
    texts: dict[str, str]
    propensity: float
    policy: str
    snapshot: str | None
    candidate: str | None = Field(description="Which of the learner's candidates served; null where nobody competes.")
    fallback: str | None
    decided_at: datetime
    send_at: datetime | None


class DecisionReceipt(DecisionAnswer):
    """The stored decision with everything that went into it, and what became of it."""

    customer_key: str
    campaign_hash: str
    context: dict[str, Any]
    propensities: dict[str, float]
    pmf: dict[str, dict[str, float]]
    exposures: dict[str, dict[str, dict[str, float]]] = Field(
        description="Days since the customer last got an arm (recency) and times within the window (frequency), as used."
    )
    estimate: float | None
    state: str
    sent_at: datetime | None
    reward: float | None


class Recorded(BaseModel):
    """What became of a report."""

    decision_id: str
    status: str = Field(description="accepted, duplicate or late")


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str


def read(decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    """Decode a request's body.

    Raises:
        msgspec.DecodeError: for anything that is not JSON in UTF-8 with the declared fields.
    """
    try:
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error


def documented(body: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI entry of a body that msgspec reads."""
    schema = {**body.model_json_schema(), "title": body.__name__}
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": schema}}}}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the errors a route can answer with."""
    return {status: {"model": ProblemBody, "content": {"application/problem+json": {}}} for status in statuses}
