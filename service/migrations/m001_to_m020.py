"""The first tables: logs, decisions, outcomes, snapshots, keys, webhooks, opt-outs."""

from __future__ import annotations

from sqlite_utils import Database

from service.migrations.registry import migrations


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


@migrations()
def m007_create_api_keys(db: Database) -> None:
    """Keys of the HTTP service: never the key, only the digest of its secret. Rows stay when a key has ended."""
    db.table("api_keys").create(
        {
            "key_id": str,
            "name": str,
            "scopes": str,
            "digest": bytes,
            "created_at": str,
            "expires_at": str,
            "revoked_at": str,
            "replaced_by": str,
        },
        pk="key_id",
        not_null={"name", "scopes", "digest", "created_at"},
        strict=True,
    )


@migrations()
def m008_create_erasures(db: Database) -> None:
    """What was erased, without saying of whom: receipts, the chain's links of erased rows, and sums of their rewards.

    `erased_rows` keeps what `verify` and the trainer count by; nothing in these tables names a customer or a decision.
    """
    db.execute(
        """
        CREATE TABLE erasures (
            number INTEGER PRIMARY KEY, erasure_id TEXT NOT NULL UNIQUE, at TEXT NOT NULL, reason TEXT NOT NULL,
            before TEXT, after_snapshot INTEGER NOT NULL, removed TEXT NOT NULL, mac BLOB NOT NULL
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE erased_rows (
            seq INTEGER PRIMARY KEY, erasure INTEGER NOT NULL REFERENCES erasures(number), log_id INTEGER NOT NULL,
            chain BLOB NOT NULL, matured INTEGER, learnable INTEGER NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX erased_rows_erasure ON erased_rows(erasure)")
    db.execute("CREATE INDEX erased_rows_matured ON erased_rows(log_id, matured)")
    db.execute(
        """
        CREATE TABLE erased_sums (
            log_id INTEGER NOT NULL, "group" TEXT NOT NULL, n_decisions INTEGER NOT NULL, n_sends INTEGER NOT NULL,
            n_customers INTEGER NOT NULL, reward_sum REAL NOT NULL, reward_squares REAL NOT NULL,
            reward_sends REAL NOT NULL, sends_squares INTEGER NOT NULL, is_binary INTEGER NOT NULL, mac BLOB NOT NULL,
            PRIMARY KEY (log_id, "group")
        ) STRICT
        """
    )


@migrations()
def m009_create_customer_keys(db: Database) -> None:
    """Earlier generations of the key of customer_keys; the newest stands in `keys` as `secret`. A retired one is NULL."""
    db.execute(
        """
        CREATE TABLE customer_keys (
            generation INTEGER PRIMARY KEY, key BLOB, replaced_at TEXT NOT NULL, retired_at TEXT
        ) STRICT
        """
    )


@migrations()
def m010_create_opt_outs(db: Database) -> None:
    """Who must not be mailed, and how many requests were answered without storing anything.

    `generation` says under which key an opt-out is known; NULL where a message's row was all there was.
    """
    db.execute(
        """
        CREATE TABLE opt_outs (
            customer_key TEXT PRIMARY KEY, at TEXT NOT NULL, reason TEXT NOT NULL, generation INTEGER
        ) STRICT
        """
    )
    db.execute(
        """
        CREATE TABLE unstored (
            campaign TEXT NOT NULL, day TEXT NOT NULL, reason TEXT NOT NULL, n INTEGER NOT NULL,
            PRIMARY KEY (campaign, day, reason)
        ) STRICT
        """
    )


@migrations()
def m011_add_excluded_to_decisions(db: Database) -> None:
    """Arms that the caller kept out of a decision; and whether it waits to be reported as sent before it counts.

    `due_at` of a deferred row is when it expires.
    """
    db.execute("ALTER TABLE decisions ADD COLUMN excluded TEXT")
    db.execute("ALTER TABLE decisions ADD COLUMN deferred INTEGER")
    db.execute("CREATE INDEX decisions_deferred ON decisions(log_id, due_at) WHERE state = 'deferred'")


@migrations()
def m012_create_batch_runs(db: Database) -> None:
    """Tables of customers that were or are being decided as a whole, so that a killed run goes on as what it was.

    `users_hash` is of the file's content; `at` and `snapshot` hold for every row.
    """
    db.execute(
        """
        CREATE TABLE batch_runs (
            run TEXT PRIMARY KEY, log_id INTEGER NOT NULL REFERENCES logs(log_id), users_hash TEXT NOT NULL,
            at TEXT NOT NULL, snapshot TEXT, finished_at TEXT, n_rows INTEGER NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX batch_runs_users ON batch_runs(log_id, users_hash)")


@migrations()
def m013_create_webhook_events(db: Database) -> None:
    """Events of mail providers as they came, once each by the provider's id; what they say is read afterwards.

    `token` is the part of a signature that is good for one event. `message_id` joins events of one message where only some
    of them carry the decision_id.
    """
    db.execute(
        """
        CREATE TABLE webhook_events (
            number INTEGER PRIMARY KEY, provider TEXT NOT NULL, event_key TEXT NOT NULL, received_at TEXT NOT NULL,
            body BLOB NOT NULL, token TEXT, state TEXT NOT NULL, reason TEXT,
            kind TEXT, at TEXT, decision_id TEXT, message_id TEXT,
            UNIQUE (provider, event_key)
        ) STRICT
        """
    )
    db.execute("CREATE INDEX webhook_events_waiting ON webhook_events(number) WHERE state = 'waiting'")
    db.execute("CREATE INDEX webhook_events_state ON webhook_events(provider, state)")
    db.execute("CREATE INDEX webhook_events_decision ON webhook_events(decision_id) WHERE decision_id IS NOT NULL")
    db.execute(
        "CREATE INDEX webhook_events_message ON webhook_events(provider, message_id) WHERE message_id IS NOT NULL"
    )
    db.execute("CREATE UNIQUE INDEX webhook_events_token ON webhook_events(provider, token) WHERE token IS NOT NULL")


@migrations()
def m014_add_verdict_to_outcomes(db: Database) -> None:
    """Whether a person or a machine opened or clicked, by which rule, under which version of the rules.

    `verdict` is what the reward counted by and stands still once the decision has matured; `rescored` is what newer rules
    say of such a one.
    """
    for column in ("verdict", "verdict_rule", "verdict_version", "rescored"):
        db.execute(f"ALTER TABLE outcomes ADD COLUMN {column} TEXT")


@migrations()
def m020_index_settled_decisions(db: Database) -> None:
    """Counts of void, deferred and expired decisions, without a walk over the whole log; metrics ask every few seconds."""
    db.execute("CREATE INDEX decisions_settled ON decisions(log_id, state) WHERE state NOT IN ('pending', 'matured')")
