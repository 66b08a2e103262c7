"""Customers and events to go with a sample campaign, made up from a seed: every step can be tried before there are any."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from bandit.errors import UnusableLog
from simulator.customer_histories import customer_histories

CUSTOMERS, EVENTS = "customers.csv", "events.csv"
_NAMES_ES = ("Lucía", "Mateo", "Sofía", "Iñigo", "Martina", "José", "Núria", "Álvaro", "Camila", "Andrés")
_NAMES_EN = ("Ann", "Bob", "Chloë", "Dev", "Erin", "Femi", "Grace", "Hugo", "Ines", "Jun")
_PRODUCTS_ES = ("Tu café de Colombia", "La mochila azul", "El aceite de Jaén", "Tu crema de noche")
_UNKNOWN = 0.1
"""Share of customers of whom a thing is not known."""


@dataclass(frozen=True, slots=True)
class Sample:
    """How made-up customers fit one campaign.

    Attributes:
        zones: of the histories, each to one that the campaign declares.
        columns: what is known of a customer besides, each with how it is drawn.
    """

    zones: Mapping[str, str]
    columns: Mapping[str, Callable[[np.random.Generator, str], object]]


def _one_of(*values: str) -> Callable[[np.random.Generator, str], object]:
    return lambda luck, _: str(luck.choice(values)) if luck.random() > _UNKNOWN else None


_COUNTRY = {"Europe/Berlin": "de", "Europe/Paris": "fr", "America/New_York": "us"}
DATA: Mapping[str, Sample] = {
    "referral-contest": Sample(
        {"Europe/Berlin": "Europe/Berlin", "Europe/Madrid": "Europe/Paris", "America/New_York": "America/New_York"},
        {
            "country": lambda _, zone: _COUNTRY.get(zone),
            "zone": lambda _, zone: zone or None,
            "gender": _one_of("female", "male", "other"),
            "first_name": _one_of(*_NAMES_EN),
        },
    ),
    "winback-es": Sample(
        {
            "Europe/Berlin": "America/Mexico_City",
            "Europe/Madrid": "Europe/Madrid",
            "America/New_York": "America/Bogota",
        },
        {
            "zone": lambda _, zone: zone or None,
            "plan": _one_of("basico", "basico", "premium"),
            "nombre": _one_of(*_NAMES_ES),
            "ultimo_producto": _one_of(*_PRODUCTS_ES),
        },
    ),
}
"""One for each of `service.sample.SAMPLES`."""


def sample_tables(example: str, n_customers: int, seed: int) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Customers and a year of their events.

    Args:
        example: name of the sample.
        n_customers: how many, at least 1.
        seed: of every draw.

    Returns:
        Customers with what is known of each; events as `manyarm profile` reads them, by time.
    """
    sample, histories = DATA[example], customer_histories(n_customers, seed=seed)
    events = histories.events.sort_values(["at", "customer_id"], kind="stable")
    events["zone"] = events["zone"].astype("object").map(dict(sample.zones))
    usual = (
        events.dropna(subset="zone").groupby("customer_id", observed=True)["zone"].agg(lambda zones: zones.mode()[0])
    )
    luck = np.random.default_rng(seed)
    rows = [
        {"customer_id": name} | {column: draw(luck, usual.get(name, "")) for column, draw in sample.columns.items()}
        for name in histories.ids
    ]
    return pd.DataFrame(rows), events


def write_sample(example: str, folder: Path, n_customers: int, seed: int) -> tuple[Path, Path]:
    """Write both tables as CSV into a folder, which is made if need be; files that are there already are not touched.

    Raises:
        UnusableLog: if one of the files is there, or cannot be written.
    """
    paths = folder / CUSTOMERS, folder / EVENTS
    there = [str(path) for path in paths if path.exists()]
    if there:
        raise UnusableLog(f"{', '.join(there)} is there already and was not touched. Name another folder with --data.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for path, table in zip(paths, sample_tables(example, n_customers, seed), strict=True):
            table.to_csv(path, index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    except OSError as error:
        raise UnusableLog(f"{folder} cannot be written to ({error}). Name another folder with --data.") from error
    return paths
