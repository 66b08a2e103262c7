"""The campaign: everything the marketer wrote down, checked and frozen."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bandit.content import Content
from bandit.context import Context, ContextValue, EncodedContext
from bandit.dimension import Dimension
from bandit.eligibility import Eligibility
from bandit.fatigue import Cap, Sent
from bandit.group import Groups
from bandit.limits import Limits
from bandit.privacy import Privacy
from bandit.profile.spec import ProfileSpec
from bandit.reward import RewardSpec
from bandit.schema import Schema
from bandit.send_slots import SendSlots
from bandit.time_context import TimeContext
from bandit.wear_out import PastSend, WearOut, exposures_of

CHANNEL = "channel"
"""The dimension whose arms say through what a message goes out."""
Option = str | float | bool
"""One setting of a policy or a learner."""
DEFAULT_FLOOR = 0.02
"""What the floor costs is this share of everything that could be gained; docs/decisions/0007 says what it buys."""


@dataclass(frozen=True, slots=True)
class PolicySpec:
    """The `[policy]` table: a name from the registry of policies, the floor, and the policy's own options."""

    name: str = "squarecb"
    floor: float = DEFAULT_FLOOR
    interactions: bool = True
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class LearnerSpec:
    """The `[learner]` table; without a name, the first learner that provides what the policy needs."""

    name: str = ""
    options: Mapping[str, Option] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Campaign:
    """A checked campaign; make one with `bandit.load_campaign` or `bandit.read_campaign`.

    `content_hash` covers what the file says and not how it is laid out: comments, spaces, the order of keys and
    `[privacy].retention` do not change it, everything else begins a new log. `wear_out` and `learn_every`, the time
    between two steps of the trainer, are None where the file does not ask for them. `silent` is the arm of the last dimension
    that sends nothing, None where every choice is a message; `channel` the place of the dimension of channels, None without;
    `declared` are the fields of `schema` that a caller gives, for the others are made of the time; `looks_back` is for how long
    an earlier send to the same customer matters to a decision, None where it does not; `eligibility` are the rules between arms,
    prepared for whoever asks what is eligible.
    """

    id: str
    schema: Schema
    dimensions: tuple[Dimension, ...]
    reward: RewardSpec
    groups: Groups = field(default_factory=Groups)
    policy: PolicySpec = field(default_factory=PolicySpec)
    learner: LearnerSpec = field(default_factory=LearnerSpec)
    timezone: str = "UTC"
    wear_out: WearOut | None = None
    content_hash: str = ""
    toml: str = field(default="", repr=False)
    learn_every: timedelta | None = None
    privacy: Privacy = field(default_factory=Privacy)
    limits: Limits | None = None
    content: Content = field(default_factory=Content)
    send_slots: SendSlots | None = None
    time: TimeContext | None = None
    profile: ProfileSpec | None = None
    silent: str | None = field(init=False, repr=False, compare=False, default=None)
    channel: int | None = field(init=False, repr=False, compare=False, default=None)
    declared: Schema = field(init=False, repr=False, compare=False)
    looks_back: timedelta | None = field(init=False, repr=False, compare=False, default=None)
    eligibility: Eligibility = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "eligibility", Eligibility(self.dimensions))
        # A choice that ended has an arm that sends nothing in every later dimension, so the last one says it.
        object.__setattr__(self, "silent", self.dimensions[-1].silent if self.dimensions else None)
        places = {dimension.name: d for d, dimension in enumerate(self.dimensions)}
        object.__setattr__(self, "channel", places.get(CHANNEL))
        object.__setattr__(self, "declared", self._without_made())
        recent_send = self.reward.recent_send
        spans = [self.wear_out.window] if self.wear_out else []
        spans += [recent_send.within] if recent_send else []
        object.__setattr__(self, "looks_back", max(spans, default=None))

    def _without_made(self) -> Schema:
        if self.time is None:
            return self.schema
        return Schema(tuple(item for item in self.schema.fields if item.name not in self.time.kinds))

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of arms of each dimension."""
        return tuple(len(dimension.arms) for dimension in self.dimensions)

    def completed(self, context: Context, at: datetime) -> Context:
        """What a caller knows of a customer, with the fields that are made of the time; see `bandit.time_context`.

        Args:
            context: the declared fields.
            at: time of the decision, with a zone.

        Raises:
            InvalidContext: if the caller gives a made field, or a zone that is none.
        """
        return self.time.completed(context, at) if self.time else context

    def with_past(self, encoded: EncodedContext, past: Sequence[PastSend], at: datetime) -> EncodedContext:
        """A context with what the campaign counts of a customer's earlier sends.

        Args:
            encoded: as used.
            past: what the customer got before, in any order.
            at: time of the decision.
        """
        recent_send = self.reward.recent_send
        if self.wear_out and past:
            encoded = encoded._replace(exposures=exposures_of(self.dimensions, self.wear_out, past, at))
        return encoded._replace(recent_sends=recent_send.count(self.dimensions, past, at)) if recent_send else encoded

    @property
    def zone_fields(self) -> tuple[str, ...]:
        """Context fields that name a customer's IANA zone, in whichever table."""
        quiet_hours = self.limits.quiet_hours if self.limits else None
        asking = (quiet_hours, self.send_slots, self.time)
        return tuple(dict.fromkeys(one.zone for one in asking if one and one.zone))

    @property
    def clock(self) -> str:
        """The first of these, by which a customer's hours go; empty where all live in the campaign's own zone."""
        return next(iter(self.zone_fields), "")

    def given(self, context: Context) -> Mapping[str, ContextValue]:
        """The declared fields as used, for whoever asks when no time is known yet.

        Raises:
            InvalidContext: as `schema.encode`, or if the caller gives a field that is made of the time.
        """
        if self.time:
            self.time.refuse(context.values)
        return self.given_of(self.schema.encode(context).values)

    def given_of(self, values: Mapping[str, ContextValue]) -> Mapping[str, ContextValue]:
        """The part of a context, as used or as logged, that the caller gave."""
        return self.time.without(values) if self.time else values

    def send_at(self, values: Mapping[str, ContextValue], at: datetime, choice: Mapping[str, str]) -> datetime | None:
        """When a choice's message decided at `at` goes out, in UTC.

        Args:
            values: the context as used.
            at: time of the decision.
            choice: one arm a dimension.

        Returns:
            The hour of the chosen send slot; without send slots, the end of quiet hours. None for at once, and for a choice
            that sends nothing.

        Raises:
            InvalidContext: if the context names a zone that is none.
        """
        if self.sends_nothing(choice):
            return None
        if self.send_slots:
            dimension = self.dimensions[self.send_slots.dimension]
            return self.send_slots.times(values, at).send_at[dimension.index_of(choice[dimension.name])]
        return self.limits.send_at(values, at, home=self.timezone) if self.limits else None

    def sends_nothing(self, choice: Mapping[str, str]) -> bool:
        """Whether a choice ends without a message; see `bandit.no_send`."""
        return self.silent is not None and choice[self.dimensions[-1].name] == self.silent

    def reward_of(self, arms: Sequence[str], types: Iterable[str], recent_sends: int | None) -> float:
        """The reward of a matured decision; only a choice that sends something bears what recent messages cost.

        Args:
            arms: of the choice, one a dimension.
            types: what happened within the window.
            recent_sends: messages that its customer had got lately, as its row says; None where it says nothing.
        """
        if recent_sends and arms[-1] != self.silent:
            return self.reward.reward_of(types, recent_sends)
        return self.reward.worth_of(types)

    @property
    def caps(self) -> tuple[Cap, ...]:
        """On messages to a customer; none where the file limits nothing."""
        return self.limits.caps if self.limits else ()

    @property
    def has_caps(self) -> bool:
        """Whether a customer may get only so many messages."""
        return bool(self.caps)

    def message_of(self, arms: Sequence[str], at: datetime, *, is_own: bool = True) -> Sent | None:
        """The message of a choice, as caps count it; None where it sends nothing.

        Args:
            arms: of the choice, one a dimension.
            at: when it goes out.
            is_own: whether it counts as one of the campaign that asks.
        """
        if self.silent is not None and arms[-1] == self.silent:
            return None
        return Sent(at, None if self.channel is None else arms[self.channel], is_own)

    def choice_of(self, picks: Sequence[int]) -> dict[str, str]:
        """Arm ids by dimension for a tuple of positions."""
        return {d.name: d.ids[pick] for d, pick in zip(self.dimensions, picks, strict=True)}

    def picks_of(self, choice: Mapping[str, str]) -> tuple[int, ...]:
        """Positions of a choice's arms, in the order of the dimensions."""
        return tuple(d.index_of(choice[d.name]) for d in self.dimensions)
