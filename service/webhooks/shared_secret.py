"""The door of providers that sign nothing and send a secret along: a bearer token, a header, or a basic password."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterator

from service.settings import Settings
from service.webhooks.event import Delivery
from service.webhooks.provider import Door
from service.webhooks.refusal import RefusedWebhook
from service.webhooks.signatures import refuse_unless_equal

TOKEN_HEADER = "X-Webhook-Token"  # noqa: S105 - the name of a header


def door_with(settings: Settings, setting: str) -> Door:
    """Lets in whoever knows the secret.

    It says nothing about the body or the time: whoever reads one request can write others, so use it over TLS only.
    """
    wanted = settings.text(setting)

    def enter(delivery: Delivery) -> None:
        said = list(_said(delivery))
        if not said:
            raise RefusedWebhook(
                f"no secret came along: set the provider's webhook up with a bearer token, the header {TOKEN_HEADER}, or a "
                "user and password in its URL. Nothing was stored."
            )
        refuse_unless_equal(said[0], wanted, setting=setting)

    return enter


def _said(delivery: Delivery) -> Iterator[str]:
    scheme, _, value = delivery.headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and value:
        yield value.strip()
    if scheme.lower() == "basic" and value:
        yield _password(value)
    token = delivery.headers.get(TOKEN_HEADER.lower())
    if token:
        yield token


def _password(value: str) -> str:
    """The password of basic credentials; empty, which is no secret, where they cannot be read."""
    try:
        text = base64.b64decode(value.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return ""
    return text.partition(":")[2]
