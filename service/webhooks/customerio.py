"""Customer.io reporting webhooks: one event a delivery, signed with an HMAC over a version, the time and the raw body.

`decision_id` travels as a query parameter of the message's links, or in its header `X-Manyarm-Decision`, which comes back
in `sent` events where body content is switched on; `delivery_id` then joins the message's other events to it.
"""

from __future__ import annotations

from types import MappingProxyType

import msgspec

from service.settings import Settings
from service.webhooks.event import Clues, Delivery, Kind, RawEvent, Reading
from service.webhooks.provider import Door, Provider
from service.webhooks.reading import as_map, decoded, in_link, moment, named, raw_event
from service.webhooks.refusal import UnreadableWebhook
from service.webhooks.signatures import header, hmac_sha256, refuse_another_time, refuse_unless_equal

SIGNING_KEY = "webhook_customerio_key"
SIGNATURE, TIMESTAMP = "X-CIO-Signature", "X-CIO-Timestamp"
DECISION_HEADER = "X-Manyarm-Decision"

KINDS = MappingProxyType(
    {
        "delivered": Kind.DELIVERED,
        "opened": Kind.OPEN,
        "clicked": Kind.CLICK,
        "unsubscribed": Kind.UNSUBSCRIBE,
        "spammed": Kind.COMPLAINT,
        "bounced": Kind.NOT_SENT,
        "dropped": Kind.NOT_SENT,
        "failed": Kind.NOT_SENT,
        "undeliverable": Kind.NOT_SENT,
    }
)


class _Data(msgspec.Struct):
    delivery_id: str | None = None
    href: str | None = None
    prefetched: bool | None = None
    user_agent: str | None = None
    headers: object = None


class _Event(msgspec.Struct):
    metric: str
    timestamp: float
    event_id: str | None = None
    data: _Data = msgspec.field(default_factory=_Data)


def _door(settings: Settings) -> Door:
    key = settings.text(SIGNING_KEY).encode()

    def enter(delivery: Delivery) -> None:
        signature, timestamp = header(delivery, SIGNATURE), header(delivery, TIMESTAMP)
        signed = b"v0:" + timestamp.encode("latin-1", "replace") + b":" + delivery.body
        refuse_unless_equal(signature, hmac_sha256(key, signed).hex(), setting=SIGNING_KEY)
        refuse_another_time(delivery, timestamp)

    return enter


def _split(delivery: Delivery) -> tuple[RawEvent, ...]:
    decoded(delivery.body, msgspec.Raw)
    return (raw_event(delivery.body, _id_of(delivery.body)),)


def _id_of(body: bytes) -> str | None:
    try:
        return decoded(body, _Event).event_id
    except UnreadableWebhook:
        return None


def _read(body: bytes) -> Reading:
    event = decoded(body, _Event)
    link = event.data.href or ""
    return Reading(
        KINDS.get(event.metric, Kind.OTHER),
        moment(event.timestamp, what="timestamp"),
        _in_headers(event.data.headers) or in_link(link),
        event.data.delivery_id,
        Clues(event.data.prefetched or None, event.data.user_agent or "", link),
    )


def _in_headers(found: object) -> str | None:
    """Headers of the message: a map, or a list of names and values."""
    return named(as_map(found), DECISION_HEADER)


CUSTOMERIO = Provider("customerio", (SIGNING_KEY,), _door, _split, _read)
