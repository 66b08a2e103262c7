"""What a demo says of caps is counted in hours that passed, as caps are, and not in what clocks showed."""

from __future__ import annotations

from datetime import datetime
from types import SimpleNamespace
from zoneinfo import ZoneInfo

import pytest

from service.demos.sent_hours import SentHours
from service.demos.sent_messages import SentMessage

MADRID = ZoneInfo("Europe/Madrid")


def most(worlds, *moments):
    """How many messages to one customer within a week, as the report says it."""
    campaign = worlds.campaign(limits={"caps": [{"most": 1, "within": "7d"}]})
    send = SimpleNamespace(arrival=SimpleNamespace(customer_id="ann"))
    messages = [SentMessage(send, {}, datetime.fromisoformat(moment).astimezone(MADRID)) for moment in moments]
    found = SentHours.of(SimpleNamespace(campaign=campaign, n_capped=0), messages)
    return found.most["1 within 7 days"]


@pytest.mark.parametrize(
    ("first", "second", "found"),
    [
        # Half an hour less than a week on the clock, which was put back in between: half an hour more has passed.
        ("2026-10-22T10:00:00Z", "2026-10-29T10:30:00Z", 1),
        # A week on the clock, which was put forward in between: an hour less has passed.
        ("2026-03-26T10:00:00Z", "2026-04-02T09:00:00Z", 2),
        ("2026-06-01T10:00:00Z", "2026-06-08T10:00:00Z", 1),
        ("2026-06-01T10:00:00Z", "2026-06-08T09:59:59Z", 2),
    ],
)
def test_messages_within_a_stretch_are_counted_by_the_time_that_passed(worlds, first, second, found):
    assert most(worlds, first, second) == most(worlds, second, first) == found
