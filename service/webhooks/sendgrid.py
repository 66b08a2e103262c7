"""Twilio SendGrid: a list of events, signed with ECDSA over the time and the raw body.

`decision_id` travels in `custom_args`, which SendGrid puts into each event beside its own fields.
"""

from __future__ import annotations

import base64
import binascii
from types import MappingProxyType

import msgspec
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from bandit.errors import InvalidSettings
from service.settings import Settings
from service.webhooks.event import Clues, Delivery, Kind, RawEvent, Reading
from service.webhooks.provider import Door, Provider
from service.webhooks.reading import decoded, in_link, items_of, moment, raw_event, text_of
from service.webhooks.refusal import UnreadableWebhook
from service.webhooks.signatures import header, refusal, refuse_another_time, strict_base64

PUBLIC_KEY = "webhook_sendgrid_public_key"
SIGNATURE, TIMESTAMP = "X-Twilio-Email-Event-Webhook-Signature", "X-Twilio-Email-Event-Webhook-Timestamp"

KINDS = MappingProxyType(
    {
        "delivered": Kind.DELIVERED,
        "open": Kind.OPEN,
        "click": Kind.CLICK,
        "unsubscribe": Kind.UNSUBSCRIBE,
        "group_unsubscribe": Kind.UNSUBSCRIBE,
        "group_resubscribe": Kind.RESUBSCRIBE,
        "spamreport": Kind.COMPLAINT,
        "bounce": Kind.NOT_SENT,
        "dropped": Kind.NOT_SENT,
    }
)


class _Event(msgspec.Struct):
    event: str
    timestamp: float
    sg_event_id: str | None = None
    sg_message_id: str | None = None
    decision_id: str | int | None = None
    useragent: str | None = None
    url: str | None = None
    sg_machine_open: bool | None = None


def _door(settings: Settings) -> Door:
    key = _public_key(settings.text(PUBLIC_KEY))

    def enter(delivery: Delivery) -> None:
        signature = strict_base64(header(delivery, SIGNATURE), setting=PUBLIC_KEY)
        timestamp = header(delivery, TIMESTAMP)
        try:
            signed = timestamp.encode("latin-1", "replace") + delivery.body
            key.verify(signature, signed, ec.ECDSA(hashes.SHA256()))
        except InvalidSignature as error:
            raise refusal(PUBLIC_KEY) from error
        refuse_another_time(delivery, timestamp)

    return enter


def _public_key(text: str) -> ec.EllipticCurvePublicKey:
    try:
        key = serialization.load_der_public_key(base64.b64decode(text, validate=True))
    except (binascii.Error, ValueError, UnsupportedAlgorithm) as error:
        raise InvalidSettings(f"{PUBLIC_KEY} is no public key ({error}). {_ADVICE}") from error
    if not isinstance(key, ec.EllipticCurvePublicKey):
        raise InvalidSettings(f"{PUBLIC_KEY} is no elliptic-curve key. {_ADVICE}")
    return key


_ADVICE = "Copy the verification key that SendGrid shows under Mail Settings, Event Webhook: base64 in one line."


def _split(delivery: Delivery) -> tuple[RawEvent, ...]:
    return tuple(raw_event(body, _id_of(body)) for body in items_of(delivery.body))


def _id_of(body: bytes) -> str | None:
    try:
        return decoded(body, _Event).sg_event_id
    except UnreadableWebhook:
        return None  # kept all the same, and shown as unreadable


def _read(body: bytes) -> Reading:
    event = decoded(body, _Event)
    kind = KINDS.get(event.event, Kind.OTHER)
    link = event.url or ""
    return Reading(
        kind,
        moment(event.timestamp, what="timestamp"),
        text_of(event.decision_id) or in_link(link),
        event.sg_message_id or None,  # whole: what stands before its dot is shared by all recipients of a request
        Clues(event.sg_machine_open or None, event.useragent or "", link),
    )


SENDGRID = Provider("sendgrid", (PUBLIC_KEY,), _door, _split, _read)
