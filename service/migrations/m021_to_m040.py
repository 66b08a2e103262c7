"""The tables after those: rankings, products, customers' events, and what erasing and loading left to mend."""

from __future__ import annotations

from sqlite_utils import Database

from service.migrations.registry import migrations


@migrations()
def m021_create_rankings(db: Database) -> None:
    """Rankings of actions that came with the request; see `decisions` for which part of a row never changes.

    One loop a campaign's name, whatever its file says: actions and features are the caller's. `ranking_head` is to
    rankings what `head` is to decisions; `late` rewards are kept and never count.
    """
    db.execute(
        """
        CREATE TABLE rankings (
            seq INTEGER PRIMARY KEY, campaign TEXT NOT NULL, event_id TEXT NOT NULL UNIQUE, "group" TEXT NOT NULL,
            context TEXT NOT NULL, actions TEXT NOT NULL, excluded TEXT NOT NULL, deferred INTEGER NOT NULL,
            pmf BLOB NOT NULL, chosen INTEGER NOT NULL, propensity REAL NOT NULL, policy TEXT NOT NULL, snapshot TEXT,
            fallback TEXT, estimate REAL, rules TEXT NOT NULL, decided_at TEXT NOT NULL, chain BLOB NOT NULL,
            state TEXT NOT NULL, due_at TEXT NOT NULL, activated_at TEXT, reward REAL, matured INTEGER
        ) STRICT
        """
    )
    db.execute("CREATE INDEX rankings_due ON rankings(campaign, due_at) WHERE state IN ('pending', 'deferred')")
    db.execute("CREATE UNIQUE INDEX rankings_matured ON rankings(campaign, matured) WHERE matured IS NOT NULL")
    db.execute(
        "CREATE TABLE ranking_head (only INTEGER PRIMARY KEY CHECK (only = 1), seq INTEGER NOT NULL, chain BLOB NOT NULL) STRICT"
    )
    db.execute("INSERT INTO ranking_head VALUES (1, 0, zeroblob(16))")
    db.execute(
        """
        CREATE TABLE ranking_rewards (
            number INTEGER PRIMARY KEY, event_id TEXT NOT NULL, value REAL NOT NULL, received_at TEXT NOT NULL,
            late INTEGER NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX ranking_rewards_event ON ranking_rewards(event_id)")
    db.execute(
        """
        CREATE TABLE ranking_snapshots (
            number INTEGER PRIMARY KEY, campaign TEXT NOT NULL, snapshot TEXT NOT NULL UNIQUE, parent TEXT,
            n_learned INTEGER NOT NULL, watermark INTEGER NOT NULL, sha256 TEXT NOT NULL, body BLOB NOT NULL,
            created_at TEXT NOT NULL
        ) STRICT
        """
    )


@migrations()
def m022_index_rankings_by_snapshot(db: Database) -> None:
    """Whether any ranking names a snapshot, without a walk over all of them: the trainer deletes those that none names."""
    db.execute("CREATE INDEX rankings_snapshot ON rankings(snapshot) WHERE snapshot IS NOT NULL")


@migrations()
def m023_add_n_done_to_batch_runs(db: Database) -> None:
    """How far a run has come, so that those of whom nothing is stored are counted once, however often it was killed."""
    db.execute("ALTER TABLE batch_runs ADD COLUMN n_done INTEGER NOT NULL DEFAULT 0")


@migrations()
def m024_create_product_candidates(db: Database) -> None:
    """What products each customer may be offered, best first, as `manyarm products --load` brought them.

    `generation` is of the key that customer_key was made with.
    """
    db.execute(
        """
        CREATE TABLE product_candidates (
            campaign TEXT NOT NULL, dimension TEXT NOT NULL, customer_key TEXT NOT NULL, products TEXT NOT NULL,
            loaded_at TEXT NOT NULL, generation INTEGER NOT NULL,
            PRIMARY KEY (campaign, customer_key, dimension)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX product_candidates_customer ON product_candidates(customer_key)")


@migrations()
def m025_create_customer_events(db: Database) -> None:
    """What customers did, as it was reported, and the sums that features are made of; both under the customer's key.

    Sums can be made again from the events, so a changed `[profile]` loses nothing. `generation` is of the key that
    customer_key was made with. A population is what customers with few events are drawn towards.
    """
    db.execute(
        """
        CREATE TABLE customer_events (
            customer_key TEXT NOT NULL, event_id TEXT NOT NULL, at TEXT NOT NULL, body TEXT NOT NULL,
            received_at TEXT NOT NULL, generation INTEGER NOT NULL,
            PRIMARY KEY (customer_key, event_id)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX customer_events_received ON customer_events(received_at)")
    db.execute(
        """
        CREATE TABLE customer_states (
            customer_key TEXT NOT NULL, made_by TEXT NOT NULL, state BLOB NOT NULL, generation INTEGER NOT NULL,
            PRIMARY KEY (customer_key, made_by)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        "CREATE TABLE populations (made_by TEXT PRIMARY KEY, body BLOB NOT NULL, fitted_at TEXT NOT NULL) STRICT, WITHOUT ROWID"
    )


@migrations()
def m026_create_profile_models(db: Database) -> None:
    """How live contexts get segments and numbers about customers: as the last `manyarm profile --load` made them.

    `made_by` is the `[profile]` whose sums they are made of. A body goes when another one follows; id and dates stay.
    """
    db.execute(
        """
        CREATE TABLE profile_models (
            number INTEGER PRIMARY KEY, campaign TEXT NOT NULL, made_by TEXT NOT NULL, kind TEXT NOT NULL,
            how TEXT NOT NULL, model_id TEXT, made_at TEXT, loaded_at TEXT NOT NULL, body BLOB
        ) STRICT
        """
    )
    db.execute("CREATE INDEX profile_models_latest ON profile_models(campaign, made_by, kind, number)")


@migrations()
def m027_add_recent_sends_to_decisions(db: Database) -> None:
    """Messages that a customer had got lately, as they were counted for what they cost: `[reward].recent_send`."""
    db.execute("ALTER TABLE decisions ADD COLUMN recent_sends INTEGER")


@migrations()
def m028_create_erased_rankings(db: Database) -> None:
    """What is left of rankings that were too old, without saying of whom: see service/rankings/erasing.py."""
    db.execute(
        """
        CREATE TABLE erased_rankings (
            seq INTEGER PRIMARY KEY, campaign TEXT NOT NULL, chain BLOB NOT NULL, matured INTEGER, taught INTEGER NOT NULL,
            signature BLOB NOT NULL
        ) STRICT
        """
    )
    db.execute("CREATE INDEX erased_rankings_matured ON erased_rankings(campaign, matured)")
    db.execute("CREATE INDEX rankings_decided ON rankings(campaign, decided_at)")


@migrations()
def m029_load_product_candidates_in_slices(db: Database) -> None:
    """Each load has a number of its own; what serves is one number a dimension, so a load of any size is swapped in at once.

    `begun` is the number that was given last, `load` the one that serves.
    """
    db.execute("ALTER TABLE product_candidates RENAME TO product_candidates_at_once")
    db.execute("DROP INDEX product_candidates_customer")
    db.execute(
        """
        CREATE TABLE product_candidates (
            campaign TEXT NOT NULL, dimension TEXT NOT NULL, load INTEGER NOT NULL, customer_key TEXT NOT NULL,
            products TEXT NOT NULL, loaded_at TEXT NOT NULL, generation INTEGER NOT NULL,
            PRIMARY KEY (campaign, dimension, load, customer_key)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute("CREATE INDEX product_candidates_customer ON product_candidates(customer_key)")
    db.execute(
        """
        CREATE TABLE product_loads (
            campaign TEXT NOT NULL, dimension TEXT NOT NULL, load INTEGER NOT NULL, begun INTEGER NOT NULL,
            PRIMARY KEY (campaign, dimension)
        ) STRICT, WITHOUT ROWID
        """
    )
    db.execute(
        "INSERT INTO product_candidates SELECT campaign, dimension, 1, customer_key, products, loaded_at, generation "
        "FROM product_candidates_at_once"
    )
    db.execute("INSERT INTO product_loads SELECT DISTINCT campaign, dimension, 1, 1 FROM product_candidates_at_once")
    db.execute("DROP TABLE product_candidates_at_once")


@migrations()
def m030_add_n_missed_to_ranking_snapshots(db: Database) -> None:
    """Erased rankings up to its watermark that a snapshot never learned from: they were gone when learning began again."""
    db.execute("ALTER TABLE ranking_snapshots ADD COLUMN n_missed INTEGER NOT NULL DEFAULT 0")
