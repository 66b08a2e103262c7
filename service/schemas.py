"""What comes in and goes out over HTTP: msgspec on the hot routes, pydantic models of the same shape for the docs."""

from __future__ import annotations

from datetime import datetime
from typing import Any, TypeVar

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from service.content_schemas import ContentAnswer

LONGEST_ID = 1000
Body = TypeVar("Body")
Known = str | float | bool | None
"""One thing known about a customer."""
Variable = str | int | float | bool | None | list[str | int | float | bool | dict[str, str | int | float | bool | None]]
"""What is filled into the texts of one message under a name."""


class DecisionRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of POST /v1/decisions."""

    customer_id: str
    context: dict[str, Known] = {}
    decision_id: str | None = None
    exclude: dict[str, list[str]] = {}
    candidates: dict[str, list[str]] = {}
    deferred: bool = False
    explain: bool = False
    variables: dict[str, Variable] = {}
    render: bool = False


class BatchRequest(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Body of POST /v1/decisions/batch; each decision is read for itself."""

    decisions: list[msgspec.Raw]


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
    context: dict[str, Known] = Field(default_factory=dict, examples=[{"engagement_level": "power_user"}])
    decision_id: str | None = Field(
        default=None,
        min_length=1,
        max_length=LONGEST_ID,
        description="Yours, for safe retries; ours where you give none.",
    )
    exclude: dict[str, list[str]] = Field(
        default_factory=dict, examples=[{}], description="Arms by dimension that may not be used for this send."
    )
    candidates: dict[str, list[str]] = Field(
        default_factory=dict,
        examples=[{}],
        description="This customer's products by dimension, best first; those that were loaded where you give none.",
    )
    deferred: bool = Field(default=False, description="Count it only once it is reported as sent.")
    explain: bool = Field(default=False, description="Answer why, too.")
    variables: dict[str, Variable] = Field(
        default_factory=dict,
        examples=[{}],
        description="Filled into the texts of this answer, and stored nowhere; see docs/content.md.",
    )
    render: bool = Field(default=False, description="Answer the whole e-mail, too, from [content].template.")


class BatchBody(BaseModel):
    """Requests for many sends."""

    model_config = ConfigDict(extra="forbid")
    decisions: list[DecisionBody] = Field(max_length=1000)


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


class RemovedArm(BaseModel):
    """An arm that could not be chosen, and the rule that removed it."""

    arm: str
    rule: str


class FeatureContribution(BaseModel):
    """What one term adds to the linear predictor: its weight times its value."""

    name: str
    contribution: float


class OutcomeFeatures(BaseModel):
    """The linear predictor of one outcome for the chosen arm; `strongest` and `rest` sum to `linear`."""

    outcome: str
    worth: float = Field(description="Of the outcome, in reward units.")
    linear: float = Field(description="Log-odds of the outcome; the reward itself where the model is of that.")
    strongest: list[FeatureContribution]
    rest: float = Field(description="What all other terms add.")


class SlotExplanation(BaseModel):
    """A send slot that could be picked, and when its message would have gone out."""

    arm: str
    utc: datetime | None = Field(description="Null for an arm that sends nothing.")
    local: datetime | None = Field(description="The same on the customer's clock.")
    estimate: float | None = Field(description="Expected reward; null without a model.")
    probability: float


class DimensionExplanation(BaseModel):
    """Why this arm of a dimension, given the arms of the earlier ones."""

    dimension: str
    arm: str
    eligible: list[str]
    removed: list[RemovedArm]
    estimates: dict[str, float] | None = Field(
        description="Expected reward of each eligible arm; null without a model."
    )
    pmf: dict[str, float]
    features: list[OutcomeFeatures] | None = Field(description="Null where no table of weights decided.")
    send_slots: list[SlotExplanation] | None = Field(
        default=None, description="Of the dimension of send slots: those that could be picked, best first."
    )


class Explanation(BaseModel):
    """Why a decision was made, computed again from the snapshot that it names."""

    note: str | None = Field(description="Why there are no estimates, where there are none.")
    cost: float | None = Field(
        default=None,
        description="What the customer's recent messages take off the estimate of each arm that sends something; null where "
        "the campaign does not ask.",
    )
    dimensions: list[DimensionExplanation]


class DecisionAnswer(BaseModel):
    """The stored decision."""

    decision_id: str
    campaign: str
    group: str
    choice: dict[str, str]
    texts: dict[str, str] = Field(description="By dimension, filled in; in a receipt as in the campaign file.")
    content: ContentAnswer
    propensity: float
    policy: str
    snapshot: str | None
    candidate: str | None = Field(description="Which of the learner's candidates served; null where nobody competes.")
    fallback: str | None
    decided_at: datetime
    send_at: datetime | None
    send: bool = Field(default=True, description="false where the choice is to send nothing.")
    html: str | None = Field(
        default=None, description="The whole e-mail; there where it was asked for, null where it would have a hole."
    )
    text: str | None = Field(default=None, description="Its alternative in plain text.")
    explanation: Explanation | None = Field(default=None, description="Where it was asked for; else it is not there.")


class DecisionReceipt(DecisionAnswer):
    """The stored decision with everything that went into it, and what became of it."""

    customer_key: str
    campaign_hash: str
    seq: int = Field(description="Number of its row in the log.")
    context: dict[str, Known]
    exposures: dict[str, dict[str, dict[str, float]]] = Field(
        description="Days since the customer last got an arm (recency) and times within the window (frequency), as used."
    )
    recent_sends: int | None = Field(
        description="Messages the customer had got lately, as counted for what they cost; null where the campaign does not ask."
    )
    excluded: dict[str, list[str]] = Field(
        description="Arms by dimension that were out of this decision: by the caller, by the hour, or not among the "
        "customer's products."
    )
    snapshot_sha256: str | None = Field(description="Of the snapshot's bytes; null without one, or if it is gone.")
    propensities: dict[str, float]
    pmf: dict[str, dict[str, float]]
    positions: dict[str, float] = Field(
        description="Where in [0, 1) each dimension's draw fell: a hash of the salt, which is not shown, and the ids."
    )
    estimate: float | None
    deferred: bool
    state: str = Field(description="pending, matured, void, deferred or expired")
    sent_at: datetime | None
    reward: float | None
    unsubscribe: str = Field(
        description="Path of the one-click link (RFC 8058) that belongs into this message's headers."
    )


class ProblemBody(BaseModel):
    """RFC 9457 problem details."""

    type: str
    title: str
    status: int
    detail: str


class BatchAnswer(BaseModel):
    """Answers in the order of the requests, each a decision or a problem."""

    decisions: list[DecisionAnswer | ProblemBody]


class Recorded(BaseModel):
    """What became of a report."""

    decision_id: str
    status: str = Field(description="accepted, duplicate, late, or deferred (kept; counts once it is reported as sent)")


def read(decoder: msgspec.json.Decoder[Body], body: bytes) -> Body:
    """Decode a request's body.

    Raises:
        msgspec.DecodeError: for anything that is not JSON in UTF-8 with the declared fields.
    """
    try:
        return decoder.decode(body)
    except UnicodeDecodeError as error:
        raise msgspec.DecodeError(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise msgspec.DecodeError("the body holds lists or objects in one another too deep to be read") from error


def documented(body: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI entry of a body that msgspec reads."""
    schema = {**body.model_json_schema(), "title": body.__name__}
    inner = schema.pop("$defs", {})
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _inlined(schema, inner)}}}}


def _inlined(schema: Any, inner: dict[str, Any]) -> Any:  # noqa: ANN401 - any part of a JSON schema
    """A schema with the models inside it written out: references into it would not hold in another document."""
    if isinstance(schema, list):
        return [_inlined(part, inner) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(inner[schema["$ref"].rpartition("/")[2]], inner)
    return {name: _inlined(part, inner) for name, part in schema.items()}


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entries of the errors a route can answer with."""
    return {status: {"model": ProblemBody, "content": {"application/problem+json": {}}} for status in statuses}
