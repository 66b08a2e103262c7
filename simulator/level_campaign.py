"""A level campaign: nothing that is decided changes what anybody earns, so whatever is named a winner is a false one.

In a world without effects every message is as good as any other. Three things would still tell groups apart that decide
differently. Sending nothing earns nothing and costs nothing, which may be better or worse than a message and is no error to
find. A cap on a channel, or on messages that wait for an hour, refuses some sends and not others by what was picked; the
sends that are left then belong to other customers. And with other messages before them they cost something else. All three
are taken out here, and everything else stays as the campaign says.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace

from bandit.campaign import Campaign
from bandit.dimension import Dimension
from bandit.limits import Limits
from bandit.send_slots import SendSlots


def levelled(campaign: Campaign) -> Campaign:
    r"""The campaign for worlds without effects.

    - An arm that sends nothing is a message like any other: it brings what others bring, costs what they cost, and counts for
      caps. It stays where it is, with all rules, so that it can be picked as often, and control may still be fixed to it.
    - Caps on one channel are left out. The others count every decision.
    - Where caps are left, messages with a send slot go out at once, so that no cap depends on the hour that was picked.

    In a world in which the reactions to all choices are alike, rewards, costs and refusals then follow from world and customers
    alone. Groups are drawn by a hash, so between them there is no difference but by that draw, exactly.

    Args:
        campaign: as planned.

    Returns:
        The campaign itself, where nothing had to be changed.

    >>> from bandit.campaign_file import read_campaign
    >>> campaign = read_campaign(
    ...     '[campaign]\nid = "a"\n[[dimension]]\nname = "subject"\narm = [{ id = "a" }, { id = "none", no_send = true }]\n'
    ...     '[reward]\nwindow = "72h"\nevents = { click = 1.0 }\n[limits]\ncaps = [{ most = 1, within = "7d" }]\n'
    ... )
    >>> campaign.sends_nothing({"subject": "none"}), levelled(campaign).sends_nothing({"subject": "none"})
    (True, False)
    """
    limits = _without_channel_caps(campaign.limits)
    changed = replace(
        campaign,
        dimensions=tuple(map(_all_messages, campaign.dimensions)),
        limits=limits,
        send_slots=_at_once(campaign.send_slots) if limits and limits.caps else campaign.send_slots,
    )
    if changed == campaign:
        return campaign
    content_hash = hashlib.blake2b(f"level {campaign.content_hash}".encode(), digest_size=16).hexdigest()
    return replace(changed, content_hash=content_hash, toml="")


def _all_messages(dimension: Dimension) -> Dimension:
    """The dimension with arms that all send something; what was on offer to everybody still is."""
    if dimension.silent is None:
        return dimension
    return replace(dimension, arms=tuple(replace(arm, no_send=False) for arm in dimension.arms), candidates=None)


def _without_channel_caps(limits: Limits | None) -> Limits | None:
    return limits and replace(limits, caps=tuple(cap for cap in limits.caps if not cap.channel))


def _at_once(slots: SendSlots | None) -> SendSlots | None:
    return slots and replace(slots, slots=(None,) * len(slots.slots))
