"""What a provider delivers, what is kept of it, and what it says in our words."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import StrEnum

LONGEST_KEY = 200


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request of a provider.

    Attributes:
        headers: by name in small letters.
        body: as it came; signatures are over these bytes.
        at: when it came.
        tolerance: how old a signed time may be.
    """

    headers: Mapping[str, str]
    body: bytes
    at: datetime
    tolerance: timedelta


@dataclass(frozen=True, slots=True)
class RawEvent:
    """One event as it came.

    Attributes:
        key: the provider's id of it, else a hash: the same event again has the same key.
        body: its JSON.
        token: a part of the signature that is good for one event; None where signatures cover the body.
    """

    key: str
    body: bytes
    token: str | None = None


class Kind(StrEnum):
    """What an event says, in our words. The types of outcomes are those that a campaign may name."""

    DELIVERED = "delivered"
    NOT_SENT = "not_sent"
    OPEN = "open"
    CLICK = "click"
    UNSUBSCRIBE = "unsubscribe"
    COMPLAINT = "complaint"
    RESUBSCRIBE = "resubscribe"
    CONFIRMATION = "confirmation"
    OTHER = "other"  # on its way, deferred, ...: kept, and nothing follows from it


@dataclass(frozen=True, slots=True)
class Clues:
    """What may tell a machine from a person.

    Attributes:
        flag: whether the provider says that it was a machine; None where it says nothing.
        user_agent: of whoever opened or clicked; empty where not told.
        link: that was followed; empty for an open.
    """

    flag: bool | None = None
    user_agent: str = ""
    link: str = ""


@dataclass(frozen=True, slots=True)
class Reading:
    """An event in our words.

    Attributes:
        kind: what happened.
        at: when, in UTC.
        decision_id: which decision was sent with the message; None where the event does not tell.
        message_id: the provider's id of the message; None where the event does not tell.
        clues: for opens and clicks.
        note: what a person should know, such as the link that confirms a subscription.
    """

    kind: Kind
    at: datetime
    decision_id: str | None = None
    message_id: str | None = None
    clues: Clues = Clues()
    note: str = ""
