"""What a world with known truth must answer, and the records it hands out."""

from __future__ import annotations

import hashlib
import itertools
import math
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Protocol, TypeAlias, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from bandit.arrays import FloatArray
from bandit.context import ContextValue
from bandit.errors import EngineError
from bandit.wear_out import PastSend

IntArray: TypeAlias = NDArray[np.int64]


class ImpossibleWorld(EngineError):
    """A world was described, or asked about something, that cannot be; the message says what would be possible."""


@dataclass(frozen=True, slots=True)
class Arrival:
    """One send to be decided: who, when, and what is known about the customer before deciding.

    Args:
        customer_id: who receives the send; the same customer arrives several times in a campaign.
        at: the moment of the decision, in UTC; attribution windows are counted from here.
        context: name to value, None where the value is missing.
        past: earlier sends to this customer, oldest first; only worlds that remember look at it.

    Raises:
        ImpossibleWorld: if the customer has no id, or the time is not in UTC.
    """

    customer_id: str
    at: datetime
    context: dict[str, ContextValue]
    past: tuple[PastSend, ...] = ()

    def __post_init__(self) -> None:
        if not self.customer_id:
            raise ImpossibleWorld("customer_id is '': sticky groups hash it, so give every customer an id of its own.")
        check_utc("arrival time", self.at)


@dataclass(frozen=True, slots=True)
class SimulatedOutcome:
    """Something that was reported after a send, of a type a campaign may reward.

    Args:
        type: the outcome's.
        at: when it happened, in UTC.
        machine: whether a scanner or a prefetching mailbox did it, and no person; whoever keeps the log cannot see that, and
            true rewards leave it out.
        revenue: what it brought, in money; at least 0.

    Raises:
        ImpossibleWorld: if the time is not in UTC, or the revenue is negative or not finite.
    """

    type: str
    at: datetime
    machine: bool = False
    revenue: float = 0.0

    def __post_init__(self) -> None:
        check_utc(f"time of the {self.type}", self.at)
        if not 0.0 <= self.revenue < math.inf:
            raise ImpossibleWorld(
                f"revenue of the {self.type} is {self.revenue!r}: give a finite number of at least 0."
            )


@dataclass(frozen=True, slots=True)
class ChoiceGrid:
    """All choices of a campaign, numbered: the last dimension runs fastest, as in a nested loop over the file.

    Args:
        dimensions: dimension name to its arm ids, in campaign-file order.

    Raises:
        ImpossibleWorld: if there is no dimension, or one is without arms, or names an arm twice.

    >>> grid = ChoiceGrid({"subject": ("plain", "champion"), "cta": ("join", "claim-spot")})
    >>> len(grid), grid.at(2), grid.index({"subject": "champion", "cta": "join"})
    (4, {'subject': 'champion', 'cta': 'join'}, 2)
    """

    dimensions: Mapping[str, Sequence[str]]
    shape: tuple[int, ...] = field(init=False, repr=False, compare=False)
    _places: dict[str, dict[str, int]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        if not self.dimensions:
            raise ImpossibleWorld("dimensions is empty: nothing can be chosen; name at least one with its arms.")
        for name, arms in self.dimensions.items():
            if isinstance(arms, str) or not arms or len(set(arms)) < len(arms):
                raise ImpossibleWorld(
                    f"dimension {name!r} has arms {arms!r}: a choice takes exactly one of them, "
                    "so list at least one arm id, each once."
                )
        copied = {name: tuple(arms) for name, arms in self.dimensions.items()}
        object.__setattr__(self, "dimensions", copied)
        object.__setattr__(self, "shape", tuple(len(arms) for arms in copied.values()))
        places = {name: {arm: place for place, arm in enumerate(arms)} for name, arms in copied.items()}
        object.__setattr__(self, "_places", places)

    def __len__(self) -> int:
        """How many choices there are: the product of the dimensions' sizes."""
        return math.prod(self.shape)

    def __iter__(self) -> Iterator[dict[str, str]]:
        """Every choice once, in the order of their numbers."""
        for arms in itertools.product(*self.dimensions.values()):
            yield dict(zip(self.dimensions, arms, strict=True))

    def at(self, index: int) -> dict[str, str]:
        """The choice with this number.

        Raises:
            ImpossibleWorld: if no choice has it.
        """
        if not 0 <= index < len(self):
            raise ImpossibleWorld(f"choice number {index}: there are {len(self)}, numbered from 0 to {len(self) - 1}.")
        arms = {}
        for name in reversed(list(self.dimensions)):
            index, place = divmod(index, len(self.dimensions[name]))
            arms[name] = self.dimensions[name][place]
        return {name: arms[name] for name in self.dimensions}

    def places(self, choice: Mapping[str, str]) -> tuple[int, ...]:
        """Where each dimension's arm stands in its list, in dimension order.

        Raises:
            ImpossibleWorld: if the choice leaves out a dimension, adds one, or names an arm its dimension lacks.
        """
        try:
            places = tuple([arms[choice[name]] for name, arms in self._places.items()])
        except KeyError:
            raise self._refusal(choice) from None
        if len(choice) != len(places):
            raise self._refusal(choice)
        return places

    def index(self, choice: Mapping[str, str]) -> int:
        """The number of this choice.

        Raises:
            ImpossibleWorld: as `places`.
        """
        number = 0
        for place, size in zip(self.places(choice), self.shape, strict=True):
            number = number * size + place
        return number

    def _refusal(self, choice: Mapping[str, str]) -> ImpossibleWorld:
        wrong = {d: choice.get(d) for d, arms in self._places.items() if choice.get(d) not in arms}
        extra = [name for name in choice if name not in self._places]
        known = "; ".join(f"{name}: {', '.join(self.dimensions[name])}" for name in wrong or self.dimensions)
        return ImpossibleWorld(
            f"choice {dict(choice)!r} is not one of this world's (wrong or absent: {wrong!r}, unknown: {extra!r}): "
            f"its reward is not defined. Give exactly one arm of each dimension. {known}."
        )


class World(Protocol):
    """A campaign whose truth is known, so that the regret of any policy is exact."""

    @property
    def choices(self) -> ChoiceGrid:
        """Every choice a send may take, numbered."""

    @property
    def window(self) -> timedelta:
        """The attribution window, from the decision."""

    def arrivals(self, n_sends: int) -> Iterator[Arrival]:
        """The sends to be decided, in time order."""

    def react(self, arrival: Arrival, choice: Mapping[str, str], *, decision_id: str) -> tuple[SimulatedOutcome, ...]:
        """What the customer does after this choice, in time order; the same call gives the same answer."""

    def expected_reward(self, context: Mapping[str, ContextValue], choice: Mapping[str, str]) -> float:
        """The exact mean reward, counted within the attribution window."""

    def expected_rewards(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """The exact mean reward of every choice, shape (n_contexts, n_choices), in the order of `choices`."""

    def best_choice(self, context: Mapping[str, ContextValue]) -> tuple[dict[str, str], float]:
        """The choice with the largest mean reward, and that reward."""

    def uniform_value(self, context: Mapping[str, ContextValue]) -> float:
        """The mean reward when every choice is equally probable."""


@runtime_checkable
class RememberingWorld(World, Protocol):
    """A world in which what a customer got before changes what they do now; arrivals bring it along as `past`."""

    @property
    def memory(self) -> timedelta:
        """For how long an earlier send matters."""

    def expected_rewards_after(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """The exact mean reward of every choice given each arrival's past, shape (n_arrivals, n_choices)."""


@runtime_checkable
class RuledWorld(World, Protocol):
    """A world for a campaign whose rules take arms off the table: not every customer may get every choice."""

    def random_pmf(self, contexts: Sequence[Mapping[str, ContextValue]]) -> FloatArray:
        """How the random policy spreads over the choices, shape (n_contexts, n_choices): 0 where one may not be sent."""


@runtime_checkable
class TimedWorld(World, Protocol):
    """A world for a campaign whose rules may look at the time of the decision."""

    def random_pmf_at(self, arrivals: Sequence[Arrival]) -> FloatArray:
        """How the random policy spreads over the choices at each arrival's moment, shape (n_arrivals, n_choices)."""


@runtime_checkable
class ManyReactions(Protocol):
    """What a world has that can say for many sends at once what happens, sooner than for one after the other."""

    def reactions(
        self, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]], decision_ids: Sequence[str]
    ) -> list[tuple[SimulatedOutcome, ...]]:
        """What `react` says of each."""


@runtime_checkable
class SendingWorld(World, Protocol):
    """A world in which a message may go out later than it was decided, at the hour of its send slot."""

    def sent_at(self, arrival: Arrival, choice: Mapping[str, str]) -> datetime:
        """When the message goes out, in UTC; reactions and the attribution window are counted from then."""


def reactions_to(
    world: World, arrivals: Sequence[Arrival], choices: Sequence[Mapping[str, str]], decision_ids: Sequence[str]
) -> list[tuple[SimulatedOutcome, ...]]:
    """What happens after many sends, at once where the world can say so."""
    if isinstance(world, ManyReactions):
        return world.reactions(arrivals, choices, decision_ids)
    sends = zip(arrivals, choices, decision_ids, strict=True)
    return [world.react(arrival, choice, decision_id=name) for arrival, choice, name in sends]


def check_utc(name: str, at: datetime) -> None:
    """Refuse a time that is not aware and in UTC.

    Raises:
        ImpossibleWorld: if it is naive or has another offset.
    """
    if at.utcoffset() != timedelta(0):
        raise ImpossibleWorld(
            f"{name} is {at.isoformat()}: windows are counted in UTC, so give it as datetime(..., tzinfo=UTC)."
        )


def luck(seed: int, decision_id: str, purpose: str, n: int) -> tuple[float, ...]:
    """Numbers in the open interval (0, 1), the same every time for the same seed, decision and purpose.

    They do not depend on the choice: two policies that decide the same send meet the same luck (common random
    numbers), which makes their difference far less noisy than either value.

    Args:
        seed: the world's.
        decision_id: which send.
        purpose: what they are for, at most 16 bytes; different purposes are independent.
        n: how many, at most 8.

    >>> luck(0, "d1", "occurs", 2) == luck(0, "d1", "occurs", 2) != luck(0, "d2", "occurs", 2)
    True
    """
    digest = hashlib.blake2b(
        decision_id.encode(), digest_size=8 * n, key=str(seed).encode(), person=purpose.encode()
    ).digest()
    # 52 bits and a half step: with 53 the topmost would round to 1.0, of which no normal quantile exists.
    return tuple([((number >> 12) + 0.5) * 2.0**-52 for number in struct.unpack(f">{n}Q", digest)])
