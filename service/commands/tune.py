"""`manyarm tune`: rehearse a campaign under other settings, and write the file that fresh worlds say is better."""

from __future__ import annotations

import shlex
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import click

from service.commands.options import (
    answer,
    counted,
    draw_to,
    given_options,
    json_option,
    note,
    require_folder,
    require_picture,
)
from service.commands.world_options import WorldsAsked, world_options
from service.effort import MOST_SEEDS, Effort
from service.table_writer import replacing

SEEDS = click.IntRange(2, MOST_SEEDS)
USUAL = Effort()


@click.command(epilog="Example:  manyarm tune --campaign campaign.toml --scenario steady --trials 40 --out tuned.toml")
@world_options
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), required=True, help="The campaign file to write."
)
@click.option(
    "--sends", "n_sends", type=click.IntRange(min=2), default=USUAL.n_sends, show_default=True, help="A replay."
)
@click.option("--seeds", "n_seeds", type=SEEDS, default=USUAL.n_seeds, show_default=True, help="Worlds of every trial.")
@click.option("--fresh", "n_fresh", type=SEEDS, default=USUAL.n_fresh, show_default=True, help="Worlds that confirm.")
@click.option("--trials", "n_trials", type=click.IntRange(min=1), default=USUAL.n_trials, show_default=True)
@click.option(
    "--budget", type=click.FloatRange(min=0, min_open=True), metavar="MINUTES", help="Begin no trial after that."
)
@click.option(
    "--penalty",
    type=click.FloatRange(min=0),
    default=USUAL.penalty,
    show_default=True,
    help="Share of the standard deviation over worlds that is taken off the mean gain.",
)
@click.option("--policy", "policies", multiple=True, help="Choose from these policies, beside the campaign's own.")
@click.option(
    "--study", type=click.Path(path_type=Path, dir_okay=False), help="Where the search is kept; OUT.study if not given."
)
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of the worlds and the search.")
@click.option("--processes", type=click.IntRange(min=1), default=2, show_default=True, help="Replays at a time.")
@click.option("--picture", type=click.Path(path_type=Path, dir_okay=False), help="Draw trials and what mattered (PNG).")
@json_option
@click.pass_context
def tune(  # noqa: PLR0913, PLR0917 - one argument an option
    ctx: click.Context,
    asked: WorldsAsked,
    out: Path,
    n_sends: int,
    n_seeds: int,
    n_fresh: int,
    n_trials: int,
    budget: float | None,
    penalty: float,
    policies: tuple[str, ...],
    study: Path | None,
    seed: int,
    processes: int,
    picture: Path | None,
    as_json: bool,
) -> None:
    """Search policy, learner, floor, random group and learn_every of a campaign in rehearsals, then ask fresh worlds.

    Every trial plays in the same worlds; the best settings then meet the campaign as it is in worlds that nobody has seen.
    Unless the paired 95 % interval of what they add lies above 0, OUT is the campaign as it was, and the exit status is 1.
    The same command again goes on where it was stopped; the control group is never touched.
    """
    # A second of imports that no other command should pay for.
    from service.campaign_tuning import Tuning  # noqa: PLC0415
    from service.tuned_file import tuned_text  # noqa: PLC0415
    from service.tuning_picture import draw_tuning  # noqa: PLC0415
    from service.tuning_report import comment_of, document_of, text_of  # noqa: PLC0415

    for file, option in ((out, "--out"), (study, "--study")):
        require_folder(file, option)
    require_picture(picture, "--picture")
    if asked.fit and asked.columns and not asked.campaign:
        raise click.UsageError(
            "a table brings no campaign file that could be tuned: name one with --campaign, whose one dimension has the "
            "table's arms."
        )
    if asked.campaign and out.exists() and out.samefile(asked.campaign):
        raise click.UsageError(f"--out {out} is the campaign itself, which the search starts from: name another file.")
    campaign, worlds = asked.worlds(usual="steady")
    tuning = Tuning(campaign, worlds, Effort(n_sends, n_seeds, n_fresh, n_trials, seed, penalty), policies)
    kept = tuning.study(study or out.with_name(f"{out.name}.study"))
    if kept.trials:
        note(f"going on with a study of {len(kept.trials)} trials")
    with counted(n_trials - len(kept.trials), "tuning") as watch:
        tuned = tuning.run(kept, n_processes=processes, is_over=_over_after(budget), watch=watch)
    settings = tuned.best.settings if tuned.is_better else tuning.space.usual
    _write(out, tuned_text(campaign.toml, settings, comment_of(tuning, tuned, _command(ctx))))
    if picture:
        draw_to(picture, partial(draw_tuning, study=kept, trials=tuned.trials))
    answer(document_of(tuning, tuned), text_of(tuning, tuned, str(out)), as_json=as_json)
    ctx.exit(0 if tuned.is_better else 1)


def _over_after(minutes: float | None) -> Callable[[], bool]:
    end = None if minutes is None else time.monotonic() + 60.0 * minutes
    return lambda: end is not None and time.monotonic() > end


def _write(path: Path, text: str) -> None:
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8")


def _command(ctx: click.Context) -> str:
    """The command as it was given."""
    words = ["manyarm", "tune"]
    for option in given_options(ctx):
        value = ctx.params[str(option.name)]
        for one in value if isinstance(value, tuple) else (value,):
            words += [option.opts[-1]] if one is True else [option.opts[-1], str(one)]
    return shlex.join(words)
