"""A campaign file read whole: the faults of its policy and learner are found as well."""

from __future__ import annotations

from pathlib import Path

from bandit.campaign import Campaign
from bandit.campaign_file import load_campaign
from bandit.errors import InvalidCampaign
from bandit.learners import learner_faults
from policies.registry import policy_faults, policy_of


def checked_campaign(path: Path) -> Campaign:
    """The campaign, with the faults of its policy and learner found as well.

    Raises:
        InvalidCampaign: with every fault.
    """
    campaign = load_campaign(path)
    # Without a policy nothing is known about what the learner must provide.
    faults = policy_faults(campaign.policy) or learner_faults(
        campaign.learner, policy_of(campaign.policy).needs, wears=campaign.wear_out is not None
    )
    if faults:
        raise InvalidCampaign(faults, path.name)
    return campaign
