"""One more event for a customer's kept sums, from JSON to JSON: only the days that the events fall on are read.

A customer who did much has a year of days in their sums, of which an event changes one. The others are passed on as they
stand: what is written is byte for byte what reading all of it would have given.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import msgspec

from bandit.profile.events import Event
from bandit.profile.spec import ProfileSpec
from bandit.profile.state import Kept, State, readable, state_after_all
from bandit.profile.sums import day_of, microseconds

_decoder = msgspec.json.Decoder(Kept[msgspec.Raw, msgspec.Raw])
_by_name = msgspec.json.Decoder(dict[str, int])
_by_place = msgspec.json.Decoder(dict[int, int])


def kept_after_all(kept: bytes | None, events: Iterable[Event], spec: ProfileSpec) -> bytes:
    """The kept sums of a customer with some more events, whenever they were.

    Args:
        kept: what `State.to_json` wrote; None for a customer of whom nothing is known.
        events: of the same customer.
        spec: what the types mean, and the windows.

    Raises:
        UnusableEvents: if the sums cannot be read, or were made under another `[profile]`.

    >>> from datetime import UTC, datetime
    >>> spec, login = ProfileSpec(), Event("c1", datetime(2026, 11, 1, 9, tzinfo=UTC), "login")
    >>> kept_after_all(kept_after_all(None, [login], spec), [login], spec) == state_after_all(None, [login] * 2, spec).to_json()
    True
    """
    added = list(events)
    state = None if kept is None else _opened(kept, {day_of(microseconds(event.at)) for event in added})
    return state_after_all(state, added, spec).to_json()


def _opened(kept: bytes, days: set[int]) -> State:
    """A state in which these days alone were read; those that were not are no mappings, and are only passed on."""
    with readable():
        unread = _decoder.decode(kept)
        read = {
            "days": _read(unread.days, days, _by_name),
            "tastes": _read(unread.tastes, days, _by_name),
            "cells": _read(unread.cells, days, _by_place),
        }
    return State(**{**msgspec.structs.asdict(unread), **read})


def _read(unread: dict[int, msgspec.Raw], days: set[int], decoder: msgspec.json.Decoder[Any]) -> Mapping[int, Any]:
    read: dict[int, Any] = dict(unread)
    for day in days & unread.keys():
        read[day] = decoder.decode(unread[day])
    return read
