"""The envelope of Amazon SNS: its canonical text, and its signature checked with a certificate that was configured.

Nothing is fetched: neither the certificate that a message names nor the link that confirms a subscription.
"""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import padding, rsa

from bandit.errors import InvalidSettings
from service.settings import Settings
from service.webhooks.event import Delivery
from service.webhooks.provider import Door
from service.webhooks.reading import decoded
from service.webhooks.refusal import RefusedWebhook, UncheckableWebhook
from service.webhooks.signatures import refusal, refuse_another_time, strict_base64

CERTIFICATE, TOPIC_ARN = "webhook_ses_certificate", "webhook_ses_topic_arn"
NOTIFICATION = "Notification"
_HASHES = MappingProxyType({"1": hashes.SHA1, "2": hashes.SHA256})
_SIGNED = MappingProxyType(
    {
        NOTIFICATION: ("Message", "MessageId", "Subject", "Timestamp", "TopicArn", "Type"),
        "SubscriptionConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
        "UnsubscribeConfirmation": ("Message", "MessageId", "SubscribeURL", "Timestamp", "Token", "TopicArn", "Type"),
    }
)


class Envelope(msgspec.Struct, rename="pascal"):
    """What SNS wraps every message in."""

    type: str
    message_id: str
    topic_arn: str
    message: str
    timestamp: str
    signature_version: str
    signature: str
    subject: str | None = None
    token: str | None = None
    subscribe_url: str | None = msgspec.field(default=None, name="SubscribeURL")


def canonical(envelope: Envelope) -> str:
    """The text that is signed: the signed fields that there are, name and value in lines of their own."""
    values = msgspec.to_builtins(envelope)
    names = _SIGNED.get(envelope.type, ())
    return "".join(f"{name}\n{values[name]}\n" for name in names if values.get(name) is not None)


def sns_door(settings: Settings) -> Door:
    """Lets in what is signed with the certificate, of the one topic, and not too old."""
    certificates = _certificates(settings.text(CERTIFICATE))
    topic = settings.text(TOPIC_ARN)

    def enter(delivery: Delivery) -> None:
        envelope = decoded(delivery.body, Envelope)
        if envelope.topic_arn != topic:
            raise RefusedWebhook(
                f"it is of the topic {envelope.topic_arn[:200]!r}, and {TOPIC_ARN} names another one. Nothing was stored."
            )
        _refuse_unsigned(envelope, certificates, delivery)
        refuse_another_time(delivery, envelope.timestamp)

    return enter


def _certificates(text: str) -> tuple[x509.Certificate, ...]:
    try:
        found = tuple(x509.load_pem_x509_certificates(text.encode()))
    except ValueError as error:
        raise InvalidSettings(
            f"{CERTIFICATE} is no certificate in PEM ({error}). Download the one that SigningCertURL of a message of yours "
            "names, look at it, and give its text; several may stand one after the other."
        ) from error
    if not all(isinstance(one.public_key(), rsa.RSAPublicKey) for one in found):
        raise InvalidSettings(f"{CERTIFICATE} holds a key that is not RSA; SNS signs with RSA.")
    return found


def _refuse_unsigned(envelope: Envelope, certificates: Sequence[x509.Certificate], delivery: Delivery) -> None:
    algorithm = _HASHES.get(envelope.signature_version)
    if algorithm is None or envelope.type not in _SIGNED:
        raise RefusedWebhook(
            f"type {envelope.type[:60]!r} with signature version {envelope.signature_version[:20]!r} is none that SNS "
            "documents. Nothing was stored."
        )
    signature = strict_base64(envelope.signature, setting=CERTIFICATE)
    text = canonical(envelope).encode("utf-8", "replace")
    valid = [one for one in certificates if one.not_valid_before_utc <= delivery.at <= one.not_valid_after_utc]
    if not valid:
        # SNS gives up at once after a refusal, and comes again where we say that we are not ready.
        raise UncheckableWebhook(
            f"no certificate of {CERTIFICATE} is valid now. Give the newer one soon: SNS tries again a few times, as the "
            "delivery policy says. Nothing was stored."
        )
    if not any(_is_signed(one, signature, text, algorithm()) for one in valid):
        raise refusal(CERTIFICATE)


def _is_signed(certificate: x509.Certificate, signature: bytes, text: bytes, algorithm: hashes.HashAlgorithm) -> bool:
    key = certificate.public_key()
    if not isinstance(key, rsa.RSAPublicKey):
        return False
    try:
        key.verify(signature, text, padding.PKCS1v15(), algorithm)
    except InvalidSignature:
        return False
    return True
