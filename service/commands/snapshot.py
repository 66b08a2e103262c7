"""`manyarm snapshot`: what was trained, and which of it serves."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from bandit.errors import BrokenSnapshot
from bandit.regression import standing_of
from evaluation.gate import Gate
from service.clock import system_clock
from service.commands.options import answer, at_option, campaign_option, existing_db_option, json_option, now_or, opened
from service.promoting import promote_judged, roll_back
from service.snapshots_table import list_snapshots, load_snapshot


@click.group()
def snapshot() -> None:
    """List, show, promote or roll back snapshots."""


@snapshot.command("list", epilog="Example:  manyarm snapshot list")
@existing_db_option
@campaign_option
@json_option
def list_(db: Path, campaign: Path, as_json: bool) -> None:
    """All snapshots of the campaign's log, oldest first."""
    with opened(db, campaign, beginning=False) as (store, log):
        found = list_snapshots(store.reader(), log.log_id)
    lines = [
        f"{s.snapshot}{'*' if s.is_serving else ' '}  learned {s.n_learned:>8}  {s.n_bytes:>9} bytes  {s.created_at}"
        for s in found
    ]
    text = "\n".join([*lines, "* serves"]) if found else "No snapshots yet. Next: manyarm learn"
    answer([asdict(s) for s in found], text, as_json=as_json)


@snapshot.command("show", epilog="Example:  manyarm snapshot show s00003")
@click.argument("name")
@existing_db_option
@campaign_option
@json_option
def show(name: str, db: Path, campaign: Path, as_json: bool) -> None:
    """One snapshot with its arguments and counters; its checksums are checked."""
    with opened(db, campaign, beginning=False) as (store, log):
        rows = {row.snapshot: row for row in list_snapshots(store.reader(), log.log_id)}
        loaded = load_snapshot(store.reader(), name)
    if name not in rows:
        raise BrokenSnapshot(
            f"snapshot {name!r} is of an earlier campaign file; `manyarm snapshot list` shows this one's."
        )
    document = {
        **asdict(rows[name]),
        "learner": loaded.learner,
        "candidate": loaded.candidate,
        **standing_of(loaded),
        "arguments": loaded.arguments,
    }
    answer(document, "\n".join(f"{key:<12} {value}" for key, value in document.items()), as_json=as_json)


@snapshot.command("promote", epilog="Example:  manyarm snapshot promote s00003")
@click.argument("name")
@click.option("--margin", type=float, default=0.0, show_default=True, help="Reward a send by which it must be better.")
@click.option("--without-gate", is_flag=True, help="Promote it whatever the log says.")
@existing_db_option
@campaign_option
@at_option
@json_option
@click.pass_context
def promote_(
    ctx: click.Context,
    name: str,
    margin: float,
    without_gate: bool,
    db: Path,
    campaign: Path,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Make a snapshot the one that serves, if the log shows that it earns more than what serves; else exit 1.

    It is judged by sends that matured since both were trained: by rows that neither has learned from.
    """
    with opened(db, campaign, at, beginning=False) as (store, log):
        found = promote_judged(store, log, name, now_or(at), gate=None if without_gate else Gate(margin))
    taken_up = f"{name} serves. A running service takes it up at its next training step."
    said = taken_up if found.passed else f"{found.serving} serves on."
    answer(asdict(found), "\n".join([said, *found.reasons]), as_json=as_json)
    ctx.exit(0 if found.passed else 1)


@snapshot.command("rollback", epilog="Example:  manyarm snapshot rollback")
@existing_db_option
@campaign_option
@json_option
def rollback(db: Path, campaign: Path, as_json: bool) -> None:
    """Serve the snapshot that served before."""
    with opened(db, campaign, beginning=False) as (store, log):
        found = roll_back(store, log, system_clock())
    answer({"serving": found.serving}, f"{found.serving} serves again.", as_json=as_json)
