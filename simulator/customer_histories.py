"""Customers who log in, buy, read e-mails and some day stop: an events table with the truth beside it.

Each customer has a rate of purchases and a rate of lapsing, both drawn once. Everything else leans on the first: who buys
often logs in often and reads more. So features carry what is knowable, and the chance of a purchase within so many days is
known exactly for whoever has not lapsed, whatever the features say.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import pandas as pd

from bandit.arrays import BoolArray, FloatArray
from bandit.profile.events import typed
from simulator.world import ImpossibleWorld, IntArray

BEGIN: Final = datetime(2025, 1, 1, tzinfo=UTC)
"""The first day of every history."""
_DAY: Final = timedelta(days=1)
_CHANNELS: Final = ("email", "push", "web")
_DEVICES: Final = ("phone", "desktop")
_ZONES: Final = ("Europe/Berlin", "Europe/Madrid", "America/New_York")
_LOGINS_A_PURCHASE: Final = 4.0
_DAYS_BETWEEN_SENDS: Final = 14.0


@dataclass(frozen=True, slots=True, eq=False)
class Histories:
    """Events, and what made them; times in days since `BEGIN`, one entry a customer in the order of `ids`.

    Attributes:
        events: the table, as bandit.profile.events describes it.
        ids: customers.
        born: when each signed up.
        lapsed: when each stopped for good, which may be after the last event.
        rates: purchases a day until then.
        lapse_rates: of stopping, a day.
        order_values: mean amount of an order.
    """

    events: pd.DataFrame
    ids: tuple[str, ...]
    born: FloatArray
    lapsed: FloatArray
    rates: FloatArray
    lapse_rates: FloatArray
    order_values: FloatArray

    def chances(self, at: datetime, days: float) -> FloatArray:
        """The true chance of a purchase within so many days of `at`, for each customer who is born; 0 for the lapsed.

        Of somebody who is still there, nothing is bought with chance (lapse + rate exp(-(rate + lapse) days)) / (rate + lapse).
        """
        both = self.rates + self.lapse_rates
        none = (self.lapse_rates + self.rates * np.exp(-both * days)) / both
        return np.where(self.is_there(at), 1.0 - none, 0.0)

    def spends(self, at: datetime, days: float) -> FloatArray:
        """The true expected spend within so many days of `at`; 0 for the lapsed."""
        expected_days = -np.expm1(-self.lapse_rates * days) / self.lapse_rates
        return np.where(self.is_there(at), self.rates * expected_days * self.order_values, 0.0)

    def is_there(self, at: datetime) -> BoolArray:
        """Whether each customer is born and has not lapsed."""
        day = (at - BEGIN) / _DAY
        found: BoolArray = (self.born < day) & (day < self.lapsed)
        return found


def customer_histories(
    n_customers: int, *, days: int = 365, seed: int, purchase_every: float = 40.0, stays_for: float = 250.0
) -> Histories:
    """Draw customers and what they do.

    Args:
        n_customers: how many.
        days: length of the history; customers sign up during its first four fifths.
        seed: of every draw.
        purchase_every: mean days between purchases at the mean rate.
        stays_for: mean days until a customer lapses, at the mean rate.

    Raises:
        ImpossibleWorld: if there is nobody, or no time.

    >>> histories = customer_histories(50, seed=3)
    >>> sorted(histories.events["type"].cat.categories)
    ['email_click', 'email_open', 'email_sent', 'login', 'purchase', 'referral', 'share', 'signup', 'support']
    >>> bool((histories.chances(BEGIN + 300 * _DAY, 30.0) <= histories.chances(BEGIN + 300 * _DAY, 60.0)).all())
    True
    """
    if n_customers < 1 or days < 1:
        raise ImpossibleWorld(f"{n_customers} customers and {days} days: give at least 1 of each.")
    luck = np.random.default_rng(seed)
    born = luck.uniform(0.0, 0.8 * days, n_customers)
    rates = luck.gamma(1.5, 1.0 / (1.5 * purchase_every), n_customers)
    lapse_rates = luck.gamma(3.0, 1.0 / (3.0 * stays_for), n_customers)
    lapsed = born + luck.exponential(1.0 / lapse_rates)
    values = np.exp(luck.normal(3.5, 0.5, n_customers))
    drawing = _Drawing(luck, born, np.minimum(lapsed, days), days)
    tables = _tables(drawing, rates, values)
    ids = tuple(f"c{place:06d}" for place in range(n_customers))
    return Histories(_events(drawing, tables, ids), ids, born, lapsed, rates, lapse_rates, values)


@dataclass(frozen=True, slots=True)
class _Drawing:
    """What all kinds of events are drawn with."""

    luck: np.random.Generator
    born: FloatArray
    gone: FloatArray
    days: int

    def process(
        self, name: str, rates: FloatArray, value: Callable[[IntArray], FloatArray] | None = None
    ) -> pd.DataFrame:
        """Events at a constant rate for as long as each customer is there."""
        counts = self.luck.poisson(rates * (self.gone - self.born))
        who = np.repeat(np.arange(len(rates)), counts)
        at = self.luck.uniform(self.born[who], self.gone[who])
        return self.table(name, who, at, value(who) if value else None)

    @staticmethod
    def table(name: str, who: IntArray, at: FloatArray, value: FloatArray | None = None) -> pd.DataFrame:
        amounts = np.full(len(who), np.nan) if value is None else value
        return pd.DataFrame({"who": who, "day": at, "value": amounts, "type": name})


def _tables(drawing: _Drawing, rates: FloatArray, values: FloatArray) -> list[pd.DataFrame]:
    luck, n = drawing.luck, len(rates)
    visits = _LOGINS_A_PURCHASE * rates * np.exp(luck.normal(0.0, 0.5, n)) + 0.01
    return [
        drawing.table("signup", np.arange(n), drawing.born),
        drawing.process("login", visits),
        drawing.process(
            "purchase", rates, lambda who: np.round(values[who] * np.exp(luck.normal(-0.08, 0.4, len(who))), 2)
        ),
        drawing.process("share", 0.1 * visits * luck.uniform(0.0, 1.0, n)),
        drawing.process("referral", 0.02 * visits),
        drawing.process("support", np.full(n, 0.004)),
        *_mail(drawing, rates),
    ]


def _mail(drawing: _Drawing, rates: FloatArray) -> list[pd.DataFrame]:
    """Sends at fixed gaps for as long as the history lasts, also to the lapsed, who hardly ever open one."""
    luck = drawing.luck
    counts = np.floor((drawing.days - drawing.born) / _DAYS_BETWEEN_SENDS).astype(np.int64)
    who = np.repeat(np.arange(len(rates)), counts)
    turn = np.arange(len(who)) - np.repeat(np.cumsum(counts) - counts, counts)
    sent = drawing.born[who] + _DAYS_BETWEEN_SENDS * (turn + luck.uniform(0.05, 0.95, len(who)))
    likes = 1.0 / (1.0 + np.exp(-luck.normal(-1.0 + 0.5 * np.log(rates / rates.mean()), 0.7)))
    opened = luck.random(len(who)) < np.where(sent < drawing.gone[who], likes[who], 0.02)
    clicked = opened & (luck.random(len(who)) < 0.25)
    opens = sent[opened] + luck.exponential(0.2, int(opened.sum()))
    clicks = sent[clicked] + luck.exponential(0.3, int(clicked.sum()))
    return [
        drawing.table("email_sent", who, sent),
        drawing.table("email_open", who[opened], opens),
        drawing.table("email_click", who[clicked], clicks),
    ]


def _events(drawing: _Drawing, tables: list[pd.DataFrame], ids: tuple[str, ...]) -> pd.DataFrame:
    """One table in order of time; each customer has a usual device and channel, and lives in one zone."""
    luck = drawing.luck
    every = pd.concat(tables, ignore_index=True)
    every = every[every["day"] < drawing.days].sort_values("day", kind="stable", ignore_index=True)
    who: IntArray = every["who"].to_numpy(dtype=np.int64)
    usual = {"device": _DEVICES, "channel": _CHANNELS, "zone": _ZONES}
    texts = {}
    for name, levels in usual.items():
        own = luck.integers(len(levels), size=len(ids))[who]
        is_other = (luck.random(len(who)) < 0.1) & (name != "zone")
        codes: IntArray = np.where(is_other, luck.integers(len(levels), size=len(who)), own)
        texts[name] = pd.Categorical(np.array(levels, dtype=object)[codes])
    at = pd.Timestamp(BEGIN) + pd.to_timedelta(np.round(every["day"].to_numpy() * 86_400.0), unit="s")
    customers = pd.Categorical(np.array(ids, dtype=object)[who])
    columns = {"customer_id": customers, "at": at, "type": every["type"], "value": every["value"], **texts}
    return typed(pd.DataFrame(columns))
