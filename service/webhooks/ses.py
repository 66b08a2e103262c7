"""Amazon SES through SNS: events of a configuration set. `decision_id` travels as a message tag."""

from __future__ import annotations

from types import MappingProxyType

import msgspec

from service.webhooks.event import Clues, Delivery, Kind, RawEvent, Reading
from service.webhooks.provider import Provider
from service.webhooks.reading import decoded, in_link, moment, named, raw_event
from service.webhooks.sns import CERTIFICATE, NOTIFICATION, TOPIC_ARN, Envelope, sns_door

KINDS = MappingProxyType(
    {
        "Delivery": Kind.DELIVERED,
        "Open": Kind.OPEN,
        "Click": Kind.CLICK,
        "Complaint": Kind.COMPLAINT,
        "Reject": Kind.NOT_SENT,
        "Rendering Failure": Kind.NOT_SENT,
    }
)


class _Mail(msgspec.Struct, rename="camel"):
    timestamp: str | None = None
    message_id: str | None = None
    tags: object = None


class _Detail(msgspec.Struct, rename="camel"):
    timestamp: str | None = None
    user_agent: str | None = None
    link: str | None = None
    bounce_type: str | None = None
    complaint_feedback_type: str | None = None
    new_topic_preferences: dict[str, object] = {}


class _Event(msgspec.Struct, rename="camel"):
    mail: _Mail
    event_type: str | None = None
    notification_type: str | None = None
    delivery: _Detail | None = None
    open: _Detail | None = None
    click: _Detail | None = None
    bounce: _Detail | None = None
    complaint: _Detail | None = None
    subscription: _Detail | None = None


def _split(delivery: Delivery) -> tuple[RawEvent, ...]:
    return (raw_event(delivery.body, decoded(delivery.body, Envelope).message_id),)


def _read(body: bytes) -> Reading:
    envelope = decoded(body, Envelope)
    if envelope.type != NOTIFICATION:
        return Reading(Kind.CONFIRMATION, moment(envelope.timestamp, what="Timestamp"), note=_to_confirm(envelope))
    event = decoded(envelope.message.encode("utf-8", "replace"), _Event)
    details = (event.click, event.open, event.delivery, event.bounce, event.complaint, event.subscription)
    detail = next((one for one in details if one), _Detail())
    link = detail.link or ""
    return Reading(
        _kind_of(event, detail),
        moment(detail.timestamp or event.mail.timestamp, what="timestamp"),
        named(event.mail.tags) or in_link(link),
        event.mail.message_id,
        Clues(None, detail.user_agent or "", link),
    )


def _notice(body: bytes) -> str:
    envelope = decoded(body, Envelope)
    return "" if envelope.type == NOTIFICATION else _to_confirm(envelope)


def _to_confirm(envelope: Envelope) -> str:
    return f"{envelope.type} of {envelope.topic_arn}: if this is what you want, open the link yourself: {envelope.subscribe_url}"


def _kind_of(event: _Event, detail: _Detail) -> Kind:
    found = event.event_type or event.notification_type or ""
    if found == "Bounce":
        return Kind.NOT_SENT if detail.bounce_type == "Permanent" else Kind.OTHER
    if found == "Complaint" and detail.complaint_feedback_type == "not-spam":
        return Kind.OTHER
    if found == "Subscription":
        return Kind.UNSUBSCRIBE if detail.new_topic_preferences.get("unsubscribeAll") is True else Kind.OTHER
    return KINDS.get(found, Kind.OTHER)


SES = Provider("ses", (CERTIFICATE, TOPIC_ARN), sns_door, _split, _read, _notice)
