"""How live contexts get their segments and numbers: by what the last `manyarm profile --load` kept."""

from __future__ import annotations

import hashlib
import sqlite3
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from service.rows import stamp

RULES: Final = "rules"
NONE: Final = "none"
KEPT: Final = "kept"
"""By the rules of the campaign file; not at all; or by what is kept."""
SEGMENTS: Final = "segments"
MODELS: Final = "models"


@dataclass(frozen=True, slots=True)
class Kept:
    """How one kind of thing is made.

    Attributes:
        how: `RULES`, `NONE` or `KEPT`.
        body: what is kept, as it stands in its file; None unless it is `KEPT`.
        made_at: up to when events were used for it; None where that is not known.
    """

    how: str
    body: bytes | None = None
    made_at: datetime | None = None

    @property
    def model_id(self) -> str | None:
        """Known by what it says: 12 hex digits; None where nothing is kept."""
        return None if self.body is None else hashlib.blake2b(self.body, digest_size=6).hexdigest()


NOTHING: Final = Kept(NONE)
UNASKED: Final = {SEGMENTS: Kept(RULES), MODELS: NOTHING}
"""What holds where nothing was loaded."""


def keep(connection: sqlite3.Connection, campaign: str, made_by: str, kind: str, kept: Kept, now: datetime) -> bool:
    """Let something be made so from now on, inside the caller's transaction; returns whether that is new.

    Args:
        connection: inside a transaction.
        campaign: its name.
        made_by: the `[profile]` whose sums it is made of.
        kind: `SEGMENTS` or `MODELS`.
        kept: how.
        now: when it is loaded.
    """
    number = latest(connection, campaign, made_by).get(kind)
    query = "SELECT how, model_id FROM profile_models WHERE number = ?"
    before = connection.execute(query, (number,)).fetchone()
    if before == (kept.how, kept.model_id):
        return False
    connection.execute("UPDATE profile_models SET body = NULL WHERE number = ?", (number,))
    made_at = stamp(kept.made_at) if kept.made_at else None
    connection.execute(
        "INSERT INTO profile_models (campaign, made_by, kind, how, model_id, made_at, loaded_at, body) "
        "VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (campaign, made_by, kind, kept.how, kept.model_id, made_at, stamp(now), kept.body),
    )
    return True


def latest(connection: sqlite3.Connection, campaign: str, made_by: str) -> dict[str, int]:
    """The number of what holds now, by kind; a kind of which nothing was loaded is not in it."""
    query = "SELECT kind, max(number) FROM profile_models WHERE campaign = ? AND made_by = ? GROUP BY kind"
    return dict(connection.execute(query, (campaign, made_by)).fetchall())


def kept_as(connection: sqlite3.Connection, number: int) -> Kept:
    """What stands under a number of `latest`; nothing more is made by what was replaced meanwhile."""
    how, body = connection.execute("SELECT how, body FROM profile_models WHERE number = ?", (number,)).fetchone()
    return Kept(NONE if how == KEPT and body is None else how, body)
