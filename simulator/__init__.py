"""Worlds with known truth, for rehearsing a campaign before anyone receives it.

World       `World`, `Arrival`, `SimulatedOutcome`, `ChoiceGrid`, `ImpossibleWorld`: what every world answers
Memory      `RememberingWorld`, `WearWorld`, `wearing`: what was sent before matters
Scenario    `ReferralContest`: 12 subjects x 4 calls to action x 4 benefits x 10 send slots
Customers   `Customer`, `draw_population`
Responses   `Attributes`, `EffectSizes`, `draw_responses`, `ResponseModel`
Delays      `DelayModel`, `DelayMixture`, `DelayPart`
Rehearsal   `rehearse`, `play`, `Phase`, `Played`, `Decider`, `EngineDecider`, `Refresh`: a campaign in memory
Benchmarks  `ClickWorld`, `MulticlassWorld`, and the worlds of `simulator.email_worlds`
Truth       `value_of`, `value_of_choices`, `Truth`, `gap`: exact value and regret of a policy
"""

from simulator.click_world import ClickEffects, ClickWorld
from simulator.delay import DelayMixture, DelayModel, DelayPart
from simulator.effects import EffectSizes, draw_responses
from simulator.engine_decider import EngineDecider, Refresh, rehearse
from simulator.multiclass import MulticlassWorld
from simulator.population import Customer, draw_population
from simulator.referral_contest import ReferralContest
from simulator.rehearsal import Decider, Phase, Played, Send, play
from simulator.response import Attributes, ResponseModel
from simulator.truth import Truth, gap, value_of, value_of_choices
from simulator.wear_world import WearWorld, wearing
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld, RememberingWorld, SimulatedOutcome, World

__all__ = [
    "Arrival",
    "Attributes",
    "ChoiceGrid",
    "ClickEffects",
    "ClickWorld",
    "Customer",
    "Decider",
    "DelayMixture",
    "DelayModel",
    "DelayPart",
    "EffectSizes",
    "EngineDecider",
    "ImpossibleWorld",
    "MulticlassWorld",
    "Phase",
    "Played",
    "ReferralContest",
    "Refresh",
    "RememberingWorld",
    "ResponseModel",
    "Send",
    "SimulatedOutcome",
    "Truth",
    "WearWorld",
    "World",
    "draw_population",
    "draw_responses",
    "gap",
    "play",
    "rehearse",
    "value_of",
    "value_of_choices",
    "wearing",
]
