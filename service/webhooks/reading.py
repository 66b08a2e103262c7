"""Reading the JSON of providers: strict where it matters, and never surprised."""

from __future__ import annotations

import hashlib
import math
from datetime import UTC, datetime
from typing import TypeVar
from urllib.parse import parse_qs, urlsplit

import msgspec

from bandit.errors import InvalidOutcome
from service.table import time_of
from service.webhooks.event import LONGEST_KEY, RawEvent
from service.webhooks.refusal import UnreadableWebhook

DECISION_ID = "decision_id"
"""The name under which decision_id travels with a message, with every provider."""

Form = TypeVar("Form")


def decoded(body: bytes, form: type[Form]) -> Form:
    """A JSON text of the form wanted; fields that the form does not name are ignored.

    Raises:
        UnreadableWebhook: for anything else.
    """
    try:
        # Parts that nobody looks at are not checked by the decoder, and a text in another encoding could never be read.
        body.decode()
        return msgspec.json.decode(body, type=form)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise UnreadableWebhook(
            f"{error}: need JSON in the form that the provider documents. Nothing can be read from it."
        ) from error


def items_of(body: bytes) -> list[bytes]:
    """The events of a body as they came: the items of a list, else the body itself.

    Raises:
        UnreadableWebhook: if it is no JSON.
    """
    if body.lstrip()[:1] == b"[":
        return [bytes(item) for item in decoded(body, list[msgspec.Raw])]
    decoded(body, msgspec.Raw)
    return [body]


def raw_event(body: bytes, found: str | None, *, token: str | None = None) -> RawEvent:
    """An event under the provider's id of it; under a hash where it has none, or one that is too long to be any."""
    known = found is not None and 0 < len(found) <= LONGEST_KEY and found.isprintable()
    key = found if known else None
    return RawEvent(key or hashlib.blake2b(body, digest_size=16).hexdigest(), body, token)


def moment(found: object, *, what: str, per_second: float = 1.0) -> datetime:
    """A time in UTC from an ISO 8601 text with a zone, or from a number or text of seconds since 1970.

    Args:
        found: as the provider writes it.
        what: its name, for the message.
        per_second: units in a second: 1000 for milliseconds.

    Raises:
        UnreadableWebhook: for anything else.

    >>> moment("1764503400", what="ts").isoformat(), moment("2025-11-30T11:50:00Z", what="at").isoformat()
    ('2025-11-30T11:50:00+00:00', '2025-11-30T11:50:00+00:00')
    """
    seconds = _number(found)
    try:
        read = time_of(found if seconds is None else _since_1970(seconds / per_second), what=what)
    except InvalidOutcome as error:
        raise UnreadableWebhook(str(error)) from error
    if read is None:
        raise UnreadableWebhook(f"{what} is missing; the window of a decision is counted from it.")
    return read


def text_of(found: object) -> str | None:
    """A value that may name something: a text or a whole number; None for anything else.

    >>> text_of("d1"), text_of(17), text_of(True), text_of({"a": 1})
    ('d1', '17', None, None)
    """
    if isinstance(found, bool) or not isinstance(found, (str, int)):
        return None
    return str(found) or None


def named(found: object, name: str = DECISION_ID) -> str | None:
    """A value out of a map of custom values; a list of one value is that value, as message tags have it."""
    value = found.get(name) if isinstance(found, dict) else None
    return text_of(value[0] if isinstance(value, list) and len(value) == 1 else value)


def as_map(found: object) -> object:
    """A list of names and values as the map it means; anything else as it is.

    >>> as_map([{"name": "decision_id", "value": "d1"}])
    {'decision_id': 'd1'}
    """
    if not isinstance(found, list):
        return found
    return {str(one["name"]): one.get("value") for one in found if isinstance(one, dict) and "name" in one}


def in_link(link: str) -> str | None:
    """The decision_id in a link's query, for providers that carry nothing else from the message to the click.

    >>> in_link("https://example.org/offer?utm_source=mail&decision_id=d1")
    'd1'
    """
    try:
        values = parse_qs(urlsplit(link).query, max_num_fields=100).get(DECISION_ID, [])
    except ValueError:
        return None
    return values[0] if len(values) == 1 else None


def _number(found: object) -> float | None:
    if isinstance(found, bool) or not isinstance(found, (int, float, str)):
        return None
    try:
        value = float(found)
    except (ValueError, OverflowError):
        return None
    return value if math.isfinite(value) else None


def _since_1970(seconds: float) -> datetime | str:
    try:
        return datetime.fromtimestamp(seconds, tz=UTC)
    except (ValueError, OverflowError, OSError):
        return str(seconds)
