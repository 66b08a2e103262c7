"""Rehearse a campaign before its first real send: play it in many worlds, and sum up what they showed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from statistics import fmean, median

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from bandit.errors import InvalidSettings
from bandit.group import Group
from service.campaign_rehearsal import (
    CampaignRehearsal,
    DayCurve,
    FalseWinner,
    GroupLine,
    LateLine,
    LossLine,
    Machines,
    OfSeeds,
    OverSeeds,
    Seen,
    TrueLift,
    VariantLine,
)
from service.exploration_cost import Losses
from service.lift_seen import FirstDays
from service.reactions import WINDOWS
from service.rehearsal_variants import Variant, variants_of
from service.rehearsed_seed import Rehearsal, SeedRun, rehearse_seed
from service.visible_lift import Asked, VisibleLift, visible_lift
from simulator.replay import Worlds
from simulator.scenarios import SCENARIOS
from simulator.seeds import over_seeds

BAND = (0.1, 0.9)
"""Quantiles of the rehearsals between which a curve's band lies."""

Runs = Sequence[SeedRun]
Watch = Callable[[int], None]
LEARNER, RANDOM, CONTROL = Group.LEARNER.value, Group.RANDOM.value, Group.CONTROL.value


def rehearse_campaign(
    campaign: Campaign,
    worlds: Worlds,
    *,
    n_sends: int,
    seeds: Sequence[int],
    without_effects: Worlds | None = SCENARIOS["no-effect"],
    variants: Sequence[Variant] | None = None,
    n_processes: int = 1,
    watch: Watch = lambda _: None,
) -> CampaignRehearsal:
    """Rehearse a campaign in many worlds, and say what to expect of it.

    Args:
        campaign: as planned.
        worlds: in which; the same seed gives the same customers with the same tastes, whatever the policy.
        n_sends: of each rehearsal.
        seeds: one a rehearsal, each once.
        without_effects: worlds in which every message is as good as any other, for false winners; None leaves them out.
        variants: what else is tried in the same worlds; None takes `variants_of`.
        n_processes: how many seeds are played at a time; it changes nothing but the time it takes.
        watch: is told how many seeds are done.

    Raises:
        InvalidSettings: if there is no seed, or one stands there twice.
        ImpossibleWorld: if the worlds without effects have some.
    """
    tried = variants_of(campaign) if variants is None else tuple(variants)
    return rehearse(Rehearsal(campaign, worlds, n_sends, without_effects, tried), seeds, n_processes, watch)


def rehearse(
    rehearsal: Rehearsal, seeds: Sequence[int], n_processes: int = 1, watch: Watch = lambda _: None
) -> CampaignRehearsal:
    """The same with a level of confidence of one's own.

    Args:
        rehearsal: what is rehearsed.
        seeds: one a rehearsal, each once.
        n_processes: how many seeds are played at a time.
        watch: is told how many seeds are done.

    Raises:
        InvalidSettings: if there is no seed, or one stands there twice.
        ImpossibleWorld: if the worlds without effects have some.
    """
    if not seeds or len(set(seeds)) < len(seeds):
        raise InvalidSettings(
            f"seeds are {list(seeds)!r}: every rehearsal needs its own, or the same luck would count twice. Give each once."
        )
    runs = over_seeds(partial(rehearse_seed, rehearsal), seeds, n_processes=n_processes, watch=watch)
    return rehearsed(rehearsal, runs)


def rehearsed(rehearsal: Rehearsal, runs: Runs) -> CampaignRehearsal:
    """Sum up what the seeds showed.

    Args:
        rehearsal: what was rehearsed.
        runs: one a seed, at least one.
    """
    over = partial(OverSeeds.of, confidence_level=rehearsal.confidence_level)
    lift = _lift(rehearsal, runs)
    compared = lift is not None
    return CampaignRehearsal(
        rehearsal.campaign.id,
        tuple(run.seed for run in runs),
        _n_sends(runs),
        fmean(run.n_customers for run in runs),
        fmean(run.days for run in runs),
        rehearsal.confidence_level,
        over(run.value for run in runs),
        over(run.uniform for run in runs),
        over(run.best for run in runs),
        _groups(rehearsal, runs),
        lift,
        _seen(rehearsal, [run.seen for run in runs]) if compared else None,
        _false_winner(rehearsal, runs) if compared else None,
        _losses(rehearsal, runs),
        _visible(rehearsal, runs, lift),
        _variants(rehearsal, runs),
        _late(runs),
        _machines(rehearsal, runs),
        fmean(run.n_fallbacks for run in runs),
        fmean(run.n_capped for run in runs),
        _curves(runs),
    )


def _n_sends(runs: Runs) -> int:
    """Worlds of a small list send fewer than they were asked for."""
    return round(fmean(sum(group.n_sends for group in run.groups.values()) for run in runs))


def _groups(rehearsal: Rehearsal, runs: Runs) -> tuple[GroupLine, ...]:
    lines = []
    for group in Group:
        earned = [run.groups[group.value] for run in runs if group.value in run.groups]
        if earned:
            value = OverSeeds.of((one.value for one in earned), rehearsal.confidence_level)
            unsent = None if rehearsal.campaign.silent is None else fmean(one.unsent for one in earned)
            lines.append(GroupLine(group.value, fmean(one.n_sends for one in earned), value, unsent))
    return tuple(lines)


def _lift(rehearsal: Rehearsal, runs: Runs) -> TrueLift | None:
    """Learner minus control for the same kind of customers: who is in which group is a matter of luck, and taken out."""
    both = [run for run in runs if {LEARNER, CONTROL} <= run.groups.keys()]
    if not both:
        return None
    gains = [run.groups[LEARNER].above_random - run.groups[CONTROL].above_random for run in both]
    bases = [run.uniform + run.groups[CONTROL].above_random for run in both]
    level, campaign = rehearsal.confidence_level, rehearsal.campaign
    # Who sends nothing earns nothing: what the bases are then is the luck of who is in which group.
    told = min(bases) > 0 and not campaign.sends_nothing(campaign.groups.control_choice)
    relative = OverSeeds.of((gain / base for gain, base in zip(gains, bases, strict=True)), level) if told else None
    return TrueLift(OverSeeds.of(gains, level), relative)


def _seen(rehearsal: Rehearsal, found: Sequence[FirstDays]) -> Seen:
    days = [one.better for one in found if one.better is not None]
    better, worse = [one.better is not None for one in found], [one.worse is not None for one in found]
    level = rehearsal.confidence_level
    return Seen(OfSeeds.where(better, level), OfSeeds.where(worse, level), float(median(days)) if days else None)


def _false_winner(rehearsal: Rehearsal, runs: Runs) -> FalseWinner | None:
    named = [run.named for run in runs if run.named is not None]
    if not named:
        return None
    of = partial(OfSeeds.where, confidence_level=rehearsal.confidence_level)
    return FalseWinner(
        of([one.always_valid.claimed for one in named]),
        of([one.naive.claimed for one in named]),
        of([bool(one.dimensions) for one in named]),
        rehearsal.campaign.silent is not None,
    )


def _losses(rehearsal: Rehearsal, runs: Runs) -> tuple[LossLine, ...]:
    parts = {item.name: [float(getattr(run.losses, item.name)) for run in runs] for item in fields(Losses)}
    parts["total"] = [run.losses.total for run in runs]
    return tuple(_loss_line(rehearsal, name, lost, runs) for name, lost in parts.items())


def _loss_line(rehearsal: Rehearsal, part: str, lost: Sequence[float], runs: Runs) -> LossLine:
    over = partial(OverSeeds.of, confidence_level=rehearsal.confidence_level)
    worth = [run.groups[LEARNER].value for run in runs if LEARNER in run.groups]
    told = len(worth) == len(runs) and min(worth) > 0.0
    sends = over(one / value for one, value in zip(lost, worth, strict=True)) if told else None
    forgone = [
        run.groups[part].n_sends * (run.groups[LEARNER].above_random - run.groups[part].above_random)
        for run in runs
        if {part, LEARNER} <= run.groups.keys() and part != LEARNER
    ]
    return LossLine(part, over(lost), sends, over(forgone) if forgone else None)


def _visible(rehearsal: Rehearsal, runs: Runs, lift: TrueLift | None) -> VisibleLift | None:
    if lift is None:
        return None
    base = fmean(run.groups[CONTROL].rewarded for run in runs if CONTROL in run.groups)
    n_customers = round(fmean(run.n_customers for run in runs))
    correlation = fmean(run.correlation for run in runs)
    relative = lift.relative.mean if lift.relative else None
    asked = Asked(base, n_customers, _n_sends(runs), correlation, relative, 1.0 - rehearsal.confidence_level)
    return visible_lift(rehearsal.campaign, asked)


def _variants(rehearsal: Rehearsal, runs: Runs) -> tuple[VariantLine, ...]:
    planned = fmean(run.value for run in runs)
    lines = []
    for number, variant in enumerate(rehearsal.variants):
        found = [run.variants[number] for run in runs]
        gains = [one.value - run.value for one, run in zip(found, runs, strict=True)]
        difference = OverSeeds.of(gains, rehearsal.confidence_level)
        relative = difference.mean / planned if planned > 0.0 else None
        lines.append(VariantLine(variant.name, difference, relative, _seen(rehearsal, [one.seen for one in found])))
    return tuple(lines)


def _late(runs: Runs) -> tuple[LateLine, ...]:
    lines = []
    for name in runs[0].reactions.n:
        n = sum(run.reactions.n[name] for run in runs)
        late = [sum(run.reactions.late[name][place] for run in runs) for place in range(len(WINDOWS))]
        after = {f"{end:g} windows": count / n if n else None for end, count in zip(WINDOWS, late, strict=True)}
        lines.append(LateLine(name, n / len(runs), after))
    return tuple(lines)


def _machines(rehearsal: Rehearsal, runs: Runs) -> Machines:
    extra = OverSeeds.of(
        (run.reactions.reported - run.reactions.of_persons for run in runs), rehearsal.confidence_level
    )
    true = fmean(run.reactions.of_persons for run in runs)
    return Machines(extra, extra.mean / true if true > 0.0 else None)


def _curves(runs: Runs) -> tuple[DayCurve, ...]:
    names = dict.fromkeys(name for run in runs for name in run.curve)
    n_days = max(len(values) for run in runs for values in run.curve.values())
    return tuple(_day_curve(name, [run.curve[name] for run in runs if name in run.curve], n_days) for name in names)


def _day_curve(name: str, found: Sequence[FloatArray], n_days: int) -> DayCurve:
    padded = [np.concatenate([values, np.full(n_days - len(values), np.nan)]) for values in found]
    days = [column[~np.isnan(column)] for column in np.array(padded).T]

    def told(summed: Callable[[FloatArray], float]) -> tuple[float | None, ...]:
        return tuple(float(summed(day)) if len(day) else None for day in days)

    low, high = BAND
    return DayCurve(
        name, told(np.mean), told(lambda day: np.quantile(day, low)), told(lambda day: np.quantile(day, high))
    )
