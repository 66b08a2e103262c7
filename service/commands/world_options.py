"""Which worlds a campaign is replayed in: options that `replay` and `tune` share, and what they ask for."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import click

from bandit.campaign import Campaign
from bandit.campaign_file import read_campaign
from service.checked_campaign import checked_campaign
from service.commands.mapping import column_map
from service.commands.options import note
from service.fit_asked import fit_source, fitted_worlds
from service.foreign_log import ColumnMap
from service.sample import sample_text
from service.worlds_asked import ScenarioWorlds, customers_in, rates_in
from simulator.replay import Worlds
from simulator.scenarios import SCENARIOS

Command = TypeVar("Command", bound=Callable[..., Any])
SAMPLE = "referral-contest"
FILE = click.Path(path_type=Path)
FIT_SEED = 0
"""Of the folds only: the world's luck is each replay's own."""

OPTIONS = (
    click.option("--scenario", type=click.Choice(list(SCENARIOS)), help="A made-up world; docs/scenarios.md tells each."),
    click.option("--fit", type=FILE, help="Fit the world to this log: our database, an export, or a table with --arm."),
    click.option("--campaign", type=FILE, help="The campaign file; where none is named, the sample campaign or the log's."),
    click.option("--rates", default="", metavar="TYPE=SHARE,...", help="Of a scenario, such as click=0.04 (not percent)."),
    click.option("--customers", type=FILE, help="Of a scenario: a table of customers, whose context it takes."),
    click.option("--arm", default="", help="Of somebody else's log: column with the arm that was sent."),
    click.option("--reward", default="", help="With --arm: column with the reward, a number."),
    click.option("--propensity", default="", help="With --arm: column with the draw's probability, or a number."),
    click.option("--context", default="", help="With --arm: columns known before the draw, separated by commas."),
    click.option("--where", multiple=True, metavar="COLUMN=VALUE|VALUE", help="With --arm: only rows with these values."),
    click.option("--sent-at", default="", help="With --fit and --arm: column with the time of each send, with its zone."),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class WorldsAsked:
    """What was asked for; the names are those of the options."""

    scenario: str | None
    fit: Path | None
    campaign: Path | None
    rates: str
    customers: Path | None
    arm: str
    reward: str
    propensity: str
    context: str
    where: tuple[str, ...]
    sent_at: str = ""

    @property
    def columns(self) -> ColumnMap | None:
        """Of somebody else's log; None where it is ours.

        Raises:
            click.UsageError: for options that only go together.
        """
        return column_map(self.arm, self.reward, self.propensity, self.context, self.where, self.sent_at)

    def worlds(self, usual: str = "") -> tuple[Campaign, Worlds]:
        """The campaign, and its worlds.

        Args:
            usual: the scenario where none was named, and no log.

        Raises:
            click.UsageError: for options that do not go together.
            EngineError: for whatever is wrong with a file.
        """
        if self.fit is not None:
            return self._fitted(self.fit)
        if self.columns or self.reward:
            raise click.UsageError("--arm and its like name the columns of a log: name the log with --fit.")
        if not (self.scenario or usual):
            raise click.UsageError(
                "name a world, --scenario NAME or --fit LOG; or a LOG to go through row by row; or --rehearse CAMPAIGN."
            )
        campaign = checked_campaign(self.campaign) if self.campaign else read_campaign(sample_text(SAMPLE))
        rows, ids = customers_in(self.customers, campaign.declared) if self.customers else ([], [])
        return campaign, ScenarioWorlds(self.scenario or usual, rates_in(self.rates), rows, ids)

    def _fitted(self, path: Path) -> tuple[Campaign, Worlds]:
        others = {"--scenario": self.scenario, "--rates": self.rates, "--customers": self.customers}
        given = [name for name, value in others.items() if value]
        if given:
            raise click.UsageError(f"--fit takes rates and customers from the log: leave out {', '.join(given)}.")
        columns = self.columns
        declared = checked_campaign(self.campaign) if self.campaign else None
        note(f"fitting a world to {path}")
        with fit_source(path, columns, declared) as source:
            return fitted_worlds(source, path.name, FIT_SEED, declared)


def world_options(command: Command) -> Command:
    """Add the options, and hand them to the command in one piece, as `asked`."""

    @functools.wraps(command)
    def bundled(**given: Any) -> object:  # noqa: ANN401 - click's own
        asked = {name: given.pop(name) for name in WorldsAsked.__dataclass_fields__}
        return command(asked=WorldsAsked(**asked), **given)

    decorated: Any = bundled
    for option in reversed(OPTIONS):
        decorated = option(decorated)
    found: Command = decorated
    return found
