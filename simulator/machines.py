"""Scanners and prefetching mailboxes: they open and click every message within seconds, and nobody has read it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final

import numpy as np

from bandit.arrays import BoolArray
from bandit.schema import Schema
from simulator.customers import Customers
from simulator.funnel import Funnel, Role
from simulator.world import ImpossibleWorld, SimulatedOutcome

DOMAIN_FIELDS: Final = ("domain", "email_domain", "mailbox", "mailbox_provider", "email_provider")
"""Context fields that say where a mailbox is; without one the domain is hidden."""
_N_HIDDEN: Final = 40
N_NUMBERS: Final = 3
"""Lucky numbers that one message takes: whether it is opened, clicked, and when."""


@dataclass(frozen=True, slots=True)
class Scanners:
    """Mail domains that look at messages before their customers do.

    Args:
        share: of the customers who live in such a domain, about.
        open: probability that a message to them is opened by the machine.
        click: probability that its links are followed as well, given that it was opened.
        within: no machine takes longer.

    Raises:
        ImpossibleWorld: if a share or probability is not in [0, 1], or the time is not above 0.
    """

    share: float = 0.25
    open: float = 0.95
    click: float = 0.4
    within: timedelta = timedelta(seconds=20)

    def __post_init__(self) -> None:
        if not all(0.0 <= p <= 1.0 for p in (self.share, self.open, self.click)) or self.within <= timedelta(0):
            raise ImpossibleWorld(f"{self!r}: give a share and probabilities in [0, 1], and a time above 0.")

    def scanned(self, rng: np.random.Generator, schema: Schema, customers: Customers) -> BoolArray:
        """Which customers live in a scanned domain, shape (n_customers,).

        Domains are those of a context field of `DOMAIN_FIELDS` where there is one, else hidden and unevenly large. They
        are taken in a drawn order as long as their customers do not exceed the share.
        """
        domains = _domains(rng, schema, customers)
        names, codes, counts = np.unique(domains, return_inverse=True, return_counts=True)
        scanning, left = np.zeros(len(names), dtype=np.bool_), self.share * customers.n
        for place in rng.permutation(len(names)):
            if counts[place] <= left:
                scanning[place], left = True, left - counts[place]
        return np.asarray(scanning[codes], dtype=np.bool_)

    def outcomes(self, funnel: Funnel, sent_at: datetime, numbers: Sequence[float]) -> tuple[SimulatedOutcome, ...]:
        """What the machine does to one message, in time order; only types the campaign hears of.

        Args:
            funnel: of the campaign.
            sent_at: of the message, in UTC.
            numbers: `N_NUMBERS` of them in (0, 1).
        """
        for_open, for_click, for_time = numbers
        if for_open >= self.open:
            return ()
        at = sent_at + for_time * self.within
        roles = {Role.OPEN, Role.CLICK} if for_click < self.click else {Role.OPEN}
        return tuple(
            [SimulatedOutcome(s.type, at, machine=True) for s in funnel.steps if s.role in roles and s.reported]
        )


def _domains(rng: np.random.Generator, schema: Schema, customers: Customers) -> list[str]:
    for name in DOMAIN_FIELDS:
        if name in schema:
            return [str(context[name]) for context in customers.contexts]
    shares = 1.0 / np.arange(1, _N_HIDDEN + 1)
    return [str(code) for code in rng.choice(_N_HIDDEN, customers.n, p=shares / shares.sum()).tolist()]
