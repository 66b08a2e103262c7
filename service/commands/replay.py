"""`manyarm replay`: live through a campaign that was not sent, in a made-up world or in somebody's randomised log."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from pathlib import Path

import click

from bandit.campaign import Campaign
from service.commands.options import (
    answer,
    counted,
    draw_to,
    given_options,
    json_option,
    progress,
    require_folder,
    require_picture,
    write_page,
)
from service.commands.world_options import WorldsAsked, world_options
from service.contenders import CAMPAIGN_FILE, WAYS, contender_of
from service.fit_asked import FittedWorlds, without_effects
from service.fitted_report import draw_reliability, fit_document, fit_text
from service.foreign_log import ForeignLog
from service.log_replaying import LogReplay, replay_by_rejection, replay_doubly_robust
from service.rehearsal_page import page_of
from service.rehearsal_report import document_of as rehearsal_document
from service.rehearsal_report import text_of as rehearsal_text
from service.rehearsing import rehearse_campaign
from service.replay_picture import draw_replay
from service.replay_report import ReplayReport, document_of, text_of
from service.replaying import Contender, run_all
from simulator.faults import FAULTS, RowFault, faults_of
from simulator.replay import Worlds
from simulator.replayed import DAY

REPLAYABLE = [name for name in FAULTS if not isinstance(faults_of([name]).faults[0], RowFault)]
"""Faults of stored rows need a store; `manyarm demo` has one."""
OF_LOGS = ("doubly_robust", "floor", "holdout", "update_every")
OF_WORLDS = ("scenario", "fit", "sent_at", "rates", "customers", "campaign", "n_sends", "n_seeds", "processes")
OF_REHEARSALS = ("rehearse", "html")
ELSEWHERE = ("batch_hours", "faults", "picture", "calibration")
"""Options by what they belong to; the last ones to worlds, but not to rehearsals."""
USUAL_SENDS, USUAL_SEEDS, USUAL_POLICY = 20_000, 4, "squarecb"


@dataclass(frozen=True, slots=True)
class Sizes:
    """How much is replayed: sends of a replay, seeds from the first on, processes."""

    n_sends: int
    seeds: Sequence[int]
    n_processes: int


@click.command(
    epilog="Example:  manyarm replay --scenario steady --policy squarecb --policy uniform --sends 5000 --seeds 4"
)
@click.argument("log", type=click.Path(path_type=Path), required=False)
@world_options
@click.option(
    "--rehearse", type=click.Path(path_type=Path), help="A campaign file: say what to expect of it, on one page."
)
@click.option(
    "--policy",
    "names",
    multiple=True,
    help=f"Who plays, once for each; the campaign as it is where none is named (squarecb in a LOG): {WAYS}.",
)
@click.option("--sends", "n_sends", type=click.IntRange(min=2), default=USUAL_SENDS, show_default=True)
@click.option("--seeds", "n_seeds", type=click.IntRange(min=1), default=USUAL_SEEDS, show_default=True, help="Worlds.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="The first of them.")
@click.option(
    "--batch-hours",
    type=click.FloatRange(min=0, min_open=True),
    help="Time between two visits of the trainer; where it is not given, the campaign's learn_every, or 24.",
)
@click.option("--fault", "faults", multiple=True, metavar="NAME[=SHARE]", help=f"In a world: {', '.join(REPLAYABLE)}.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True)
@click.option(
    "--doubly-robust", is_flag=True, help="Of LOG: use every row, with a model of rewards, instead of the matches."
)
@click.option(
    "--floor", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="Of LOG: share spread evenly."
)
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Of LOG: last share of the rows, never learned from; if given, only they count.",
)
@click.option(
    "--update-every",
    type=click.IntRange(min=1),
    default=100,
    show_default=True,
    help="Of LOG: kept rows between updates.",
)
@click.option(
    "--picture", type=click.Path(path_type=Path, dir_okay=False), help="Write curves of reward and regret (PNG)."
)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path, dir_okay=False),
    help="With --fit: draw predicted against observed rates (PNG).",
)
@click.option("--html", type=click.Path(path_type=Path, dir_okay=False), help="With --rehearse: write the page.")
@json_option
def replay(  # noqa: PLR0913, PLR0917 - one argument an option
    log: Path | None,
    asked: WorldsAsked,
    rehearse: Path | None,
    names: tuple[str, ...],
    n_sends: int,
    n_seeds: int,
    seed: int,
    batch_hours: float | None,
    faults: tuple[str, ...],
    processes: int,
    doubly_robust: bool,
    floor: float,
    holdout: float,
    update_every: int,
    picture: Path | None,
    calibration: Path | None,
    html: Path | None,
    as_json: bool,
) -> None:
    """Replay a campaign: in a made-up world (--scenario), a fitted one (--fit), or the randomised LOG of somebody else.

    In a world several policies meet the same customers with the same luck, and true rewards are known. In LOG (CSV or
    Parquet, with --arm, --reward and --propensity) a policy learns as it goes from the rows in which it chose what was
    sent (Li et al. 2011), or from every row (--doubly-robust; Dudik et al. 2012). --rehearse CAMPAIGN says before the
    first send what a campaign will show.
    """
    require_folder(html)
    for file, option in ((picture, "--picture"), (calibration, "--calibration")):
        require_picture(file, option)
    sizes = Sizes(n_sends, range(seed, seed + n_seeds), processes)
    step = timedelta(hours=batch_hours) if batch_hours else None
    if log is not None:
        _refuse((*OF_WORLDS, *OF_REHEARSALS, *ELSEWHERE), "a LOG that is replayed row by row")
        _replay_log(log, asked, names, LogReplay(floor, holdout, update_every, seed), doubly_robust, as_json)
    elif rehearse is not None:
        _refuse((*OF_LOGS, *ELSEWHERE, "names", "campaign"), "--rehearse, which plays one campaign as its file says")
        _rehearse(rehearse, asked, sizes, html, as_json)
    else:
        _refuse((*OF_LOGS, *OF_REHEARSALS), "a world")
        if calibration and not asked.fit:
            raise click.UsageError("--calibration draws how a fitted world fits: it goes with --fit.")
        _replay_worlds(asked, names, step, faults, sizes, (picture, calibration), as_json)


def _refuse(names: Sequence[str], where: str) -> None:
    """Refuse options that were given and would be ignored."""
    given = [option.opts[0] for option in given_options(click.get_current_context()) if option.name in names]
    if given:
        raise click.UsageError(f"{', '.join(given)} mean nothing with {where}: leave them out.")


def _replay_log(
    path: Path, asked: WorldsAsked, names: Sequence[str], how: LogReplay, doubly_robust: bool, as_json: bool
) -> None:
    columns = asked.columns
    if columns is None:
        raise click.UsageError("a log is replayed by its columns: name them with --arm, --reward and --propensity.")
    log = ForeignLog.read(path, columns)
    run = replay_doubly_robust if doubly_robust else replay_by_rejection
    found = [run(log, name, how, progress) for name in names or (USUAL_POLICY,)]
    document = found[0].document if len(found) == 1 else {"policies": {one.name: one.document for one in found}}
    answer(document, "\n".join(one.text for one in found), as_json=as_json)


def _rehearse(path: Path, asked: WorldsAsked, sizes: Sizes, html: Path | None, as_json: bool) -> None:
    campaign, worlds = replace(asked, campaign=path).worlds(usual="steady")
    rehearse = functools.partial(
        rehearse_campaign,
        campaign,
        worlds,
        n_sends=sizes.n_sends,
        seeds=sizes.seeds,
        without_effects=without_effects(worlds),
        n_processes=sizes.n_processes,
    )
    with counted(len(sizes.seeds), "rehearsing") as watch:
        found = rehearse(watch=watch)
    if html:
        write_page(html, page_of(found))
    answer(rehearsal_document(found), rehearsal_text(found), as_json=as_json)


def _replay_worlds(
    asked: WorldsAsked,
    names: Sequence[str],
    step: timedelta | None,
    faults: Sequence[str],
    sizes: Sizes,
    pictures: tuple[Path | None, Path | None],
    as_json: bool,
) -> None:
    (picture, calibration), (campaign, worlds) = pictures, asked.worlds()
    faults_of(faults)
    as_it_is = Contender(campaign.policy.name, campaign, step or campaign.learn_every or DAY)
    contenders = [_contender(name, campaign, step) for name in names] or [as_it_is]
    with counted(len(sizes.seeds), "replaying") as watch:
        runs = run_all(
            contenders, worlds, sizes.n_sends, sizes.seeds, faults=faults, n_processes=sizes.n_processes, watch=watch
        )
    with_faults = f"{worlds}, with {', '.join(faults)}" if faults else str(worlds)
    report = ReplayReport.of(with_faults, campaign.id, runs)
    if picture:
        draw_to(picture, functools.partial(draw_replay, report=report))
    if calibration and isinstance(worlds, FittedWorlds):
        draw_to(calibration, functools.partial(draw_reliability, world=worlds.world))
    answer(*_with_fit(worlds, document_of(report), text_of(report)), as_json=as_json)


def _with_fit(worlds: Worlds, document: dict[str, object], text: str) -> tuple[dict[str, object], str]:
    """What a fitted world is worth comes before what was found in it."""
    if not isinstance(worlds, FittedWorlds):
        return document, text
    world, trust = worlds.world, worlds.trust
    return {**document, "fit": fit_document(world, trust)}, f"{fit_text(world, trust)}\n\n{text}"


def _contender(name: str, campaign: Campaign, step: timedelta | None) -> Contender:
    found = contender_of(name, campaign, step or campaign.learn_every or DAY)
    own = found.campaign.learn_every
    return replace(found, step=own) if own and step is None and name.endswith(CAMPAIGN_FILE) else found
