"""Postmark: one event a delivery, let in by a secret. `decision_id` travels in the message's `Metadata`."""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

import msgspec

from service.webhooks.event import Clues, Delivery, Kind, RawEvent, Reading
from service.webhooks.provider import Provider
from service.webhooks.reading import decoded, in_link, items_of, moment, named, raw_event
from service.webhooks.shared_secret import door_with

SECRET = "webhook_postmark_secret"  # noqa: S105 - the name of a setting

KINDS = MappingProxyType(
    {
        "Delivery": Kind.DELIVERED,
        "Open": Kind.OPEN,
        "Click": Kind.CLICK,
        "SpamComplaint": Kind.COMPLAINT,
    }
)
NEVER_ARRIVED = frozenset({"HardBounce", "BadEmailAddress", "Blocked", "ManuallyDeactivated", "SMTPApiError"})
"""Types of bounces after which nothing comes; the others may still arrive."""


class _Event(msgspec.Struct, rename="pascal"):
    record_type: str
    message_id: str | None = msgspec.field(default=None, name="MessageID")
    metadata: object = None
    user_agent: str | None = None
    original_link: str | None = None
    type: str | None = None
    suppress_sending: bool | None = None
    suppression_reason: str | None = None
    origin: str | None = None
    delivered_at: str | None = None
    bounced_at: str | None = None
    received_at: str | None = None
    changed_at: str | None = None


def _split(delivery: Delivery) -> tuple[RawEvent, ...]:
    # Postmark gives opens and clicks no id of their own; their bytes, which hold the time, are as good.
    return tuple(raw_event(body, None) for body in items_of(delivery.body))


def _read(body: bytes) -> Reading:
    event = decoded(body, _Event)
    link = event.original_link or ""
    at = event.delivered_at or event.bounced_at or event.received_at or event.changed_at
    return Reading(
        _kind_of(event),
        moment(at, what="the event's time"),
        named(event.metadata) or in_link(link),
        event.message_id,
        Clues(None, event.user_agent or "", link),
    )


def _kind_of(event: _Event) -> Kind:
    if event.record_type == "Bounce" and event.type in NEVER_ARRIVED:
        return Kind.NOT_SENT
    if event.record_type == "SubscriptionChange":
        return _kind_of_change(event)
    return KINDS.get(event.record_type, Kind.OTHER)


def _kind_of_change(event: _Event) -> Kind:
    """An address is also suppressed after a bounce, and by the sender; only its owner can unsubscribe."""
    if not event.suppress_sending:
        # These name neither message nor Metadata, so no decision is found; should they ever, it is what they mean.
        return Kind.RESUBSCRIBE if event.origin == "Recipient" else Kind.OTHER
    if event.suppression_reason == "SpamComplaint":
        return Kind.COMPLAINT
    is_owner = event.suppression_reason == "ManualSuppression" and event.origin == "Recipient"
    return Kind.UNSUBSCRIBE if is_owner else Kind.OTHER


POSTMARK = Provider("postmark", (SECRET,), partial(door_with, setting=SECRET), _split, _read)
