"""The sample campaign as most figures about it were measured: messages go out at once, and nothing is made of the time.

Its arms, rules, rewards and the fields that the learner sees are the same; hours would be worked out and fields made beside what
is timed.
"""

from __future__ import annotations

import re

from service.sample import sample_text

_ZONE = re.compile(r"^\[context\.zone\]\n(?:[^\[\n].*\n)+", flags=re.MULTILINE)
_HOURS = re.compile(r"^\[time\].*?(?=^\[\[dimension\]\])", flags=re.MULTILINE | re.DOTALL)


def sample_without_hours() -> str:
    """The file of the referral contest without `[time]`, `[send_slots]` and the zone that both go by."""
    return _HOURS.sub("", _ZONE.sub("", sample_text("referral-contest")))
