"""Rules between arms that follow from other tables of the campaign file: channels, hours, arms that send nothing."""

from __future__ import annotations

from collections.abc import Mapping

from bandit.campaign import PolicySpec
from bandit.channel import read_channels, refuse_impossible_control, with_channels
from bandit.dimension import Dimension
from bandit.fault import Fault, Reader
from bandit.group import Groups
from bandit.limits import Limits
from bandit.schema import Schema
from bandit.send_slots import SendSlots
from bandit.send_slots_table import Surroundings, read_send_slots, refuse_slots_elsewhere, slots_dimension


def ruled_by_channels(
    root: Reader, tables: Mapping[str, object], listed: tuple[Dimension, ...], groups: Groups, policy: PolicySpec
) -> tuple[Dimension, ...]:
    """The dimensions with the rules that follow from `[channels]`."""
    slots = slots_dimension(tables)
    channels = read_channels(root.table("channels"), listed, slots)
    if channels and not policy.interactions:
        advice = "true, or no [channels]: independent dimensions cannot look at the channel picked"
        root.faults.append(Fault("policy.interactions", "false, while channels limit arms", advice))
    ruled = with_channels(listed, channels, slots, root.faults)
    refuse_impossible_control(ruled, groups.control_choice, root.faults)
    return ruled


def send_slots_of(
    root: Reader, schema: Schema, dimensions: tuple[Dimension, ...], limits: Limits | None, zone: str, home: str
) -> SendSlots | None:
    """The table; the zone is named once, here or in one of the tables that need it too."""
    quiet_hours = limits.quiet_hours if limits else None
    around = Surroundings(schema, home, quiet_hours, (quiet_hours.zone if quiet_hours else "") or zone)
    asked = "send_slots" in root.names()
    found = read_send_slots(root.table("send_slots"), dimensions, around) if asked else None
    refuse_slots_elsewhere(dimensions, found, root.faults)
    return found


def refuse_an_end_of_independent_dimensions(
    policy: PolicySpec, dimensions: tuple[Dimension, ...], faults: list[Fault]
) -> None:
    """Note an arm that sends nothing where later dimensions could not see it."""
    ends = [d.name for d in dimensions[:-1] if d.silent is not None]
    if ends and not policy.interactions:
        advice = "true, or no_send in the last dimension only: independent dimensions cannot look at earlier picks"
        faults.append(Fault("policy.interactions", f"false, while {', '.join(ends)} may end the choice", advice))
