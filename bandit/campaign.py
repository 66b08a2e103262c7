"""The campaign: everything the marketer wrote down, checked and frozen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from bandit.context import ContextValue
from bandit.dimension import Dimension
from bandit.group import Groups
from bandit.limits import Limits
from bandit.privacy import Privacy
from bandit.reward import RewardSpec
from bandit.schema import Schema
from bandit.wear_out import WearOut

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
    between two steps of the trainer, are None where the file does not ask for them.
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

    @property
    def sizes(self) -> tuple[int, ...]:
        """Number of arms of each dimension."""
        return tuple(len(dimension.arms) for dimension in self.dimensions)

    def send_at(self, values: Mapping[str, ContextValue], at: datetime) -> datetime | None:
        """When a message decided at `at` may go out, in UTC; None for at once; see `bandit.limits.Limits.send_at`."""
        return self.limits.send_at(values, at, home=self.timezone) if self.limits else None

    @property
    def has_caps(self) -> bool:
        """Whether a customer may get only so many messages."""
        return self.limits is not None and bool(self.limits.caps)

    def choice_of(self, picks: Sequence[int]) -> dict[str, str]:
        """Arm ids by dimension for a tuple of positions."""
        return {d.name: d.ids[pick] for d, pick in zip(self.dimensions, picks, strict=True)}

    def picks_of(self, choice: Mapping[str, str]) -> tuple[int, ...]:
        """Positions of a choice's arms, in the order of the dimensions."""
        return tuple(d.index_of(choice[d.name]) for d in self.dimensions)
