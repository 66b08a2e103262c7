"""The `[channels.NAME]` tables: how long a text may be for a channel, and at which hours it is used.

What they say becomes rules between arms when the campaign file is read: a subject of 200 characters goes with e-mail and not
with SMS. So arms are removed before the draw, as by any `requires`, and probabilities stay exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

from bandit.campaign import CHANNEL
from bandit.dimension import Arm, Dimension
from bandit.fault import Fault, Reader
from bandit.limits import QuietHours, read_hours
from bandit.send_slots_table import slot_of

LONGEST_TEXT = 1_000_000


@dataclass(frozen=True, slots=True)
class Channel:
    """What one channel can carry.

    Attributes:
        name: the arm of the dimension `channel`.
        longest: characters that the text of an arm may have, by dimension.
        quiet_hours: on the customer's clock; send slots in them do not go with the channel.
        slots: the send slots that do; None for all.
    """

    name: str
    longest: Mapping[str, int] = field(default_factory=dict)
    quiet_hours: QuietHours | None = None
    slots: tuple[str, ...] | None = None

    def takes(self, arm: Arm, dimension: str, slots: str) -> bool:
        """Whether an arm goes with the channel.

        Args:
            arm: of the dimension.
            dimension: its name.
            slots: name of the dimension of send slots.

        >>> Channel("sms", {"subject": 5}).takes(Arm("long", "Hello there"), "subject", "send_slot")
        False
        """
        if len(arm.text) > self.longest.get(dimension, LONGEST_TEXT):
            return False
        if dimension != slots:
            return True
        hour = slot_of(arm)
        is_quiet = self.quiet_hours is not None and hour is not None and self.quiet_hours.has(hour.clock)
        return not is_quiet and (self.slots is None or arm.id in self.slots)


def channels_of(dimensions: Sequence[Dimension]) -> tuple[str, ...]:
    """The channels of a campaign: arms of the dimension `channel` that send something."""
    return tuple(arm.id for one in dimensions if one.name == CHANNEL for arm in one.arms if not arm.no_send)


def read_channels(table: Reader, dimensions: Sequence[Dimension], slots: str | None) -> tuple[Channel, ...]:
    """The tables, with their faults noted.

    Args:
        table: all of them.
        dimensions: of the campaign.
        slots: name of the dimension of send slots; None where there is none.
    """
    known, names = channels_of(dimensions), [one.name for one in dimensions]
    place = names.index(CHANNEL) if CHANNEL in names else len(names)
    found = []
    for name in table.names():
        one = table.table(name)
        if name not in known:
            wanted = f"an arm of the dimension channel: {', '.join(known) or 'the file has no such dimension'}"
            table.fault(name, name, wanted)
        found.append(_channel(name, one, dimensions[place + 1 :], slots))
    return tuple(found)


def _channel(name: str, table: Reader, later: Sequence[Dimension], slots: str | None) -> Channel:
    texts, longest = table.table("longest"), {}
    for dimension in texts.names():
        wanted = "a whole number of characters from 1 on"
        most = texts.number(dimension, low=1, high=LONGEST_TEXT, default=None, wanted=wanted)
        if dimension not in {one.name for one in later}:
            _say_order(texts, dimension, later)
        longest[dimension] = int(most)
    quiet = read_hours(table.table("quiet_hours")) if "quiet_hours" in table.names() else None
    named = table.texts("slots", wanted="a list of send slots") if "slots" in table.names() else None
    table.refuse_the_rest(("longest", "quiet_hours", "slots"))
    hours = next((one for one in later if one.name == slots), None)
    if (quiet or named is not None) and hours is None:
        table.fault("", "hours", "a [send_slots] table whose dimension stands later in the file than channel")
    elif named is not None and hours is not None:
        unknown = [arm for arm in named if arm not in hours]
        if unknown or not named:
            table.fault("slots", unknown or None, f"arms of {hours.name}: {', '.join(hours.ids[:12])}")
    return Channel(name, longest, quiet, named)


def _say_order(table: Reader, dimension: str, later: Sequence[Dimension]) -> None:
    names = ", ".join(one.name for one in later) or "none does"
    table.fault(dimension, dimension, f"a dimension that stands later in the file than channel: {names}")


def with_channels(
    dimensions: Sequence[Dimension], channels: Sequence[Channel], slots: str | None, faults: list[Fault]
) -> tuple[Dimension, ...]:
    """The dimensions with the rules that follow from their channels; arms that no channel takes are faults.

    >>> channel = Dimension("channel", (Arm("email"), Arm("sms")))
    >>> subject = Dimension("subject", (Arm("short", "Hi"), Arm("long", "Good morning")))
    >>> made = with_channels([channel, subject], [Channel("sms", {"subject": 5})], None, [])[1]
    >>> {arm.id: {name: sorted(arms) for name, arms in arm.requires.items()} for arm in made.arms}
    {'short': {}, 'long': {'channel': ['email']}}
    """
    names = [one.name for one in dimensions]
    if not channels or CHANNEL not in names:
        return tuple(dimensions)
    every, by_name, place = channels_of(dimensions), {one.name: one for one in channels}, names.index(CHANNEL)
    found = list(dimensions[: place + 1])
    for dimension in dimensions[place + 1 :]:
        arms = [_ruled(arm, dimension.name, every, by_name, slots or "", faults) for arm in dimension.arms]
        for channel in every:
            if not any(arm.no_send or channel in arm.requires.get(CHANNEL, every) for arm in arms):
                wanted = f"at least one arm of {dimension.name} that it takes: it could never be used"
                faults.append(Fault(f"channels.{channel}", f"no arm of {dimension.name}", wanted))
        found.append(replace(dimension, arms=tuple(arms)))
    return tuple(found)


def _ruled(
    arm: Arm,
    dimension: str,
    every: Sequence[str],
    channels: Mapping[str, Channel],
    slots: str,
    faults: list[Fault],
) -> Arm:
    if arm.no_send:
        return arm
    taken = frozenset(one for one in every if one not in channels or channels[one].takes(arm, dimension, slots))
    if not taken:
        found = f"a text of {len(arm.text)} characters" if arm.text else "an arm"
        wanted = "one that some channel takes: shorten it, or raise a limit under [channels]"
        faults.append(Fault(f"dimension {dimension}, arm {arm.id}", f"{found} that no channel takes", wanted))
        return arm
    if len(taken) == len(every):
        return arm
    both = arm.requires.get(CHANNEL, taken) & taken
    if not both:
        wanted = f"a channel that takes it: {', '.join(sorted(taken))}"
        faults.append(
            Fault(f"dimension {dimension}, arm {arm.id}", f"requires channel {sorted(arm.requires[CHANNEL])}", wanted)
        )
    return replace(arm, requires={**arm.requires, CHANNEL: both})


def refuse_impossible_control(dimensions: Sequence[Dimension], choice: Mapping[str, str], faults: list[Fault]) -> None:
    """Note a control choice of which the channel takes some arm not; business as usual must be possible."""
    channel = choice.get(CHANNEL)
    for dimension in dimensions:
        arm_id = choice.get(dimension.name, "")
        arm = dimension.arms[dimension.index_of(arm_id)] if arm_id in dimension else None
        if arm and channel not in {None, *arm.requires.get(CHANNEL, {channel})}:
            wanted = f"an arm that {channel} takes: business as usual must be possible"
            faults.append(Fault(f"groups.control.choice.{dimension.name}", arm_id, wanted))
