"""A campaign before new arms arrive or after old ones are retired: the same file with fewer arms."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from bandit.campaign import Campaign
from bandit.dimension import Arm, Dimension
from bandit.send_slots import SendSlots
from simulator.world import ImpossibleWorld

_LEAST_ARMS = 2
_SHARE = 1 / 3
_Messages = Mapping[str, frozenset[str]]
"""Arms that are sent, by the name of their dimension."""
_WHICH = 107  # stream of the seed; see `simulator.drawn_world`


def with_fewer_arms(campaign: Campaign, seed: int) -> Campaign:
    """The campaign without about a third of the messages of each dimension; which ones is drawn.

    Arms of business as usual, arms that others require and arms that send nothing stay, and so do two arms a dimension that
    everybody may get (one where there is no second). That an arm wants a message in an earlier dimension, whichever, is no
    such rule: it wants those that are left. Send slots that stay keep their hours. The content hash is its own, for a changed
    campaign begins a new log; there is no text of a file.

    Args:
        campaign: with all its arms.
        seed: of the draw.

    Raises:
        ImpossibleWorld: if no arm may be left out.
    """
    rng = np.random.default_rng((seed, _WHICH))
    messages, fixed = _messages(campaign), _fixed(campaign)
    dimensions = _asking_what_is_left(_without_some(rng, one, fixed, messages) for one in campaign.dimensions)
    left_out = [
        f"{before.name}={arm}"
        for before, after in zip(campaign.dimensions, dimensions, strict=True)
        for arm in before.ids
        if arm not in after
    ]
    if not left_out:
        raise ImpossibleWorld(
            "every arm of the campaign is business as usual, required by another, or one of the last two of its dimension: "
            "none can arrive or be retired. Take another scenario, or add arms."
        )
    named = "\n".join([campaign.content_hash, *left_out])
    content_hash = hashlib.blake2b(named.encode(), digest_size=16).hexdigest()
    send_slots = campaign.send_slots and _slots_of(campaign.send_slots, campaign.dimensions, dimensions)
    return replace(campaign, dimensions=dimensions, send_slots=send_slots, content_hash=content_hash, toml="")


def _slots_of(slots: SendSlots, before: Sequence[Dimension], after: Sequence[Dimension]) -> SendSlots:
    """The table for the arms that are left."""
    arms, left = before[slots.dimension].ids, after[slots.dimension]
    return replace(slots, slots=tuple(slot for arm, slot in zip(arms, slots.slots, strict=True) if arm in left))


def _messages(campaign: Campaign) -> _Messages:
    """The arms that send something, of each dimension in which another sends nothing: later arms ask for all of them."""
    return {one.name: frozenset(one.ids) - {one.silent} for one in campaign.dimensions if one.silent is not None}


def _fixed(campaign: Campaign) -> set[tuple[str, str]]:
    """Dimension and id of the arms that stay: without them a rule or the control group could not be kept."""
    arms, messages = [arm for dimension in campaign.dimensions for arm in dimension.arms], _messages(campaign)
    required = {(name, one) for arm in arms for name, ids in _own_requires(arm, messages).items() for one in ids}
    # After an arm that ends the choice only its like is left in later dimensions.
    silent = {(dimension.name, arm.id) for dimension in campaign.dimensions for arm in dimension.arms if arm.no_send}
    return required | silent | set(campaign.groups.control_choice.items())


def _own_requires(arm: Arm, messages: _Messages) -> dict[str, frozenset[str]]:
    """What an arm requires besides that there is a message at all."""
    return {name: ids for name, ids in arm.requires.items() if ids != messages.get(name)}


def _without_some(
    rng: np.random.Generator, dimension: Dimension, fixed: set[tuple[str, str]], messages: _Messages
) -> Dimension:
    left = list(dimension.arms)
    wanted = round(_SHARE * sum(not arm.no_send for arm in left))
    for place in rng.permutation(len(left)).tolist():
        arm = dimension.arms[place]
        if wanted and (dimension.name, arm.id) not in fixed and _may_go(arm, left, messages):
            left.remove(arm)
            wanted -= 1
    return replace(dimension, arms=tuple(left))


def _may_go(arm: Arm, left: list[Arm], messages: _Messages) -> bool:
    """Whether two messages, and two that everybody may get, are left without this one."""
    sent = [one for one in left if not one.no_send]
    free = [one for one in sent if not one.when and not _own_requires(one, messages)]
    return len(sent) > _LEAST_ARMS and (arm not in free or len(free) > _LEAST_ARMS)


def _asking_what_is_left(dimensions: Iterable[Dimension]) -> tuple[Dimension, ...]:
    """The dimensions, whose arms no longer require what is gone."""
    found: list[Dimension] = []
    left: dict[str, frozenset[str]] = {}
    for dimension in dimensions:
        asking = [{name: ids & left[name] for name, ids in arm.requires.items()} for arm in dimension.arms]
        arms = tuple(replace(arm, requires=asked) for arm, asked in zip(dimension.arms, asking, strict=True))
        found.append(replace(dimension, arms=arms))
        left[dimension.name] = frozenset(dimension.ids)
    return tuple(found)
