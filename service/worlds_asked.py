"""Worlds as the command line asks for them: a scenario at the user's own rates, with the user's own customers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from bandit.campaign import Campaign
from bandit.context import Context, ContextValue
from bandit.errors import EngineError, InvalidContext, InvalidSettings
from bandit.schema import Schema
from service.table import columns_in, context_of, read_rows
from simulator.customers import Customers, customers_of_rows
from simulator.delay import DelayMixture, DelayModel, DelayPart
from simulator.replay import Stage
from simulator.scenarios import SCENARIOS

CUSTOMER_ID = "customer_id"
MOST_CUSTOMERS = 1_000_000
_SECONDS = DelayMixture((DelayPart(1.0, median_hours=1e-4, spread=0.1),))
_AT_ONCE = DelayModel(_SECONDS, _SECONDS, _SECONDS, conversion_tail=100.0)


@dataclass(frozen=True, slots=True)
class ScenarioWorlds:
    """A scenario.

    Args:
        name: in the registry of scenarios.
        rates: outcome type to its mean rate under the random policy; where silent, the scenario's own.
        rows: contexts of the user's own customers; none to have them drawn from the campaign's schema.
        ids: of these customers.
        at_once: whether everybody answers at once, whatever the scenario says; for rates that were counted within the window.

    Raises:
        InvalidSettings: if there is no such scenario.
    """

    name: str
    rates: Mapping[str, float] = field(default_factory=dict)
    rows: Sequence[Mapping[str, ContextValue]] = ()
    ids: Sequence[str] = ()
    at_once: bool = False

    def __post_init__(self) -> None:
        if self.name not in SCENARIOS:
            raise InvalidSettings(f"scenario {self.name!r} is unknown. Known: {', '.join(SCENARIOS)}.")

    def __str__(self) -> str:
        return self.name

    @property
    def identity(self) -> str:
        """Everything that was asked for."""
        return repr((self.name, sorted(self.rates.items()), list(self.rows), list(self.ids), self.at_once))

    def stages(self, campaign: Campaign, seed: int, n_sends: int) -> tuple[Stage, ...]:
        """The scenario's stages for a campaign."""
        rates, customers, scenario = self.rates or None, self._customers(campaign, seed), SCENARIOS[self.name]
        if self.at_once:
            scenario = replace(scenario, settings=replace(scenario.settings, delays=_AT_ONCE))
        return scenario.stages(campaign, seed, n_sends, customers=customers, rates=rates)

    def _customers(self, campaign: Campaign, seed: int) -> Customers | None:
        if not self.rows:
            return None
        rows = [campaign.given_of(row) for row in self.rows]
        return customers_of_rows(
            campaign.declared, rows, seed, ids=self.ids or None, zone=campaign.timezone, clock=campaign.clock
        )


def rates_in(text: str) -> dict[str, float]:
    """Rates written as click=0.04,conversion=0.2.

    Raises:
        InvalidSettings: for anything else, or a rate that is no share.

    >>> rates_in("click=0.04, conversion=0.2")
    {'click': 0.04, 'conversion': 0.2}
    """
    rates = {}
    for part in filter(None, (part.strip() for part in text.split(","))):
        name, _, value = part.partition("=")
        try:
            rates[name.strip()] = float(value)
        except ValueError:
            rates[name.strip()] = -1.0
        if not (name.strip() and 0.0 < rates[name.strip()] < 1.0):
            raise InvalidSettings(
                f"rate {part!r}: write TYPE=SHARE with a share between 0 and 1 (not percent), such as click=0.04."
            )
    return rates


def customers_in(path: Path, schema: Schema) -> tuple[list[dict[str, ContextValue]], list[str]]:
    """Contexts of a table of customers, and their ids where it has a column `customer_id`.

    Columns that the campaign does not declare are ignored; every context is checked against its schema.

    Raises:
        InvalidContext: naming the first bad row, or if there is none or too many.
    """
    columns = columns_in(path) or ()
    names = [item.name for item in schema.fields if item.name in columns]
    if columns and not names and schema.fields:
        wanted = ", ".join(item.name for item in schema.fields)
        raise InvalidContext(
            f"{path} has the columns {', '.join(columns)}, of which the campaign declares none as context. It declares: {wanted}."
        )
    rows, ids = [], []
    for number, cells in enumerate(read_rows(path), start=1):
        try:
            rows.append(dict(schema.encode(Context(context_of(cells, schema, names))).values))
        except EngineError as error:
            raise InvalidContext(f"{path} row {number}: {error}") from error
        ids.append(str(cells.get(CUSTOMER_ID, "")))
        if number > MOST_CUSTOMERS:
            raise InvalidContext(f"{path} has more than {MOST_CUSTOMERS:,} rows; a sample of them says the same.")
    if not rows:
        raise InvalidContext(f"{path} has no rows, so there is nobody to send to.")
    has_ids = CUSTOMER_ID in columns and len(set(ids)) == len(ids) and "" not in ids
    return rows, ids if has_ids else []
