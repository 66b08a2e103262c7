"""`manyarm replay`: what would a policy have earned on a randomised log that others wrote?"""

from __future__ import annotations

from pathlib import Path

import click
import numpy as np

from bandit.campaign import Campaign, LearnerSpec, PolicySpec
from bandit.errors import InvalidSettings
from bandit.group import Group
from bandit.learners import learner_for
from bandit.policy import Policy
from evaluation.intervals import Interval, mean_interval
from policies.fixed import Fixed
from policies.floor import Floor
from policies.registry import policy_of
from policies.uniform import Uniform
from service.commands.options import answer, json_option, progress
from service.foreign_log import ColumnMap, ForeignLog
from simulator.rejection import Rejection, Replayed

FIXED = "fixed:"


@click.command(
    epilog="Example:  manyarm replay hillstrom.csv.gz --arm segment --reward visit --propensity 0.3333 "
    "--context recency,history,mens,womens,zip_code,newbie,channel --policy squarecb"
)
@click.argument("log", type=click.Path(path_type=Path))
@click.option("--arm", required=True, help="Column with the arm that was sent.")
@click.option("--reward", required=True, help="Column with the reward, a number.")
@click.option("--propensity", required=True, help="Column with the probability the arm was drawn with, or one number.")
@click.option("--context", default="", help="Columns known before the draw, separated by commas.")
@click.option("--policy", "name", default="squarecb", show_default=True, help="A policy's name, or fixed:ARM.")
@click.option("--floor", type=click.FloatRange(0, 1), default=0.05, show_default=True, help="Share spread evenly.")
@click.option(
    "--holdout",
    type=click.FloatRange(0, 1, max_open=True),
    default=0.0,
    help="Last share of the rows, never learned from; if given, only they count.",
)
@click.option(
    "--update-every", type=click.IntRange(min=1), default=100, show_default=True, help="Kept rows between updates."
)
@click.option("--seed", type=int, default=0, show_default=True)
@json_option
def replay(  # noqa: PLR0913, PLR0917 - one argument an option
    log: Path,
    arm: str,
    reward: str,
    propensity: str,
    context: str,
    name: str,
    floor: float,
    holdout: float,
    update_every: int,
    seed: int,
    as_json: bool,
) -> None:
    """Replay the randomised LOG (CSV or Parquet) under a policy that learns as it goes (Li et al. 2011).

    Row after row the policy chooses; rows where it chose what was logged are kept and learned from, the others are as if
    they had never been.
    """
    columns = ColumnMap(arm, reward, propensity, tuple(column for column in context.split(",") if column))
    found = ForeignLog.read(log, columns)
    campaign, policy = _campaign_and_policy(found, name, floor)
    learn_rows = found.n_rows - round(holdout * found.n_rows) if holdout else None
    rejection = Rejection(
        campaign,
        {Group.LEARNER: policy, Group.RANDOM: Uniform(), Group.CONTROL: Uniform()},
        learner_for(campaign.learner, policy.needs),
        found.least_propensity,
        seed,
        update_every,
        learn_rows,
    )
    with progress(found.rows(), "replaying", found.n_rows) as rows:
        replayed = rejection.replay(rows)
    interval = mean_interval(np.array(replayed.rewards))
    answer(_document(replayed, interval), _text(name, replayed, interval, holdout), as_json=as_json)


def _campaign_and_policy(log: ForeignLog, name: str, floor: float) -> tuple[Campaign, Policy]:
    if not name.startswith(FIXED):
        spec = PolicySpec(name, floor)
        return log.campaign(spec, LearnerSpec()), policy_of(spec)
    campaign = log.campaign(PolicySpec("uniform", 0.0), LearnerSpec())
    wanted = name.removeprefix(FIXED)
    if wanted not in campaign.dimensions[0]:
        raise InvalidSettings(f"policy {name!r}: the log has no arm {wanted!r}. It has: {', '.join(log.arms[:20])}.")
    return campaign, Floor(Fixed(campaign.picks_of({log.columns.arm: wanted})), 0.0)


def _document(replayed: Replayed, interval: Interval) -> dict[str, object]:
    return {
        "n_rows": replayed.n_rows,
        "n_kept": len(replayed.rewards),
        "logged_mean": replayed.logged_mean,
        "policy_mean": interval.estimate,
        "ci_lower": interval.ci_lower,
        "ci_upper": interval.ci_upper,
        "last_half_mean": replayed.last_half_mean,
    }


def _text(name: str, replayed: Replayed, interval: Interval, holdout: float) -> str:
    between = f"95 % {interval.ci_lower:.4f} to {interval.ci_upper:.4f}"
    n_counted = round(holdout * replayed.n_rows) if holdout else replayed.n_rows
    counted = f"held-out rows (the last {holdout:.0%})" if holdout else "rows"
    return "\n".join(
        [
            f"{name}: kept {len(replayed.rewards)} of {n_counted} {counted}",
            f"  logged mean      {replayed.logged_mean:.4f}",
            f"  policy mean      {interval.estimate:.4f}  ({between}, {interval.method})",
            f"  last half mean   {replayed.last_half_mean:.4f}",
        ]
    )
