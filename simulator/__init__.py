"""Worlds with known truth, for rehearsing a campaign before anyone receives it.

World       `World`, `Arrival`, `SimulatedOutcome`, `ChoiceGrid`, `ImpossibleWorld`: what every world answers
Scenarios   `SCENARIOS`, `Scenario`: named worlds for any campaign, made of `CampaignWorld`
Fitted      `fit_world`, `FittedWorld`, `FitRows`: a world fitted to a log
Replay      `replay`, `Stage`, `Worlds`, `ReplayedCampaign`, `over_seeds`: a campaign on its own clock, for many seeds
Faults      `FAULTS`, `faults_of`: what goes wrong with logs
Memory      `RememberingWorld`, `WearWorld`, `wearing`: what was sent before matters
Demo        `ReferralContest`: 12 subjects x 4 calls to action x 4 benefits x 10 send slots
Customers   `Customers`, `drawn_customers`, `customers_of_rows`; `Customer`, `draw_population` of the demo
Responses   `Attributes`, `EffectSizes`, `draw_responses`, `ResponseModel`
Delays      `DelayModel`, `DelayMixture`, `DelayPart`
Rehearsal   `rehearse`, `play`, `Phase`, `Played`, `Decider`, `EngineDecider`, `Refresh`: a campaign in memory
Benchmarks  `ClickWorld`, `MulticlassWorld`, and the worlds of `simulator.email_worlds`
Truth       `value_of`, `value_of_choices`, `Truth`, `gap`: exact value and regret of a policy
"""

from simulator.campaign_world import CampaignWorld
from simulator.click_world import ClickEffects, ClickWorld
from simulator.customers import Customers, customers_of_rows, drawn_customers
from simulator.delay import DelayMixture, DelayModel, DelayPart
from simulator.effects import EffectSizes, draw_responses
from simulator.engine_decider import EngineDecider, Refresh, rehearse
from simulator.faults import FAULTS, faults_of
from simulator.fit_rows import FitRows
from simulator.fitted_world import FittedWorld
from simulator.fitting import fit_world
from simulator.multiclass import MulticlassWorld
from simulator.population import Customer, draw_population
from simulator.referral_contest import ReferralContest
from simulator.rehearsal import Decider, Phase, Played, Send, play
from simulator.replay import Stage, Worlds, replay
from simulator.replayed import ReplayedCampaign
from simulator.response import Attributes, ResponseModel
from simulator.scenarios import SCENARIOS, Scenario
from simulator.seeds import over_seeds
from simulator.truth import Truth, gap, value_of, value_of_choices
from simulator.wear_world import WearWorld, wearing
from simulator.world import Arrival, ChoiceGrid, ImpossibleWorld, RememberingWorld, SimulatedOutcome, World

__all__ = [
    "FAULTS",
    "SCENARIOS",
    "Arrival",
    "Attributes",
    "CampaignWorld",
    "ChoiceGrid",
    "ClickEffects",
    "ClickWorld",
    "Customer",
    "Customers",
    "Decider",
    "DelayMixture",
    "DelayModel",
    "DelayPart",
    "EffectSizes",
    "EngineDecider",
    "FitRows",
    "FittedWorld",
    "ImpossibleWorld",
    "MulticlassWorld",
    "Phase",
    "Played",
    "ReferralContest",
    "Refresh",
    "RememberingWorld",
    "ReplayedCampaign",
    "ResponseModel",
    "Scenario",
    "Send",
    "SimulatedOutcome",
    "Stage",
    "Truth",
    "WearWorld",
    "World",
    "Worlds",
    "customers_of_rows",
    "draw_population",
    "draw_responses",
    "drawn_customers",
    "faults_of",
    "fit_world",
    "gap",
    "over_seeds",
    "play",
    "rehearse",
    "replay",
    "value_of",
    "value_of_choices",
    "wearing",
]
