"""What signatures have in common: constant-time comparison, keyed hashes, and a time that is not too old."""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
from datetime import datetime

from bandit.reward import CLOCK_SKEW
from service.webhooks.event import Delivery
from service.webhooks.reading import moment
from service.webhooks.refusal import RefusedWebhook, UnreadableWebhook


def header(delivery: Delivery, name: str) -> str:
    """A header's value.

    Raises:
        RefusedWebhook: if it is missing.
    """
    value = delivery.headers.get(name.lower())
    if not value:
        raise RefusedWebhook(f"the header {name} is missing, so nobody knows who sent this. Nothing was stored.")
    return value


def hmac_sha256(key: bytes, message: bytes) -> bytes:
    """The keyed hash that most providers sign with."""
    return hmac.new(key, message, hashlib.sha256).digest()


def are_equal(found: str | bytes, wanted: str | bytes) -> bool:
    """Compare in constant time."""
    return hmac.compare_digest(_bytes(found), _bytes(wanted))


def refuse_unless_equal(found: str, wanted: str, *, setting: str) -> None:
    """Compare in constant time.

    Raises:
        RefusedWebhook: if they differ; names the setting that may be wrong, never its value.
    """
    if not are_equal(found, wanted):
        raise refusal(setting)


def refusal(setting: str) -> RefusedWebhook:
    """The refusal of a signature."""
    return RefusedWebhook(
        f"the signature or secret is not the one of {setting}: either this is not from the provider, or the setting is not "
        "the provider's. Nothing was stored; correct the setting soon: some providers send it again for a while, others give "
        "up at once."
    )


def refuse_another_time(delivery: Delivery, signed: object) -> datetime:
    """Refuse a delivery that was signed too long ago: somebody may have kept it. Returns when it was signed.

    Raises:
        RefusedWebhook: for a time out of the tolerance, or none.
    """
    try:
        at = moment(signed, what="the signed time")
    except UnreadableWebhook as error:
        raise RefusedWebhook(f"{error} Nothing was stored.") from error
    if not -delivery.tolerance <= at - delivery.at <= CLOCK_SKEW:
        raise RefusedWebhook(
            f"it was signed at {at.isoformat()} and came at {delivery.at.isoformat()}, which is out of the tolerance of "
            f"{delivery.tolerance}. Nothing was stored; check the clock, or give webhook_tolerance another value."
        )
    return at


def _bytes(value: str | bytes) -> bytes:
    return value.encode("utf-8", "surrogatepass") if isinstance(value, str) else value


def strict_base64(text: str, *, setting: str) -> bytes:
    """The bytes of a signature, written in the one right way: two texts of one signature would be two signatures.

    Raises:
        RefusedWebhook: for anything else.
    """
    try:
        found = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise refusal(setting) from error
    if base64.b64encode(found).decode() != text:
        raise refusal(setting)
    return found
