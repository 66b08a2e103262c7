"""Did a row count the messages that its customer had got lately as the log held them?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from bandit.campaign import Campaign
from bandit.log import LoggedDecision
from evaluation.exposure_check import EarlierSend


def recent_send_problems(campaign: Campaign, row: LoggedDecision, past: Sequence[EarlierSend]) -> Iterator[str]:
    """What is wrong with the number of recent messages in one row.

    It is no more than what was sent, and no less than what surely counted: sends that stood in the log when it was read and
    were never reported as not sent.

    Args:
        campaign: whose row it is.
        row: as logged.
        past: earlier sends to its customer.
    """
    spec = campaign.reward.recent_send
    if spec is None:
        return
    if row.recent_sends is None:
        yield "it does not say how many messages its customer had got lately"
        return
    sure = [send for send, is_void, is_seen in past if is_seen and not is_void]
    every = [send for send, _, _ in past]
    least, most = (spec.count(campaign.dimensions, sends, row.decided_at) for sends in (sure, every))
    if not least <= row.recent_sends <= most:
        held = str(most) if least == most else f"{least} to {most}"
        yield f"its customer had got {held} messages lately, the row counts {row.recent_sends}"
