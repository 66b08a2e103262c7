"""`manyarm learn`: close windows, learn, promote."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click
import msgspec

from service.commands.options import answer, at_option, campaign_option, db_option, json_option, now_or, opened
from service.trainer import Trainer, Training


@click.command(epilog="Example:  manyarm learn")
@db_option
@campaign_option
@at_option
@json_option
def learn(db: Path, campaign: Path, at: datetime | None, as_json: bool) -> None:
    """Mature the decisions whose window has closed, learn from them, and serve the new snapshot."""
    with opened(db, campaign, at) as (store, log):
        training = Trainer(store, log).step(now_or(at))
    answer(msgspec.to_builtins(_document(training)), _text(training), as_json=as_json)


def _document(training: Training) -> dict[str, object]:
    return {"n_matured": training.n_matured, "n_learned": training.n_learned, "snapshot": training.snapshot}


def _text(training: Training) -> str:
    if training.snapshot is None:
        return (
            f"{training.n_matured} decisions matured, none to learn from. Rewards are final when a decision's window has "
            "closed; try again then."
        )
    return (
        f"{training.n_matured} decisions matured, {training.n_learned} learned from; snapshot {training.snapshot} serves. "
        "Next: manyarm verify"
    )
