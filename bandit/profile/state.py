"""One customer's sums, kept up to date event by event.

A state is a function of the set of its events: the order in which they came changes nothing, so an event that comes late
is counted as if it had come in time. What lies before every window that can still be asked for is forgotten, but for what
counts for ever. `bandit.profile.summing` makes the same sums from a table, in columns.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import msgspec

from bandit.errors import UnusableEvents
from bandit.profile.events import FRACTION, Event
from bandit.profile.local_cells import local_cell
from bandit.profile.sessions import LONGEST_MINUTES, Stretch, joined, kept_from
from bandit.profile.spec import HOME, NOT_ACTIVE, ProfileSpec
from bandit.profile.sums import DAY_SECONDS, NEVER, PREFERENCES, day_of, microseconds

_SECOND, _MINUTE = 1_000_000, 60
Name = TypeVar("Name", str, int)
Counts = TypeVar("Counts")
Cells = TypeVar("Cells")


@dataclass(frozen=True, slots=True)
class State:
    """All that is kept of one customer's events; made by `state_after`, and the same as JSON.

    Attributes:
        made_by: the hash of what the sums depend on, `ProfileSpec.sums_hash`.
        n_events: how many were added.
        latest: when the latest of them was, in microseconds since 1970.
        first, last: times of the first and last events, as in `bandit.profile.sums.Sums`; absent for what never happened.
        days: for each day that a window can still hold, how often there was what `COUNTED` counts.
        tastes: the same for each channel, device and content of activity, as `device=mobile`.
        cells: the same for each local hour of the week.
        referrals, months: counts for ever; months by local month, from 0 to 11.
        sessions: first and last second of each.

    >>> from datetime import UTC, datetime
    >>> spec = ProfileSpec()
    >>> state = state_after(None, Event("c1", datetime(2026, 11, 1, 9, tzinfo=UTC), "purchase", value=2.5), spec)
    >>> state.days[20758]["money"], State.from_json(state.to_json()) == state
    (25000, True)
    """

    made_by: str
    n_events: int = 0
    latest: int = NEVER
    first: Mapping[str, int] = field(default_factory=dict)
    last: Mapping[str, int] = field(default_factory=dict)
    days: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    tastes: Mapping[int, Mapping[str, int]] = field(default_factory=dict)
    cells: Mapping[int, Mapping[int, int]] = field(default_factory=dict)
    referrals: int = 0
    months: Mapping[int, int] = field(default_factory=dict)
    sessions: Sequence[Stretch] = ()

    def to_json(self) -> bytes:
        """The state as JSON."""
        return msgspec.json.encode(self)

    @classmethod
    def from_json(cls, data: bytes) -> State:
        """A state from its JSON.

        Raises:
            UnusableEvents: if it is none.
        """
        with readable():
            read = _decoder.decode(data)
        return cls(**msgspec.structs.asdict(read))


class Kept(msgspec.Struct, Generic[Counts, Cells], forbid_unknown_fields=True):
    """A state as its JSON is read, with days as mappings, or passed on unread."""

    made_by: str
    n_events: int
    latest: int
    first: dict[str, int]
    last: dict[str, int]
    days: dict[int, Counts]
    tastes: dict[int, Counts]
    cells: dict[int, Cells]
    referrals: int
    months: dict[int, int]
    sessions: tuple[tuple[int, int], ...]


_decoder = msgspec.json.Decoder(Kept[dict[str, int], dict[int, int]])


@contextmanager
def readable() -> Iterator[None]:
    """Says of kept sums that cannot be read what to do.

    Raises:
        UnusableEvents: instead of what the decoder says.
    """
    try:
        yield
    except msgspec.DecodeError as error:
        raise UnusableEvents(
            f"the kept sums of a customer cannot be read ({error}). Make them again from the events."
        ) from error


def state_after(state: State | None, event: Event, spec: ProfileSpec) -> State:
    """The state with one more event, whenever it was; the state itself is not changed.

    Args:
        state: so far; None for a customer of whom nothing is known.
        event: of the same customer.
        spec: what the types mean, and the windows.

    Raises:
        UnusableEvents: if the state was made under another `[profile]`.
    """
    return state_after_all(state, (event,), spec)


def state_after_all(state: State | None, events: Iterable[Event], spec: ProfileSpec) -> State:
    """The same with some events of one customer, faster than one after another."""
    made_by = spec.sums_hash
    growing = _Growing(require_same(state, made_by) if state else State(made_by), spec)
    for event in events:
        growing.add(event)
    return growing.state()


def require_same(state: State, made_by: str) -> State:
    """Refuse a state that was made under another `[profile]`."""
    if state.made_by != made_by:
        raise UnusableEvents(
            "the kept sums of a customer were made under another [profile]: its events, windows, session_gap or missing were "
            "changed since, and sums of the two cannot be mixed. Make them again from the events, or put the file back."
        )
    return state


class _Growing:
    """A state that is being added to; what was handed in stays as it is."""

    def __init__(self, state: State, spec: ProfileSpec) -> None:
        self._made_by, self._spec = state.made_by, spec
        self._roles, self._gap = spec.role_by_type, int(spec.session_gap.total_seconds())
        self._first, self._last, self._months = dict(state.first), dict(state.last), dict(state.months)
        self._days, self._tastes, self._cells = dict(state.days), dict(state.tastes), dict(state.cells)
        self._sessions: Sequence[Stretch] = state.sessions
        self._latest, self._n_events, self._referrals = state.latest, state.n_events, state.referrals

    def add(self, event: Event) -> None:
        """Count one event."""
        at, role = microseconds(event.at), self._roles.get(event.type, "")
        self._n_events += 1
        self._referrals += role == "referral"
        self._latest = max(self._latest, at)
        self._mark_first("any", at)
        if role in {"signup", "purchase"}:
            self._mark_first(role, at)
        if role in {"login", "purchase"}:
            self._mark_last(role, at)
        counts = _counts(role, event, self._spec)
        if role not in NOT_ACTIVE:
            counts["active"] = 1
            self._be_active(at, role, event)
        _add_all(self._days, day_of(at), counts)

    def state(self) -> State:
        """The state now, without what no window can hold any more."""
        today, windows = day_of(self._latest), self._spec.windows
        begin = (today - windows.sessions) * DAY_SECONDS
        return State(
            self._made_by,
            n_events=self._n_events,
            latest=self._latest,
            first=self._first,
            last=self._last,
            days=_since(self._days, today - windows.longest_count),
            tastes=_since(self._tastes, today - windows.preferences),
            cells=_since(self._cells, today - windows.activity),
            referrals=self._referrals,
            months=self._months,
            sessions=tuple(kept_from(self._sessions, begin, gap=self._gap)),
        )

    def _mark_first(self, name: str, at: int) -> None:
        self._first[name] = min(self._first.get(name, at), at)

    def _mark_last(self, name: str, at: int) -> None:
        self._last[name] = max(self._last.get(name, at), at)

    def _be_active(self, at: int, role: str, event: Event) -> None:
        missing = self._spec.missing
        self._mark_last("active", at)
        named = ((name, getattr(event, name) or getattr(missing, name)) for name in PREFERENCES)
        _add_all(self._tastes, day_of(at), {f"{name}={text}": 1 for name, text in named if text})
        cell, month = local_cell(event.at, event.zone or missing.zone or HOME)
        _add_all(self._cells, day_of(at), {cell: 1})
        self._months[month] = self._months.get(month, 0) + 1
        end = at // _SECOND
        self._sessions = joined(self._sessions, (end - _seconds(role, event), end), gap=self._gap)


def _counts(role: str, event: Event, spec: ProfileSpec) -> dict[str, int]:
    """What one event adds to the counts of its day, but for activity."""
    counts = {role: 1} if role else {}
    if role == "purchase":
        amount = spec.missing.value if event.value is None else event.value
        if amount is not None:
            counts |= {"priced": 1, "money": round(amount * FRACTION)}
        if event.discount is not None and event.discount > 0.0:
            counts["discounted"] = 1
    return counts


def _add_all(days: dict[int, Mapping[Name, int]], day: int, counts: Mapping[Name, int]) -> None:
    """Add to the counts of one day, in a new mapping: the old one belongs to a state that stays as it is."""
    if counts:
        old = days.get(day, {})
        days[day] = {**old, **{name: old.get(name, 0) + count for name, count in counts.items()}}


def _since(days: dict[int, Mapping[Name, int]], oldest: int) -> dict[int, Mapping[Name, int]]:
    """The days from the oldest on; mostly those are all."""
    if min(days, default=oldest) >= oldest:
        return days
    return {day: counts for day, counts in days.items() if day >= oldest}


def _seconds(role: str, event: Event) -> int:
    if role != "session_end" or event.value is None:
        return 0
    return round(min(max(event.value, 0.0), LONGEST_MINUTES) * _MINUTE)
