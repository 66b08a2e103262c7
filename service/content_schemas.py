"""What an answer says, as the HTTP documentation shows it."""

from __future__ import annotations

from pydantic import BaseModel, Field


class TextGap(BaseModel):
    """A text that could not be filled in."""

    dimension: str | None = Field(description="Null for the template of the whole e-mail.")
    arm: str | None
    part: str = Field(description="text, the name of a part, or template")
    variable: str | None = Field(description="The one that is missing; null where something else is wrong.")
    problem: str


class CtaAnswer(BaseModel):
    """The call to action; what no chosen arm says is not there."""

    text: str | None = None
    colour: str | None = None
    urgency: str | None = None


class ContentAnswer(BaseModel):
    """What the message says by what it is for; what no chosen arm says is not there."""

    missing: list[TextGap] = Field(description="What could not be said: do not send this message.")
    defaulted: list[TextGap] = Field(description="What missed a variable and says its arm's default.")
    language: str | None = None
    subject: str | None = None
    greeting: str | None = None
    benefit: str | None = None
    cta: CtaAnswer | None = None
    social_proof: str | None = None
    tone: str | None = None
    other: dict[str, str] = Field(default_factory=dict, description="Texts and parts of other names.")
