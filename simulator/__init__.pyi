# The names of the package; `__init__.py` loads each when it is asked for.

from .campaign_world import CampaignWorld
from .click_world import ClickEffects, ClickWorld
from .customers import Customers, customers_of_rows, drawn_customers
from .delay import DelayMixture, DelayModel, DelayPart
from .effects import EffectSizes, draw_responses
from .engine_decider import EngineDecider, Refresh, rehearse
from .faults import FAULTS, faults_of
from .fit_rows import FitRows
from .fitted_world import FittedWorld
from .fitting import fit_world
from .multiclass import MulticlassWorld
from .population import Customer, draw_population
from .referral_contest import ReferralContest
from .rehearsal import Decider, Phase, Played, Send, play
from .replay import Stage, Worlds, replay
from .replayed import ReplayedCampaign
from .response import Attributes, ResponseModel
from .scenarios import SCENARIOS, Scenario
from .seeds import over_seeds
from .truth import Truth, gap, value_of, value_of_choices
from .wear_world import WearWorld, wearing
from .world import Arrival, ChoiceGrid, ImpossibleWorld, RememberingWorld, SimulatedOutcome, World

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
