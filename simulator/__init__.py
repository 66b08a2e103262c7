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

import lazy_loader

# Hardly anybody asks for all of it, and what it is made of takes a second to load.
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
