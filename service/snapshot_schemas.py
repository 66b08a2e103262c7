"""What comes in and goes out under /v1/campaigns."""

from __future__ import annotations

from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator


class SnapshotBody(BaseModel):
    """A snapshot without its bytes."""

    snapshot: str
    parent: str | None = Field(description="The one it was trained from.")
    n_learned: int = Field(description="Decisions learned from.")
    watermark: int = Field(description="Number of the last matured decision learned from.")
    sha256: str
    n_bytes: int
    created_at: str
    is_serving: bool


class SnapshotAction(BaseModel):
    """What to do with which snapshot."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    action: Literal["promote", "rollback"]
    snapshot: str | None = Field(default=None, description="Which to promote; a rollback knows which served before.")
    margin: float = Field(default=0.0, description="Reward a send by which it must be better.")
    without_gate: bool = Field(default=False, description="Promote it whatever the log says.")

    @model_validator(mode="after")
    def fits(self) -> Self:
        """A promotion names a snapshot, and a rollback nothing."""
        if self.action == "promote" and self.snapshot is None:
            raise ValueError("promote needs the snapshot's name")
        if self.action == "rollback" and self.model_fields_set != {"action"}:
            raise ValueError("rollback takes nothing but the action: it serves what served before")
        return self


class Promoted(BaseModel):
    """What serves now, and whether what was asked for was done; a gate that refuses is an answer."""

    serving: str | None
    passed: bool
    reasons: list[str]


class GroupEarned(BaseModel):
    """What a group earned a send."""

    n_sends: int
    n_customers: int
    value: float


class ReportAnswer(BaseModel):
    """What `manyarm compare --db --json` prints."""

    metric: str
    n: int = Field(description="Matured sends.")
    dropped: dict[str, int] = Field(description="Rows left out, by reason.")
    planned: int | None
    margin: float
    reward_range: tuple[float, float] | None
    confidence_level: float
    groups: dict[str, GroupEarned]
    comparisons: list[dict[str, Any]] = Field(description="Pairs of groups, with intervals.")
    dimensions: dict[str, dict[str, Any]] = Field(description="Arms of each dimension, with intervals.")
    no_arms: str | None = Field(default=None, description="Why there are no arms, where there are none.")
    by: dict[str, Any] | None = Field(default=None, description="Segments, where they were asked for.")
    audits: list[dict[str, Any]] = Field(default_factory=list, description="Whether the log can be believed.")
    erased: dict[str, dict[str, Any]] = Field(default_factory=dict, description="Totals of erased rows, by group.")
