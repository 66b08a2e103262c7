"""A campaign file read whole: the faults of its policy and learner are found as well."""

from __future__ import annotations

from pathlib import Path

from bandit.campaign import Campaign, LearnerSpec, PolicySpec
from bandit.campaign_file import load_campaign
from bandit.fault import Fault
from bandit.learners import learner_faults
from policies.registry import policy_faults, policy_of


def checked_campaign(path: Path) -> Campaign:
    """The campaign, with the faults of its policy and learner found as well.

    Raises:
        InvalidCampaign: with every fault.
    """
    return load_campaign(path, further=_choice_faults)


def _choice_faults(policy: PolicySpec, learner: LearnerSpec, wears: bool) -> list[Fault]:
    if not policy.name:
        return []  # that it is no name is said already
    # Without a policy nothing is known about what the learner must provide.
    return policy_faults(policy) or learner_faults(learner, policy_of(policy).needs, wears=wears)
