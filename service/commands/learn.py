"""`manyarm learn`: close windows, learn, promote."""

from __future__ import annotations

from dataclasses import asdict
from datetime import datetime
from pathlib import Path

import click

from evaluation.gate import Gate
from service.commands.options import answer, at_option, campaign_option, existing_db_option, json_option, now_or, opened
from service.foreign_log import ColumnMap
from service.gating import pass_gate
from service.rankings.trainer import RankingTraining, train_step
from service.trainer import Trainer, Training
from service.warm_starting import WarmStart, start_from_log, start_from_snapshot


@click.command(
    epilog="Example:  manyarm learn   |   manyarm learn --from-snapshot s00012   |   manyarm learn --from-log earlier"
)
@existing_db_option
@campaign_option
@click.option("--from-snapshot", default="", help="Warm start: a snapshot of an earlier campaign in this database.")
@click.option(
    "--from-log", default="", help="Warm start: an exported log (CSV, Parquet), or 'earlier' for this database's own."
)
@click.option("--arm", default="", help="With --from-log: column with the arm, where somebody else wrote the log.")
@click.option("--reward", default="", help="With --arm: column with the reward, a number.")
@click.option(
    "--propensity", default="1", show_default=True, help="With --arm: column with the probability, or a number."
)
@click.option("--context", default="", help="With --arm: columns known before the draw, separated by commas.")
@click.option(
    "--sent-at", default="", help="With --arm: column with the time of each send, of which [time] fields are made."
)
@click.option(
    "--gate", "gated", is_flag=True, help="Promote only what the log shows to be better; exit 1 if it is not."
)
@click.option(
    "--margin", type=float, default=0.0, show_default=True, help="With --gate: by how much a send, for certain."
)
@at_option
@json_option
@click.pass_context
def learn(  # noqa: PLR0913, PLR0917 - one argument an option
    ctx: click.Context,
    db: Path,
    campaign: Path,
    from_snapshot: str,
    from_log: str,
    arm: str,
    reward: str,
    propensity: str,
    context: str,
    sent_at: str,
    gated: bool,
    margin: float,
    at: datetime | None,
    as_json: bool,
) -> None:
    """Mature the decisions whose window has closed, learn from them, and serve the new snapshot.

    With --gate the snapshot trained before is judged by the sends that matured since, and serves if it earns more; the one
    trained now is judged the next time. With --from-snapshot or --from-log: begin a campaign that has no snapshot yet with
    what another one learned.
    """
    if from_snapshot or from_log:
        names = tuple(filter(None, context.split(",")))
        columns = ColumnMap(arm, reward, propensity, names, sent_at=sent_at) if arm or reward else None
        _refuse_half_a_source(from_snapshot, from_log, columns, context or sent_at)
        with opened(db, campaign, at, making=False) as (store, log):
            if from_snapshot:
                started = start_from_snapshot(store, log, from_snapshot, now_or(at))
            else:
                started = start_from_log(store, log, from_log, columns, now_or(at))
        answer(asdict(started), _started(started, from_snapshot or from_log), as_json=as_json)
        return
    gate = Gate(margin) if gated else None
    ctx.exit(0 if _learn(db, campaign, at, gate, as_json=as_json) else 1)


def _refuse_half_a_source(from_snapshot: str, from_log: str, columns: ColumnMap | None, others: str) -> None:
    if from_snapshot and from_log:
        raise click.UsageError("--from-snapshot and --from-log are two beginnings; give one of them.")
    if others and not columns:
        raise click.UsageError(
            "--context goes with --arm and --reward, and so does --sent-at; an export of ours has its own columns."
        )
    if columns and not (from_log and columns.arm and columns.reward):
        raise click.UsageError("--arm and --reward go together, and with --from-log FILE.")


def _started(started: WarmStart, source: str) -> str:
    skipped = "".join(f"\n  {count} rows taught nothing: {reason}" for reason, count in started.skipped.items())
    unfit = "".join(
        f"\n  {count} rows without a fitting {name!r}: learned as missing" for name, count in started.unfit.items()
    )
    return (
        f"{started.snapshot} serves: {started.n_learned} decisions learned from {source}.{skipped}{unfit}\n"
        "Next: manyarm serve, and manyarm learn as outcomes come in"
    )


def _learn(db: Path, campaign: Path, at: datetime | None, gate: Gate | None, *, as_json: bool) -> bool:
    """Learn; with a gate, whether it let through what waited."""
    with opened(db, campaign, at, making=False) as (store, log):
        trainer = Trainer(store, log)
        ruling = pass_gate(store, log, gate, now_or(at)) if gate else None
        training = trainer.step(now_or(at), promoting=gate is None)
        rankings = train_step(store, log.campaign.id, now_or(at))
        serving = trainer.serving_name()
    document: dict[str, object] = {
        "n_matured": training.n_matured,
        "n_learned": training.n_learned,
        "snapshot": training.snapshot,
        "serving": serving,
    }
    if ruling:
        document["gate"] = {"passed": ruling.passed, "reasons": list(ruling.reasons)}
    lines = [_text(training, serving, waits=gate is not None), *(ruling.reasons if ruling else ())]
    if rankings.n_matured or rankings.n_learned:
        document["rankings"] = asdict(rankings)
        lines.append(_rankings_text(rankings))
    answer(document, "\n".join(lines), as_json=as_json)
    return ruling is None or ruling.passed


def _rankings_text(rankings: RankingTraining) -> str:
    served = f"; {rankings.snapshot} serves them" if rankings.snapshot else ""
    return f"Rankings: the wait of {rankings.n_matured} is over, {rankings.n_learned} learned from{served}."


def _text(training: Training, serving: str | None, *, waits: bool) -> str:
    if training.snapshot is None:
        return (
            f"{training.n_matured} decisions matured, none to learn from. Rewards are final when a decision's window has "
            "closed; try again then."
        )
    if training.snapshot != serving and waits:
        return (
            f"{training.n_matured} decisions matured, {training.n_learned} learned from into {training.snapshot}; {serving} "
            "serves until the next `manyarm learn --gate` has judged the new one by sends it has not seen."
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
