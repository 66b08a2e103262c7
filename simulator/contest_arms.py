"""The arms of the referral contest, as its campaign file has them, and what its outcomes are worth."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

SUBJECTS: Final = (
    "plain",
    "champion",
    "dominate",
    "friends-miss-you",
    "bring-a-friend",
    "three-days-left",
    "climb-the-board",
    "thank-you",
    "secret-invite",
    "your-turn",
    "so-close",
    "by-the-numbers",
)
CTAS: Final = ("join", "invite-now", "claim-spot", "see-leaderboard")
BENEFITS: Final = ("base", "double-points", "early-access", "vip")
SEND_SLOTS: Final = (
    "weekday-09",
    "weekday-11",
    "weekday-13",
    "weekday-16",
    "weekday-18",
    "weekday-20",
    "weekend-10",
    "weekend-13",
    "weekend-17",
    "weekend-20",
)
DIMENSIONS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {"subject": SUBJECTS, "cta": CTAS, "benefit": BENEFITS, "send_slot": SEND_SLOTS}
)
"""The four dimensions with their 12, 4, 4 and 10 arms: 1,920 choices."""

REWARD_EVENTS: Final[Mapping[str, float]] = MappingProxyType(
    {"click": 0.2, "conversion": 1.0, "unsubscribe": -1.0, "complaint": -1.0}
)
"""What each event is worth, once a decision."""
