"""Resend, through Svix: one event a delivery, with HMACs over id, time and raw body; the id is that of the event.

`decision_id` travels as a tag of the message.
"""

from __future__ import annotations

import base64
import binascii
import re
from types import MappingProxyType

import msgspec

from bandit.errors import InvalidSettings
from service.settings import Settings
from service.webhooks.event import Clues, Delivery, Kind, RawEvent, Reading
from service.webhooks.provider import Door, Provider
from service.webhooks.reading import as_map, decoded, in_link, moment, named, raw_event
from service.webhooks.signatures import are_equal, header, hmac_sha256, refusal, refuse_another_time

SECRET = "webhook_resend_secret"  # noqa: S105 - the name of a setting
ID, TIMESTAMP, SIGNATURES = "svix-id", "svix-timestamp", "svix-signature"
PREFIX, VERSION = "whsec_", "v1,"
_SECONDS = re.compile(r"[0-9]{10}")

KINDS = MappingProxyType(
    {
        "email.delivered": Kind.DELIVERED,
        "email.opened": Kind.OPEN,
        "email.clicked": Kind.CLICK,
        "email.complained": Kind.COMPLAINT,
        "email.failed": Kind.NOT_SENT,
        "email.suppressed": Kind.NOT_SENT,
    }
)


class _Seen(msgspec.Struct, rename="camel"):
    timestamp: str | None = None
    user_agent: str | None = None
    link: str | None = None


class _Bounce(msgspec.Struct):
    type: str | None = None


class _Data(msgspec.Struct):
    email_id: str | None = None
    tags: object = None
    click: _Seen | None = None
    open: _Seen | None = None
    bounce: _Bounce | None = None


class _Event(msgspec.Struct):
    type: str
    created_at: str
    data: _Data


def _door(settings: Settings) -> Door:
    key = _key(settings.text(SECRET))

    def enter(delivery: Delivery) -> None:
        event_id, timestamp = header(delivery, ID), header(delivery, TIMESTAMP)
        # Id and time are signed with dots between them; a time of digits alone leaves no dot to move.
        if not _SECONDS.fullmatch(timestamp):
            raise refusal(SECRET)
        signed = f"{event_id}.{timestamp}.".encode("latin-1", "replace") + delivery.body
        wanted = VERSION + base64.b64encode(hmac_sha256(key, signed)).decode()
        _refuse_unless_one_is(header(delivery, SIGNATURES).split(" "), wanted)
        refuse_another_time(delivery, timestamp)

    return enter


def _refuse_unless_one_is(signatures: list[str], wanted: str) -> None:
    """While a secret is being changed there is a signature for the old one and one for the new one."""
    if not any(are_equal(one, wanted) for one in signatures):
        raise refusal(SECRET)


def _key(text: str) -> bytes:
    try:
        return base64.b64decode(text.removeprefix(PREFIX), validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidSettings(f"{SECRET} is no signing secret: Resend shows it as {PREFIX} and base64.") from error


def _split(delivery: Delivery) -> tuple[RawEvent, ...]:
    decoded(delivery.body, msgspec.Raw)
    return (raw_event(delivery.body, header(delivery, ID)),)


def _read(body: bytes) -> Reading:
    event = decoded(body, _Event)
    seen = event.data.click or event.data.open or _Seen()
    link = seen.link or ""
    return Reading(
        _kind_of(event),
        moment(seen.timestamp or event.created_at, what="created_at"),
        _in_tags(event.data.tags) or in_link(link),
        event.data.email_id,
        Clues(None, seen.user_agent or "", link),
    )


def _kind_of(event: _Event) -> Kind:
    if event.type == "email.bounced":
        bounce = event.data.bounce
        return Kind.OTHER if bounce and bounce.type == "Transient" else Kind.NOT_SENT
    return KINDS.get(event.type, Kind.OTHER)


def _in_tags(found: object) -> str | None:
    """Tags: a map, or a list of names and values."""
    return named(as_map(found))


RESEND = Provider("resend", (SECRET,), _door, _split, _read)
