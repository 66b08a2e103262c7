"""The store's tables, as an append-only list of migrations. Never edit one that has shipped; add the next."""

from __future__ import annotations

from sqlite_utils import Database
from sqlite_utils.migrations import Migrations

migrations = Migrations("manyarm")


@migrations()
def m001_create_keys_and_logs(db: Database) -> None:
    """One log a campaign's content: a changed campaign begins a new one and leaves the old one as it is."""
    db.table("keys").create({"name": str, "value": bytes}, pk="name", not_null={"value"}, strict=True)
    db.table("logs").create(
        {"log_id": int, "campaign": str, "campaign_hash": str, "toml": str, "started_at": str},
        pk="log_id",
        not_null={"campaign", "campaign_hash", "toml", "started_at"},
        strict=True,
    )
    db.table("logs").create_index(["campaign", "campaign_hash"], unique=True)


@migrations()
def m002_create_decisions(db: Database) -> None:
    """What was decided never changes (chain covers it); what became of it does (state, due_at, sent_at, reward, matured).

    `head` holds the last row's number and chain, so that rows cut off at the end are missed too.
    """
    db.execute(
        """
        CREATE TABLE decisions (
            seq INTEGER PRIMARY KEY, log_id INTEGER NOT NULL REFERENCES logs(log_id), decision_id TEXT NOT NULL UNIQUE,
            customer_key TEXT NOT NULL, "group" TEXT NOT NULL, context TEXT NOT NULL,
            arms TEXT NOT NULL, propensities TEXT NOT NULL, pmf BLOB NOT NULL, propensity REAL NOT NULL,
            policy TEXT NOT NULL, snapshot TEXT, fallback TEXT, estimate REAL, decided_at TEXT NOT NULL, send_at TEXT,
            chain BLOB NOT NULL,
            state TEXT NOT NULL, due_at TEXT NOT NULL, sent_at TEXT, reward REAL, matured INTEGER
        ) STRICT
        """
    )
    db.execute("CREATE INDEX decisions_due ON decisions(log_id, due_at) WHERE state = 'pending'")
    db.execute("CREATE UNIQUE INDEX decisions_matured ON decisions(log_id, matured) WHERE matured IS NOT NULL")
    db.execute(
        "CREATE TABLE head (only INTEGER PRIMARY KEY CHECK (only = 1), seq INTEGER NOT NULL, chain BLOB NOT NULL) STRICT"
    )
    db.execute("INSERT INTO head VALUES (1, 0, zeroblob(16))")


@migrations()
def m003_create_outcomes(db: Database) -> None:
    """Every outcome is kept once by its event_id; `late` ones are never folded into a reward."""
    db.table("outcomes").create(
        {"event_id": str, "decision_id": str, "type": str, "at": str, "received_at": str, "late": int},
        pk="event_id",
        not_null={"decision_id", "type", "at", "received_at", "late"},
        strict=True,
    )
    db.table("outcomes").create_index(["decision_id"])


@migrations()
def m004_create_snapshots(db: Database) -> None:
    """Snapshots are immutable; what serves is the last promotion. The watermark stands in the snapshot's own row."""
    db.table("snapshots").create(
        {
            "number": int,
            "log_id": int,
            "snapshot": str,
            "parent": str,
            "n_learned": int,
            "watermark": int,
            "sha256": str,
            "body": bytes,
            "created_at": str,
        },
        pk="number",
        not_null={"log_id", "snapshot", "n_learned", "watermark", "sha256", "body", "created_at"},
        strict=True,
    )
    db.table("snapshots").create_index(["snapshot"], unique=True)
    db.table("promotions").create(
        {"number": int, "log_id": int, "snapshot": str, "promoted_at": str, "reason": str},
        pk="number",
        not_null={"log_id", "snapshot", "promoted_at", "reason"},
        strict=True,
    )


@migrations()
def m005_add_candidate_to_decisions(db: Database) -> None:
    """Several candidates learn the same rows; each decision names the one that served it."""
    db.execute("ALTER TABLE decisions ADD COLUMN candidate TEXT")


@migrations()
def m006_add_exposures_to_decisions(db: Database) -> None:
    """What a customer got lately, as a decision used it.

    `seen` is the last row that stood in the log when it was read: processes beside each other commit in any order.
    """
    db.execute("ALTER TABLE decisions ADD COLUMN exposures TEXT")
    db.execute("ALTER TABLE decisions ADD COLUMN seen INTEGER")
