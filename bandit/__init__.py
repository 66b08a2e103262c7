"""The vocabulary of Manyarm and one decision.

What a user writes:  Campaign, load_campaign, read_campaign
What is known:       Context
What decides:        Engine, Served, Group, Policy, Estimates
What comes out:      Decision, LoggedDecision, Pick, Pmf
What happens next:   Outcome, RewardSpec, State
What learns:         Learner, Scorer, Snapshot, Matured, train, learner_for
What goes wrong:     EngineError and its tree in `bandit.errors`
"""

from bandit.campaign import Campaign
from bandit.campaign_file import load_campaign, read_campaign
from bandit.context import Context
from bandit.decision import Decision, Pick
from bandit.engine import Engine, Served
from bandit.errors import EngineError
from bandit.estimates import Estimates
from bandit.group import Group
from bandit.learner import Learner, Scorer
from bandit.learners import learner_for
from bandit.log import LoggedDecision
from bandit.pmf import Pmf
from bandit.policy import Policy
from bandit.reward import Outcome, RewardSpec, State
from bandit.snapshot import Snapshot
from bandit.training import Matured, train

__all__ = [
    "Campaign",
    "Context",
    "Decision",
    "Engine",
    "EngineError",
    "Estimates",
    "Group",
    "Learner",
    "LoggedDecision",
    "Matured",
    "Outcome",
    "Pick",
    "Pmf",
    "Policy",
    "RewardSpec",
    "Scorer",
    "Served",
    "Snapshot",
    "State",
    "learner_for",
    "load_campaign",
    "read_campaign",
    "train",
]
