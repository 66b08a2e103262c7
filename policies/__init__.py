"""Policies: from what the learner believes to the probability of each arm.

Without estimates:  Uniform, Fixed
On scores:          EpsilonGreedy, SquareCB, Softmax
On members:         Thompson
Passed through:     Native (Vowpal Wabbit's own explorers)
Around any of them: Floor
By name:            POLICIES, policy_of, policy_faults, group_policies
"""

from policies.epsilon_greedy import EpsilonGreedy
from policies.fixed import Fixed
from policies.floor import Floor
from policies.native import Native
from policies.registry import POLICIES, group_policies, policy_faults, policy_of
from policies.softmax import Softmax
from policies.squarecb import SquareCB
from policies.thompson import Thompson
from policies.uniform import Uniform

__all__ = [
    "POLICIES",
    "EpsilonGreedy",
    "Fixed",
    "Floor",
    "Native",
    "Softmax",
    "SquareCB",
    "Thompson",
    "Uniform",
    "group_policies",
    "policy_faults",
    "policy_of",
]
