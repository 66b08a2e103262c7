"""`manyarm evaluate`: what would another policy have earned, and can this log say?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from pathlib import Path

import click

from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from bandit.group import Group
from evaluation.log_batch import LogBatch
from evaluation.methods import METHODS
from evaluation.overlap import Verdict
from service.checked_campaign import checked_campaign
from service.commands.mapping import column_map
from service.commands.options import (
    answer,
    json_option,
    opened,
    progress,
    require_folder,
    write_page,
)
from service.dsjson_source import DsjsonSource
from service.evaluating import Question, ask
from service.evaluation_report import document_of, page_of, text_of
from service.export_source import ExportSource
from service.foreign_log import ColumnMap, ForeignLog, require_columns
from service.log_source import USUAL_GROUPS, ForeignSource, LogSource, StoreSource
from service.store import Log, Store
from service.target_text import COLUMN, NAMES
from service.unseen import NothingUnseen

GROUPS = tuple(group.value for group in Group)


@click.command(
    epilog="Example:  manyarm evaluate hillstrom.csv.gz --arm segment --reward visit --propensity 0.3333333 "
    "--target 'fixed:Mens E-Mail' --against uniform"
)
@click.argument("log", type=click.Path(path_type=Path), required=False)
@click.option("--target", required=True, help=f"What to ask about: {NAMES}.")
@click.option("--against", default="", help="Hold it against another target; the difference is taken row by row.")
@click.option(
    "--db", type=click.Path(path_type=Path, exists=True), help="Our database: for snapshots, or as the log itself."
)
@click.option("--campaign", type=click.Path(path_type=Path, exists=True), help="The campaign file that made the log.")
@click.option("--arm", default="", help="Column with the arm, where somebody else wrote the log.")
@click.option("--reward", default="", help="With --arm: column with the reward, a number.")
@click.option(
    "--propensity", default="", help="With --arm: column with the probability the arm was drawn with, or a number."
)
@click.option("--context", default="", help="With --arm: columns known before the draw, separated by commas.")
@click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE|VALUE", help="With --arm: only rows with one of these values."
)
@click.option("--estimators", default="", help=f"Instead of the usual ones, some of: {', '.join(METHODS)}.")
@click.option(
    "--group", "groups", multiple=True, type=click.Choice(GROUPS), help="Of our logs, only rows of this group."
)
@click.option(
    "--folds", type=click.IntRange(min=2), help="For targets that learn: folds instead of earlier against later."
)
@click.option("--reward-range", type=float, nargs=2, help="Least and largest reward a send can have.")
@click.option("--largest-weight", type=float, help="Largest weight a send can have: 1 / the least propensity.")
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True
)
@click.option(
    "--bootstrap", type=click.IntRange(min=0), default=0, help="Resamples, for a second interval of each kind."
)
@click.option("--floor", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="Of a policy that learns.")
@click.option("--seed", type=int, default=0, show_default=True, help="Of the bootstrap.")
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page to send around.")
@json_option
@click.pass_context
def evaluate(  # noqa: PLR0913, PLR0917 - one argument an option
    ctx: click.Context,
    log: Path | None,
    target: str,
    against: str,
    db: Path | None,
    campaign: Path | None,
    arm: str,
    reward: str,
    propensity: str,
    context: str,
    where: tuple[str, ...],
    estimators: str,
    groups: tuple[str, ...],
    folds: int | None,
    reward_range: tuple[float, float] | None,
    largest_weight: float | None,
    confidence: float,
    bootstrap: int,
    floor: float,
    seed: int,
    html: Path | None,
    as_json: bool,
) -> None:
    """Say what TARGET would have earned on the sends in LOG: an export, a table with --arm, DSJSON, or --db without LOG.

    Exit 1 where the log cannot answer.
    """
    require_folder(html)
    columns = column_map(arm, reward, propensity, context, where)
    names = tuple(filter(None, estimators.replace(" ", "").split(",")))
    rewards = reward_range or None
    question = Question(
        target, against, names, folds or 0, rewards, largest_weight, confidence, bootstrap, seed, floor
    )  # fmt: skip
    with ExitStack() as stack:
        kept = stack.enter_context(opened(db, campaign or Path("campaign.toml"), beginning=False)) if db else None
        declared = checked_campaign(campaign) if campaign else None
        wanted = tuple(text.removeprefix(COLUMN) for text in (target, against) if text.startswith(COLUMN))
        source = _source(log, columns, kept, declared, frozenset(groups) or USUAL_GROUPS, wanted)
        try:
            found = ask(source, question, kept, _watched)
        except NothingUnseen as nothing:
            _say_nothing(target, str(nothing), as_json=as_json)
            ctx.exit(1)
    if html:
        write_page(html, page_of(found))
    answer(document_of(found), text_of(found), as_json=as_json)
    ctx.exit(1 if found.evaluation.verdict is Verdict.CANNOT_ANSWER else 0)


def _source(
    path: Path | None,
    columns: ColumnMap | None,
    kept: tuple[Store, Log] | None,
    declared: Campaign | None,
    groups: frozenset[str],
    targets: tuple[str, ...],
) -> LogSource:
    if path is None:
        if kept is None:
            raise click.UsageError("name a log, or a database with --db.")
        if targets:
            raise click.UsageError("column:NAME needs a log that is a table; the database has no such column.")
        return StoreSource(*kept, groups)
    if columns:
        require_columns(path, columns, targets)
        return ForeignSource(ForeignLog.read(path, columns), targets)
    if path.name.removesuffix(".gz").endswith((".json", ".dsjson")):
        if targets:
            raise UnusableLog("column:NAME needs a table; DSJSON has no columns.")
        return DsjsonSource.read(path)
    return ExportSource.read(path, groups, declared or (kept[1].campaign if kept else None), targets)


def _say_nothing(target: str, reason: str, *, as_json: bool) -> None:
    verdict = Verdict.CANNOT_ANSWER.value
    document = {"target": target, "n": 0, "dropped": {}, "verdict": verdict, "reasons": [reason], "estimators": {}}
    answer(document, f"{verdict.upper()}: {reason}", as_json=as_json)


def _watched(batches: Iterable[LogBatch], label: str) -> Iterator[LogBatch]:
    with progress(batches, label) as bar:
        yield from bar
