"""`manyarm compare`: does the learner earn more than business as usual, and which arms work?"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import click

from bandit.campaign import Campaign
from bandit.errors import UnusableLog
from bandit.reward import REWARD
from evaluation.contrast_scores import Weighting
from evaluation.log_batch import LogBatch
from service.checked_campaign import checked_campaign
from service.commands.mapping import column_map, conditions, names_in
from service.commands.options import answer, json_option, opened, progress, require_folder, write_page
from service.compared_log import ALL_GROUPS, ComparedLog, from_export, from_store, from_table
from service.comparing import Wanted, compared
from service.comparison_page import page_of
from service.comparison_report import document_of, text_of
from service.export_source import ExportSource
from service.fixed_split_asking import SplitColumns, SplitLog, ask_split, read_split, split_of
from service.fixed_split_report import document_of as split_document
from service.fixed_split_report import text_of as split_text
from service.foreign_log import ForeignLog, kept_rows, require_columns
from service.log_source import ForeignSource
from service.store import Log, Store
from service.store_comparing import compare_store
from service.table import columns_in


@click.command(
    epilog="Example:  manyarm compare --db manyarm.db --by engagement_level --planned 30000 --html comparison.html"
)
@click.argument("log", type=click.Path(path_type=Path), required=False)
@click.option("--db", type=click.Path(path_type=Path, exists=True), help="Our database, as the log itself.")
@click.option(
    "--campaign", type=click.Path(path_type=Path, exists=True), default=None,
    help="The campaign file that made the log; knows shares of groups and what a reward can be.",
)  # fmt: skip
@click.option("--by", default="", help="A context name: explore groups and arms in each of its values.")
@click.option("--metric", default=REWARD, show_default=True, help="A type of outcome (--db), or a column of the log.")
@click.option("--planned", type=click.IntRange(min=1), help="Sends after which the classical test is read, once.")
@click.option(
    "--margin", type=float, help="Difference in a send's reward that would not matter. [a tenth of control's]"
)
@click.option(
    "--weighting", type=click.Choice([one.value for one in Weighting]), default=Weighting.OVERLAP.value,
    show_default=True, help="Between arms: sends that tell arms apart count more, or all alike.",
)  # fmt: skip
@click.option(
    "--guardrail", "guardrails", multiple=True, help="--db: outcome that must not rise. [those worth less than 0]"
)
@click.option("--reward-range", type=float, nargs=2, help="Least and largest reward a send can have.")
@click.option(
    "--confidence", type=click.FloatRange(0, 1, min_open=True, max_open=True), default=0.95, show_default=True
)
@click.option("--arm", default="", help="Column with the arm, where somebody else wrote the log.")
@click.option("--reward", default="", help="With --arm: column with the reward, a number.")
@click.option(
    "--propensity", default="", help="With --arm: the probability the arm was drawn with, a column or a number."
)
@click.option("--context", default="", help="With --arm: columns known before the draw, separated by commas.")
@click.option(
    "--where", multiple=True, metavar="COLUMN=VALUE|VALUE", help="With --arm: only rows with one of these values."
)
@click.option("--customer", default="", help="With --arm: column with the customer. [each row is another one]")
@click.option(
    "--fixed-split",
    is_flag=True,
    help="Classical tests: each customer got one arm (our logs: one group) by a fixed share.",
)
@click.option("--baseline", default="", help="With --fixed-split: the arm that others are held against. [most sends]")
@click.option(
    "--time", default="", help="With --fixed-split and --arm: column with the time to conversion, or watched so far."
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="Write a page to send around.")
@json_option
def compare(  # noqa: PLR0913, PLR0917 - one argument an option
    log: Path | None,
    db: Path | None,
    campaign: Path | None,
    by: str,
    metric: str,
    planned: int | None,
    margin: float | None,
    weighting: str,
    guardrails: tuple[str, ...],
    reward_range: tuple[float, float] | None,
    confidence: float,
    arm: str,
    reward: str,
    propensity: str,
    context: str,
    where: tuple[str, ...],
    customer: str,
    fixed_split: bool,
    baseline: str,
    time: str,
    html: Path | None,
    as_json: bool,
) -> None:
    """Compare groups and arms in LOG (an export, or a table with --arm) or --db; answers that survive a daily look."""
    require_folder(html)
    asked = Asked(log, db, arm, reward, propensity, context, where, customer, time, fixed_split)
    asked.require_fitting(baseline)
    wanted = Wanted(planned, margin, reward_range or None, confidence, Weighting(weighting), by, guardrails)
    with ExitStack() as stack:
        kept = stack.enter_context(opened(db, campaign or Path("campaign.toml"), beginning=False)) if db else None
        declared = checked_campaign(campaign) if campaign else None
        if fixed_split:
            split = asked.split() if arm else split_of(_read(asked, kept, declared, metric, by), by)
            found = ask_split(split, reward or metric, baseline, confidence)
            answer(split_document(found), split_text(found), as_json=as_json)
            return
        if kept:
            result = compare_store(*kept, wanted, metric=metric, watch=_watched)
        else:
            result = compared(_read(asked, None, declared, metric, by), wanted)
    if html:
        write_page(html, page_of(result))
    answer(document_of(result), text_of(result), as_json=as_json)


@dataclass(frozen=True, slots=True)
class Asked:
    """Where the log is, and which of its columns is which."""

    log: Path | None
    db: Path | None
    arm: str
    reward: str
    propensity: str
    context: str
    where: tuple[str, ...]
    customer: str
    time: str
    fixed_split: bool

    def require_fitting(self, baseline: str) -> None:
        """Refuse options that say nothing together."""
        if (self.log is None) == (self.db is None):
            raise click.UsageError("name a log or a database: LOG, or --db without LOG.")
        if baseline and not self.fixed_split:
            raise click.UsageError("--baseline goes with --fixed-split; else each arm is held against the rest.")
        if self.time and not (self.fixed_split and self.arm):
            raise click.UsageError("--time goes with --fixed-split and --arm: it is a column of somebody else's table.")
        if (self.customer or self.where) and not self.arm:
            raise click.UsageError("--customer and --where go with --arm; our logs name their columns.")
        if self.arm and self.log is None:
            raise click.UsageError("--arm is a column of LOG; the database knows its arms.")
        if self.fixed_split and self.arm and not self.reward:
            raise click.UsageError("--fixed-split with --arm needs --reward.")

    def split(self) -> SplitLog:
        """Somebody else's table as a fixed split."""
        if self.log is None:
            raise click.UsageError("--arm is a column of LOG.")
        names, kept = names_in(self.context), conditions(self.where)
        return read_split(self.log, SplitColumns(self.arm, self.reward, self.customer, names, self.time, kept))


def _read(asked: Asked, kept: tuple[Store, Log] | None, declared: Campaign | None, metric: str, by: str) -> ComparedLog:
    if kept:
        return from_store(*kept, metric, by, _watched)
    if asked.log is None:
        raise click.UsageError("name a log or a database.")
    columns = column_map(asked.arm, asked.reward, asked.propensity, asked.context, asked.where)
    if columns is None:
        targets = () if metric == REWARD else (metric,)
        if metric not in {REWARD, *columns_in(asked.log)}:
            raise UnusableLog(f"--metric {metric!r}: {asked.log} has no such column. Name one that holds numbers.")
        return from_export(ExportSource.read(asked.log, ALL_GROUPS, declared, targets), metric, by, _watched)
    if metric != REWARD:
        raise click.UsageError("--metric names a column of our logs; with --arm it is --reward.")
    require_columns(asked.log, columns, (asked.customer,) if asked.customer else ())
    keys = [str(row[asked.customer]) for row in kept_rows(asked.log, columns.where)] if asked.customer else None
    return from_table(ForeignSource(ForeignLog.read(asked.log, columns)), by, keys, _watched)


def _watched(batches: Iterable[LogBatch]) -> Iterator[LogBatch]:
    with progress(batches, "reading") as bar:
        yield from bar
