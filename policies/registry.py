"""Every policy by its name in the campaign file, and the policies of a campaign's groups."""

from __future__ import annotations

from collections.abc import Mapping

from bandit.campaign import Campaign, PolicySpec
from bandit.errors import InvalidSettings
from bandit.fault import Fault, shown
from bandit.group import Group
from bandit.options import option_faults, with_options
from bandit.policy import Policy
from policies.epsilon_greedy import EpsilonGreedy
from policies.fixed import Fixed
from policies.floor import Floor
from policies.native import Native
from policies.softmax import Softmax
from policies.squarecb import SquareCB
from policies.thompson import Thompson
from policies.uniform import Uniform

POLICIES: dict[str, type[Policy]] = {
    "uniform": Uniform,
    "epsilon-greedy": EpsilonGreedy,
    "squarecb": SquareCB,
    "softmax": Softmax,
    "thompson": Thompson,
    "native": Native,
}
"""What `[policy] name` may be; `fixed` is the control group's and takes its arms from `[groups.control.choice]`."""


def policy_faults(spec: PolicySpec) -> list[Fault]:
    """What is wrong with a `[policy]` table: an unknown name, or options the policy does not have."""
    if spec.name not in POLICIES:
        return [Fault("policy.name", shown(spec.name), f"one of {', '.join(POLICIES)}")]
    return option_faults(POLICIES[spec.name], spec.options, "policy")


def policy_of(spec: PolicySpec) -> Policy:
    """The learner group's policy, floor included.

    Raises:
        InvalidSettings: for a name or an option that does not exist.
    """
    if spec.name not in POLICIES:
        raise InvalidSettings(str(policy_faults(spec)[0]))
    return Floor(with_options(POLICIES[spec.name], spec.options, "policy"), spec.floor)


def group_policies(campaign: Campaign) -> Mapping[Group, Policy]:
    """Who decides for each group of a campaign.

    Raises:
        InvalidSettings: for a `[policy]` that does not exist.
    """
    control = campaign.groups.control_choice
    return {
        Group.LEARNER: policy_of(campaign.policy),
        Group.RANDOM: Uniform(),
        Group.CONTROL: Fixed(campaign.picks_of(control)) if control else Uniform(),
    }
