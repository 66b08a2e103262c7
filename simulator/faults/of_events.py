"""Faults of the event stream: lost, duplicated, out of order, late."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from bandit.errors import InvalidSettings
from simulator.faults.extent import Extent
from simulator.faults.kinds import ReportedEvent

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class LostEvents:
    """Events that happened and never reach the log, such as those of a webhook that times out.

    Args:
        extent: which events.
    """

    extent: Extent

    def events(self, events: Sequence[ReportedEvent]) -> list[ReportedEvent]:
        """Those that are not lost."""
        return [event for event in events if not self.extent.hits(event.event_id, event.at, "lost")]


@dataclass(frozen=True, slots=True)
class DuplicatedEvents:
    """Events that are reported twice with the same id, the second time up to a day later: a webhook that is tried again.

    Args:
        extent: which events.
    """

    extent: Extent

    def events(self, events: Sequence[ReportedEvent]) -> list[ReportedEvent]:
        """All of them, and behind each that is hit its repetition."""
        return [copy for event in events for copy in self._copies(event)]

    def _copies(self, event: ReportedEvent) -> list[ReportedEvent]:
        if not self.extent.hits(event.event_id, event.at, "duplicated"):
            return [event]
        again = 24.0 * self.extent.position(event.event_id, "again")
        return [event, replace(event, reported_at=event.reported_at + timedelta(hours=again))]


@dataclass(frozen=True, slots=True)
class DisorderedEvents:
    """Events that are held back to the full hour and come in any order then, an order before its click.

    Caution: an event whose window closes within that hour is late where rewards are counted before the hour is full.

    Args:
        extent: which events.
    """

    extent: Extent

    def events(self, events: Sequence[ReportedEvent]) -> list[ReportedEvent]:
        """The same events; those of the same hour that are hit in an order of chance."""
        held = [self._held(event) for event in events]
        return sorted(held, key=lambda event: (event.reported_at, self.extent.position(event.event_id, "order")))

    def _held(self, event: ReportedEvent) -> ReportedEvent:
        if not self.extent.hits(event.event_id, event.at, "disordered"):
            return event
        past = timedelta(minutes=event.reported_at.minute, seconds=event.reported_at.second)
        past += timedelta(microseconds=event.reported_at.microsecond)
        return replace(event, reported_at=event.reported_at + (_HOUR - past if past else past))


@dataclass(frozen=True, slots=True)
class LateEvents:
    """Events that are reported only after the window has closed, such as those of a nightly file that hangs.

    Args:
        extent: which events.
        by: how much later; longer than the campaign's attribution window makes every one of them too late.

    Raises:
        InvalidSettings: if they are not later at all.
    """

    extent: Extent
    by: timedelta = timedelta(days=8)

    def __post_init__(self) -> None:
        if self.by <= timedelta(0):
            raise InvalidSettings(f"late events come later by {self.by}: give a time above 0, or leave the fault out.")

    def events(self, events: Sequence[ReportedEvent]) -> list[ReportedEvent]:
        """The same events, those that are hit reported later."""
        return [
            replace(event, reported_at=event.reported_at + self.by)
            if self.extent.hits(event.event_id, event.at, "late")
            else event
            for event in events
        ]
