"""Brevo: one event or a list of them, let in by a secret.

`decision_id` travels in the header `X-Mailin-custom`, as `decision_id:d1` (more of them separated by `|`) or as JSON.
"""

from __future__ import annotations

from functools import partial
from types import MappingProxyType

import msgspec

from service.webhooks.event import Clues, Delivery, Kind, RawEvent, Reading
from service.webhooks.provider import Provider
from service.webhooks.reading import DECISION_ID, decoded, in_link, items_of, moment, named, raw_event
from service.webhooks.refusal import UnreadableWebhook
from service.webhooks.shared_secret import door_with

SECRET = "webhook_brevo_secret"  # noqa: S105 - the name of a setting

KINDS = MappingProxyType(
    {
        "delivered": Kind.DELIVERED,
        "opened": Kind.OPEN,
        "unique_opened": Kind.OPEN,
        "proxy_open": Kind.OPEN,
        "unique_proxy_open": Kind.OPEN,
        "click": Kind.CLICK,
        "unsubscribed": Kind.UNSUBSCRIBE,
        "spam": Kind.COMPLAINT,
        "hard_bounce": Kind.NOT_SENT,
        "invalid_email": Kind.NOT_SENT,
        "blocked": Kind.NOT_SENT,
        "error": Kind.NOT_SENT,
    }
)
MACHINES = frozenset({"proxy_open", "unique_proxy_open"})
"""Opens by a proxy that loads every picture of every message, such as Apple's mail privacy protection."""


class _Event(msgspec.Struct):
    event: str
    ts_event: float | None = None
    ts: float | None = None
    message_id: str | None = msgspec.field(default=None, name="message-id")
    custom: str | None = msgspec.field(default=None, name="X-Mailin-custom")
    user_agent: str | None = None
    link: str | None = None


def _split(delivery: Delivery) -> tuple[RawEvent, ...]:
    return tuple(raw_event(body, None) for body in items_of(delivery.body))


def _read(body: bytes) -> Reading:
    event = decoded(body, _Event)
    link = event.link or ""
    return Reading(
        KINDS.get(event.event, Kind.OTHER),
        moment(event.ts_event if event.ts_event is not None else event.ts, what="ts_event"),
        _decision_in(event.custom or "") or in_link(link),
        event.message_id,
        Clues(event.event in MACHINES or None, event.user_agent or "", link),
    )


def _decision_in(custom: str) -> str | None:
    if custom.startswith("{"):
        try:
            return named(decoded(custom.encode("utf-8", "replace"), dict[str, object]))
        except UnreadableWebhook:
            return None
    pairs = (part.partition(":") for part in custom.split("|"))
    return next((value.strip() or None for name, _, value in pairs if name.strip() == DECISION_ID), None)


BREVO = Provider("brevo", (SECRET,), partial(door_with, setting=SECRET), _split, _read)
