"""Send slots of many customers at once: what each hour would mean is worked out once for a zone and a time."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime

import numpy as np

from bandit.context import ContextValue, EncodedContext
from bandit.context_columns import ContextColumns, ExcludedColumn
from bandit.send_slots import SendSlots, SlotTimes, with_slots


def slot_times(slots: SendSlots, contexts: Sequence[EncodedContext], at: Sequence[datetime]) -> list[SlotTimes]:
    """What each arm of the send slots would mean for each customer; the same object for the same zone and time.

    Raises:
        InvalidContext: if a context names a zone that is none.
    """
    named = named_in(contexts, slots.zone)
    # By identity of the time, for a table has one only, and to hash a time takes longer than all the rest.
    known: dict[tuple[ContextValue, int], SlotTimes] = {}
    found = []
    for name, moment in zip(named, at, strict=True):
        key = name, id(moment)
        if key not in known:
            known[key] = slots.times({slots.zone: name}, moment)
        found.append(known[key])
    return found


def within_hours(
    contexts: Sequence[EncodedContext], slots: SendSlots, at: Sequence[datetime]
) -> Sequence[EncodedContext]:
    """Contexts in which send slots are out that cannot be used.

    Args:
        contexts: as used, with what else is out.
        slots: of the campaign.
        at: time of each decision.

    Raises:
        InvalidContext: if a context names a zone that is none.
    """
    times = slot_times(slots, contexts, at)
    if isinstance(contexts, ContextColumns) and contexts.excluded is None:
        places: dict[int, int] = {}
        found = [places.setdefault(id(one), len(places)) for one in times]
        by_id = {id(one): one.excluded for one in times}
        return replace(
            contexts, excluded=ExcludedColumn(np.array(found, dtype=np.int64), [by_id[one] for one in places])
        )
    return [
        context._replace(excluded=with_slots(context.excluded, one.excluded))
        for context, one in zip(contexts, times, strict=True)
    ]


def named_in(contexts: Sequence[EncodedContext], field: str) -> list[ContextValue]:
    """What each context says in one field; None where there is no such field."""
    if isinstance(contexts, ContextColumns):
        column = next((one for one in contexts.columns if one.name == field), None)
        return [column.values[place] for place in column.places.tolist()] if column else [None] * len(contexts)
    return [context.values.get(field) for context in contexts]
