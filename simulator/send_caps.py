"""Frequency caps in a rehearsal: what the service would refuse to store does not happen here either."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime

from bandit.campaign import Campaign
from bandit.fatigue import Sent, free_from, longest_of


@dataclass(slots=True, eq=False)
class SendCaps:
    """What each customer got, and what a campaign's caps refuse for it.

    A world holds one campaign, so a cap over all campaigns counts its messages alone.

    Attributes:
        n_capped: decisions refused so far.
    """

    n_capped: int = 0
    _sends: dict[str, list[Sent]] = field(default_factory=lambda: defaultdict(list))

    def allow(
        self, campaign: Campaign, customer_id: str, at: datetime, send_at: datetime | None, choice: Mapping[str, str]
    ) -> bool:
        r"""Whether a decision keeps the caps; then its message counts from now on. Sending nothing always does.

        Args:
            campaign: that holds.
            customer_id: as the log knows the customer.
            at: time of the decision; those of one customer come in order.
            send_at: when the message goes out; None for at once.
            choice: one arm a dimension.

        >>> from datetime import UTC, timedelta
        >>> from bandit.campaign_file import read_campaign
        >>> campaign = read_campaign(
        ...     '[campaign]\nid = "a"\n[[dimension]]\nname = "subject"\narm = [{ id = "plain" }, { id = "bold" }]\n'
        ...     '[reward]\nwindow = "72h"\nevents = { click = 1.0 }\n[limits]\ncaps = [{ most = 1, within = "7d" }]\n'
        ... )
        >>> caps, noon = SendCaps(), datetime(2026, 11, 22, 12, tzinfo=UTC)
        >>> days = [noon + timedelta(days=days) for days in (0, 6, 7)]
        >>> [caps.allow(campaign, "c1", day, None, {"subject": "plain"}) for day in days], caps.n_capped
        ([True, False, True], 1)
        """
        caps = campaign.caps
        if not caps:
            return True
        message = campaign.message_of([choice[dimension.name] for dimension in campaign.dimensions], send_at or at)
        if message is None:
            return True
        sends, longest = self._sends[customer_id], longest_of(caps)
        # A message goes out when it is decided or later, so what is older than the longest cap binds nobody any more.
        sends[:] = [one for one in sends if at - one.at < longest]
        if free_from(caps, message, sends) > message.at:
            self.n_capped += 1
            return False
        sends.append(message)
        return True
