"""Mailgun: one event a delivery, with an HMAC over a time and a token in the body.

`decision_id` travels as a user variable (`v:decision_id`). The signature does not cover the event: whoever reads a
delivery could send another event with its token. So a token is good for one event, and for no other after it.
"""

from __future__ import annotations

import re
from types import MappingProxyType

import msgspec

from service.settings import Settings
from service.webhooks.event import Clues, Delivery, Kind, RawEvent, Reading
from service.webhooks.provider import Door, Provider
from service.webhooks.reading import decoded, in_link, moment, named, raw_event
from service.webhooks.refusal import UnreadableWebhook
from service.webhooks.signatures import hmac_sha256, refusal, refuse_another_time, refuse_unless_equal

SIGNING_KEY = "webhook_mailgun_key"
_SECONDS = re.compile(r"[0-9]{10}")

KINDS = MappingProxyType(
    {
        "delivered": Kind.DELIVERED,
        "opened": Kind.OPEN,
        "clicked": Kind.CLICK,
        "unsubscribed": Kind.UNSUBSCRIBE,
        "complained": Kind.COMPLAINT,
        "rejected": Kind.NOT_SENT,
    }
)
MACHINES = frozenset({"apple", "generic"})
"""Values of `client-info.bot` that are machines. `gmail` is not among them: that proxy fetches when a person opens."""


class _Signature(msgspec.Struct):
    timestamp: str | int
    token: str
    signature: str


class _Signed(msgspec.Struct):
    signature: _Signature


class _Client(msgspec.Struct, rename="kebab"):
    user_agent: str | None = None
    bot: str | None = None


class _Message(msgspec.Struct):
    headers: dict[str, object] = {}


class _Event(msgspec.Struct, rename="kebab"):
    event: str
    timestamp: float
    id: str | None = None
    user_variables: object = None
    client_info: _Client | None = None
    message: _Message | None = None
    severity: str | None = None
    url: str | None = None


class _Payload(msgspec.Struct, rename="kebab"):
    event_data: _Event
    signature: _Signature


def _door(settings: Settings) -> Door:
    key = settings.text(SIGNING_KEY).encode()

    def enter(delivery: Delivery) -> None:
        given = decoded(delivery.body, _Signed).signature
        timestamp = str(given.timestamp)
        # Time and token are signed without anything between them: of another length, one could pass for the other.
        if not _SECONDS.fullmatch(timestamp) or not given.token:
            raise refusal(SIGNING_KEY)
        wanted = hmac_sha256(key, (timestamp + given.token).encode("utf-8", "replace")).hex()
        refuse_unless_equal(given.signature, wanted, setting=SIGNING_KEY)
        refuse_another_time(delivery, timestamp)

    return enter


def _split(delivery: Delivery) -> tuple[RawEvent, ...]:
    token = decoded(delivery.body, _Signed).signature.token
    return (raw_event(delivery.body, _id_of(delivery.body), token=token),)


def _id_of(body: bytes) -> str | None:
    try:
        return decoded(body, _Payload).event_data.id
    except UnreadableWebhook:
        return None


def _read(body: bytes) -> Reading:
    event = decoded(body, _Payload).event_data
    kind = KINDS.get(event.event, Kind.OTHER)
    if event.event == "failed" and event.severity == "permanent":
        kind = Kind.NOT_SENT
    client, link = event.client_info or _Client(), event.url or ""
    message_id = named(event.message.headers, "message-id") if event.message else None
    return Reading(
        kind,
        moment(event.timestamp, what="timestamp"),
        named(event.user_variables) or in_link(link),
        message_id,
        Clues(client.bot in MACHINES or None, client.user_agent or "", link),
    )


MAILGUN = Provider("mailgun", (SIGNING_KEY,), _door, _split, _read)
