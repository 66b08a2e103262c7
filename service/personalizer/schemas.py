"""Bodies of the calls, named as Azure Personalizer names them: msgspec reads them, pydantic documents them.

Unknown fields are ignored and null stands for what is not given, as that service took them.
"""

from __future__ import annotations

from typing import Any

import msgspec
from pydantic import BaseModel, Field

from bandit.ranking import Ranking, ranked
from bandit.ranking_request import LONGEST_EVENT_ID, MOST_ACTIONS, Action, RankingRequest

Features = list[dict[str, Any]]


class ActionRead(msgspec.Struct, frozen=True):
    """One action."""

    id: str
    features: Features | None = None


class RankRead(msgspec.Struct, frozen=True, rename="camel"):
    """Body of POST rank."""

    actions: list[ActionRead]
    context_features: Features | None = None
    excluded_actions: list[str] | None = None
    event_id: str | None = None
    defer_activation: bool | None = None

    def request(self, event_id: str) -> RankingRequest:
        """As it is ranked.

        Raises:
            InvalidRanking: if it cannot be.
        """
        return RankingRequest(
            event_id,
            tuple(Action(one.id, tuple(one.features or ())) for one in self.actions),
            tuple(self.context_features or ()),
            tuple(self.excluded_actions or ()),
            bool(self.defer_activation),
        )


class RewardRead(msgspec.Struct, frozen=True):
    """Body of POST events/{eventId}/reward."""

    value: float


class RankedAction(msgspec.Struct, frozen=True):
    """One action with its probability."""

    id: str
    probability: float


class RankAnswer(msgspec.Struct, frozen=True, rename="camel"):
    """What POST rank answers."""

    ranking: list[RankedAction]
    event_id: str
    reward_action_id: str

    @classmethod
    def of(cls, ranking: Ranking) -> RankAnswer:
        """A ranking as it is answered."""
        actions = ranking.request.actions
        listed = [RankedAction(actions[place].id, ranking.pmf[place]) for place in ranked(ranking)]
        return cls(listed, ranking.request.event_id, actions[ranking.chosen].id)


class Fault(msgspec.Struct, frozen=True):
    """What went wrong: a code that a program knows, and a message for its author."""

    code: str
    message: str


class ErrorAnswer(msgspec.Struct, frozen=True):
    """What every call answers where something went wrong."""

    error: Fault


class ActionBody(BaseModel):
    """Something that may be shown."""

    id: str = Field(min_length=1, max_length=LONGEST_EVENT_ID, examples=["vip"])
    features: list[dict[str, Any]] | None = Field(default=None, examples=[[{"tone": "exclusive", "price": 50}]])


class RankBody(BaseModel):
    """What may be shown, and what is known about who will see it."""

    # Written in place: a reference would point nowhere in the OpenAPI document.
    actions: list[dict[str, Any]] = Field(
        min_length=1,
        max_length=MOST_ACTIONS,
        description="The first one is control's.",
        json_schema_extra={"items": ActionBody.model_json_schema()},
    )
    contextFeatures: list[dict[str, Any]] | None = Field(default=None, examples=[[{"user": {"tier": "gold"}}]])  # noqa: N815
    excludedActions: list[str] | None = Field(default=None, description="Ids that must not be drawn.")  # noqa: N815
    eventId: str | None = Field(  # noqa: N815
        default=None, max_length=LONGEST_EVENT_ID, description="Yours, for safe retries; ours where you give none."
    )
    deferActivation: bool | None = Field(default=None, description="true: it counts only once it is activated.")  # noqa: N815


class RewardBody(BaseModel):
    """What the drawn action earned."""

    value: float = Field(ge=-1.0, le=1.0)


class RankedBody(BaseModel):
    """One action with its probability."""

    id: str
    probability: float


class RankAnswerBody(BaseModel):
    """The drawn action first, the others by probability; excluded ones keep their places with probability 0."""

    ranking: list[RankedBody]
    eventId: str  # noqa: N815
    rewardActionId: str  # noqa: N815


class FaultBody(BaseModel):
    """What went wrong."""

    code: str
    message: str


class ErrorBody(BaseModel):
    """Azure Personalizer's shape of an error."""

    error: FaultBody
