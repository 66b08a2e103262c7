"""An arm that wins on average and fails with a large group: what a test without contexts would roll out."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from bandit.arrays import FloatArray
from bandit.campaign import Campaign
from simulator.funnel import Funnel
from simulator.tastes import Tastes
from simulator.world import ImpossibleWorld

_WANTED_SHARE = 0.4
_LOSS = -1.2
"""Logits on a click for those inside the group."""
_MARGIN = 1.35
"""How far the arm's mean odds of a click stand above those of the next; some of it is lost where clicks are frequent."""


def misled(tastes: Tastes, campaign: Campaign, funnel: Funnel, features: FloatArray) -> Tastes:
    """The same tastes with one arm that is clicked most on average, and seldom by a group of customers.

    The arm is the last one without rules of the first dimension that has two such arms; the group are the customers
    with that category, or yes or no, that is nearest to two fifths of them.

    Args:
        tastes: to be changed.
        campaign: of these tastes.
        funnel: of the campaign.
        features: of the customers, shape (n, n_features).

    Raises:
        ImpossibleWorld: if no context field could tell the group, or no dimension has two arms without rules.
    """
    group = group_of(campaign, features)
    dimension, place = misleading_arm(campaign)
    click, first, n_arms = funnel.place("click"), tastes.firsts[dimension], tastes.choices.shape[dimension]
    others = [first + other for other in range(n_arms) if other != place]
    steps = [funnel.place("open"), click]
    liked = (tastes.arms[:, steps] + np.tensordot(features, tastes.fit[:, :, steps], axes=1)).sum(axis=2)
    inside = features[:, group].mean()
    # (1 - inside) exp(gain) + inside exp(loss) = the mean odds wanted
    wanted = _MARGIN * np.exp(liked[:, others]).mean(axis=0).max()
    gain = np.log((wanted - inside * np.exp(_LOSS)) / (1.0 - inside))
    arms, fit = tastes.arms.copy(), tastes.fit.copy()
    arms[first + place], fit[:, first + place] = 0.0, 0.0
    arms[first + place, click] = gain
    fit[group, first + place, click] = _LOSS - gain
    return replace(tastes, arms=arms, fit=fit)


def group_of(campaign: Campaign, features: FloatArray) -> int:
    """The feature that tells the group.

    Raises:
        ImpossibleWorld: if no context field could tell one.
    """
    shares = np.where(np.array(campaign.declared.numeric, dtype=np.bool_), -1.0, features.mean(axis=0))
    if not np.any((shares > 0.1) & (shares < 0.9)):
        raise ImpossibleWorld(
            "no category and no yes or no of the context splits the customers in two large groups, so nothing could mislead. "
            "Declare one under [context], or take another scenario."
        )
    return int(np.abs(shares - _WANTED_SHARE).argmin())


def misleading_arm(campaign: Campaign) -> tuple[int, int]:
    """Position of the dimension, and of the arm in it.

    Raises:
        ImpossibleWorld: if no dimension has two arms that everybody may get.
    """
    for number, dimension in enumerate(campaign.dimensions):
        free = [place for place, arm in enumerate(dimension.arms) if not arm.when and not arm.requires]
        if len(free) > 1:
            return number, free[-1]
    raise ImpossibleWorld(
        "no dimension has two arms that everybody may get, so none could mislead: add an arm without rules."
    )
