"""Sticky groups: who is decided for by the learner, at random, or as business as usual."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np

from bandit.draw import Hash, position_after, position_of, positions_of


class Group(StrEnum):
    """Which policy decides for a customer, for the whole campaign."""

    LEARNER = "learner"
    RANDOM = "random"
    CONTROL = "control"


_IN_ORDER = (Group.LEARNER, Group.RANDOM, Group.CONTROL)


@dataclass(frozen=True, slots=True)
class Groups:
    """Shares of the customers; the learner has what is left.

    Control lies at the low end of the positions and random at the high end, so that changing one share moves only
    customers at its border with the learner.

    >>> Groups(random=0.05, control=0.05).shares[Group.LEARNER]
    0.9
    """

    random: float = 0.0
    control: float = 0.0
    control_choice: Mapping[str, str] = field(default_factory=dict)

    @property
    def shares(self) -> dict[Group, float]:
        """Share of the customers in each group."""
        learner = round(1.0 - self.random - self.control, 12)
        return {Group.LEARNER: learner, Group.RANDOM: self.random, Group.CONTROL: self.control}

    def group_of(self, customer_id: str, *, campaign: str, salt: bytes) -> Group:
        """The customer's group: a salted hash of campaign and customer only, so no policy change can move anybody.

        >>> Groups(control=1.0).group_of("ann", campaign="contest", salt=b"pepper")
        <Group.CONTROL: 'control'>
        """
        if not (self.control or self.random):
            return Group.LEARNER
        return self._at(position_of(campaign, customer_id, salt=salt))

    def group_after(self, begun: Hash, customer_id: str) -> Group:
        """The same in half the time, with campaign and salt worked in before by `bandit.draw.begun_position`.

        >>> from bandit.draw import begun_position
        >>> begun = begun_position("contest", salt=b"pepper")
        >>> Groups(random=1.0).group_after(begun, "ann")
        <Group.RANDOM: 'random'>
        """
        return self._at(position_after(begun, customer_id)) if self.control or self.random else Group.LEARNER

    def groups_of(self, customer_ids: Sequence[str], *, campaign: str, salt: bytes) -> list[Group]:
        """The group of each of many customers.

        >>> Groups(random=1.0).groups_of(["ann"], campaign="contest", salt=b"pepper")
        [<Group.RANDOM: 'random'>]
        """
        if not (self.control or self.random):
            return [Group.LEARNER] * len(customer_ids)
        positions = positions_of(campaign, customer_ids, salt=salt)
        places = np.where(positions >= 1.0 - self.random, 1, 0)
        places[positions < self.control] = 2
        return [_IN_ORDER[place] for place in places.tolist()]

    def _at(self, position: float) -> Group:
        if position < self.control:
            return Group.CONTROL
        return Group.RANDOM if position >= 1.0 - self.random else Group.LEARNER
