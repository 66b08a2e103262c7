"""`manyarm learn`: close windows, learn, promote."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

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
        trainer = Trainer(store, log)
        training = trainer.step(now_or(at))
        serving = trainer.serving_name()
    document = {
        "n_matured": training.n_matured,
        "n_learned": training.n_learned,
        "snapshot": training.snapshot,
        "serving": serving,
    }
    answer(document, _text(training, serving), as_json=as_json)


def _text(training: Training, serving: str | None) -> str:
    if training.snapshot is None:
        return (
            f"{training.n_matured} decisions matured, none to learn from. Rewards are final when a decision's window has "
            "closed; try again then."
        )
    if training.snapshot != serving:
        return (
            f"{training.n_matured} decisions matured, {training.n_learned} learned from into {training.snapshot}; {serving} "
            f"goes on serving, as somebody chose. Next: manyarm snapshot promote {training.snapshot}"
        )
    return (
        f"{training.n_matured} decisions matured, {training.n_learned} learned from; snapshot {training.snapshot} serves. "
        "Next: manyarm verify"
    )
