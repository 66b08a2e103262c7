"""One-click unsubscribe (RFC 8058): a link in each message, that only whoever made the decision can write."""

from __future__ import annotations

import base64
import binascii
import sqlite3
from datetime import datetime

from bandit.errors import EngineError, InvalidOutcome, UnknownDecision
from bandit.reward import Outcome
from service.outcomes_table import RewardOf, record_outcome
from service.store import Store
from service.webhooks.event import Kind
from service.webhooks.opt_outs import opt_out_recipient
from service.webhooks.signatures import are_equal, hmac_sha256

PATH = "/v1/unsubscribe/"
REASON = "one-click unsubscribe"
_SIGNED_BYTES = 16


class UnknownLink(EngineError):
    """A link that is none of ours."""


def unsubscribe_key(store: Store) -> bytes:
    """The key of the links of a database. It is not changed with the keys of customers: mail lies in boxes for years."""
    return hmac_sha256(store.receipts_key, b"unsubscribe")


def unsubscribe_path(decision_id: str, key: bytes) -> str:
    """The path of the link for one message, to be put behind the service's public address.

    >>> unsubscribe_path("d1", b"key")
    '/v1/unsubscribe/ZDE.MUW1rDanLoLlM-8GOdqoUw'
    """
    raw = decision_id.encode()
    return f"{PATH}{_text(raw)}.{_text(hmac_sha256(key, raw)[:_SIGNED_BYTES])}"


def unsubscribe_headers(decision_id: str, key: bytes, address: str) -> dict[str, str]:
    """The two headers of a message that make the mailbox show its unsubscribe button.

    Args:
        decision_id: of the decision that the message carries.
        key: of the database; see `unsubscribe_key`.
        address: under which the service is reached from outside, such as https://mail.example.org. RFC 8058 wants https.
    """
    return {
        "List-Unsubscribe": f"<{address.rstrip('/')}{unsubscribe_path(decision_id, key)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
    }


def decision_of_token(token: str, key: bytes) -> str:
    """The decision whose link this is.

    Raises:
        UnknownLink: if nobody who knows the key has written it.
    """
    first = token.partition(".")[0]
    try:
        decision_id = base64.urlsafe_b64decode(first + "=" * (-len(first) % 4)).decode()
    except (binascii.Error, ValueError) as error:
        raise _unknown() from error
    if not are_equal(PATH + token, unsubscribe_path(decision_id, key)):
        raise _unknown()
    return decision_id


def record_unsubscribe(connection: sqlite3.Connection, decision_id: str, at: datetime, reward_of: RewardOf) -> None:
    """Opt the customer out, and keep the outcome where the campaign counts such; a second click changes nothing.

    Raises:
        UnknownDecision: if the decision is not there (any more).
    """
    found = connection.execute("SELECT log_id FROM decisions WHERE decision_id = ?", (decision_id,)).fetchone()
    if found is None:
        raise UnknownDecision(
            "the message of this link is not known any more: what was stored of it was erased. Nobody was opted out; tell "
            "the sender your address if mail goes on."
        )
    opt_out_recipient(connection, decision_id, at, REASON)
    if Kind.UNSUBSCRIBE in reward_of(found[0]).events:
        _kept(connection, Outcome(f"unsubscribe:{decision_id}", decision_id, Kind.UNSUBSCRIBE.value, at), reward_of)


def _kept(connection: sqlite3.Connection, outcome: Outcome, reward_of: RewardOf) -> None:
    if connection.execute("SELECT 1 FROM outcomes WHERE event_id = ?", (outcome.event_id,)).fetchone():
        return
    try:
        record_outcome(connection, outcome, reward_of, outcome.at)
    except InvalidOutcome:
        # A clock that runs behind must not keep anybody from opting out.
        return


def _unknown() -> UnknownLink:
    return UnknownLink(
        "this is no unsubscribe link of ours. Nobody was opted out; use the link of the message as it is."
    )


def _text(raw: bytes) -> str:
    return base64.urlsafe_b64encode(raw).rstrip(b"=").decode()
