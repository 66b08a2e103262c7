"""What a demo brings along: its customers, how long it takes, and what it has to say beside the report of every demo."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from pathlib import Path
from typing import Protocol

import numpy as np

from bandit.arrays import BoolArray
from bandit.campaign import Campaign
from service.simulation import Send
from simulator.world import World

SENDS_PER_CUSTOMER = 6


@dataclass(frozen=True, slots=True, eq=False)
class Played:
    """A demo's campaign when it is over.

    Attributes:
        folder: where its files are.
        campaign: that was played.
        world: the customers, and how they react.
        sends: decisions in time order; those that caps refused are not among them.
        n_capped: decisions that caps refused.
    """

    folder: Path
    campaign: Campaign
    world: World
    sends: Sequence[Send]
    n_capped: int = 0

    @property
    def late(self) -> BoolArray:
        """Which sends are the learner's and lie in the later half of the campaign; shape (n_sends,)."""
        learner = np.array([send.decision.group.value == "learner" for send in self.sends])
        found: BoolArray = learner & (np.arange(len(self.sends)) >= len(self.sends) // 2)
        return found


@dataclass(frozen=True, slots=True)
class Findings:
    """What one demo says and others do not.

    Attributes:
        truth: lines that belong to the truth.
        lines: of the report, after the truth.
        document: the same for machines.
    """

    truth: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    document: Mapping[str, object] = field(default_factory=dict)


class Demo(Protocol):
    """A sample campaign with customers that are made up for it."""

    @property
    def example(self) -> str:
        """Name of the sample campaign."""

    @property
    def usual_sends(self) -> int:
        """Of the whole campaign, where nobody says how many."""

    @property
    def start(self) -> datetime:
        """First moment of the campaign, in UTC."""

    @property
    def days(self) -> int:
        """Length of the campaign."""

    @property
    def step(self) -> timedelta:
        """Time between two visits of the trainer."""

    @property
    def by(self) -> str:
        """A field of the context by whose values the learner's favourite arms are listed."""

    @property
    def title(self) -> str:
        """Of the chart."""

    @property
    def rules(self) -> str:
        """What uniform and best choices in the truth make of the campaign's rules."""

    @property
    def files(self) -> tuple[str, ...]:
        """What it leaves in the folder besides the files of every demo."""

    def lasting(self, days: int) -> Demo:
        """The same with a campaign of this length."""

    def world(self, campaign: Campaign, folder: Path, n_sends: int, seed: int) -> World:
        """Make the customers, leaving what they are made of in the folder."""

    def findings(self, played: Played) -> Findings:
        """What is to be said besides; may leave files."""


def faulty_from(demo: Demo) -> datetime:
    """When faults begin: in the middle, so that there is an honest half to hold the other one against."""
    return demo.start + timedelta(days=demo.days) / 2
