"""`manyarm snapshot`: what was trained, and which of it serves."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from functools import partial
from pathlib import Path

import click

from bandit.errors import BrokenSnapshot
from bandit.regression import standing_of
from evaluation.gate import Gate, Ruling
from service.clock import system_clock
from service.commands.options import answer, at_option, campaign_option, db_option, json_option, now_or, opened
from service.gating import judge
from service.snapshots_table import (
    list_snapshots,
    load_snapshot,
    promote,
    served_before,
    serving_snapshot,
)


@click.group()
def snapshot() -> None:
    """List, show, promote or roll back snapshots."""


@snapshot.command("list", epilog="Example:  manyarm snapshot list")
@db_option
@campaign_option
@json_option
def list_(db: Path, campaign: Path, as_json: bool) -> None:
    """All snapshots of the campaign's log, oldest first."""
    with opened(db, campaign) as (store, log):
        found = list_snapshots(store.reader(), log.log_id)
    lines = [
        f"{s.snapshot}{'*' if s.is_serving else ' '}  learned {s.n_learned:>8}  {s.n_bytes:>9} bytes  {s.created_at}"
        for s in found
    ]
    text = "\n".join([*lines, "* serves"]) if found else "No snapshots yet. Next: manyarm learn"
    answer([asdict(s) for s in found], text, as_json=as_json)


@snapshot.command("show", epilog="Example:  manyarm snapshot show s00003")
@click.argument("name")
@db_option
@campaign_option
@json_option
def show(name: str, db: Path, campaign: Path, as_json: bool) -> None:
    """One snapshot with its arguments and counters; its checksums are checked."""
    with opened(db, campaign) as (store, log):
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
@db_option
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
    with opened(db, campaign, at) as (store, log):
        load_snapshot(store.reader(), name)
        ruling = Ruling(True, ("promoted by hand",), None) if without_gate else judge(store, log, name, Gate(margin))
        if ruling.passed:
            store.write(partial(promote, log_id=log.log_id, snapshot=name, at=now_or(at), reason=ruling.reasons[0]))
        serving = serving_snapshot(store.reader(), log.log_id)
    taken_up = f"{name} serves. A running service takes it up at its next training step."
    said = taken_up if ruling.passed else f"{serving} serves on."
    document = {"serving": serving, "passed": ruling.passed, "reasons": list(ruling.reasons)}
    answer(document, "\n".join([said, *ruling.reasons]), as_json=as_json)
    ctx.exit(0 if ruling.passed else 1)


@snapshot.command("rollback", epilog="Example:  manyarm snapshot rollback")
@db_option
@campaign_option
@json_option
def rollback(db: Path, campaign: Path, as_json: bool) -> None:
    """Serve the snapshot that served before."""
    with opened(db, campaign) as (store, log):
        name = served_before(store.reader(), log.log_id)
        if name is None:
            raise BrokenSnapshot("there is no earlier snapshot to go back to; what serves goes on serving.")
        load_snapshot(store.reader(), name)
        store.write(partial(promote, log_id=log.log_id, snapshot=name, at=system_clock(), reason="rolled back by hand"))
    answer({"serving": name}, f"{name} serves again.", as_json=as_json)
