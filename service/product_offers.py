"""From a catalogue and an events table to a campaign file and a table of candidates."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from bandit.arrays import FloatArray
from bandit.campaign_file import load_campaign, read_campaign
from bandit.errors import UnusableCatalogue
from bandit.products.candidates import SOURCES, CandidateOptions, Listed, candidates_of
from bandit.products.catalogue import Catalogue, read_catalogue
from bandit.products.findings import Finding
from bandit.products.interactions import WEIGHTS, Interactions, summed, usable_events
from bandit.products.mix_choice import MixChoice, choose_mix
from bandit.products.popular import popularity
from bandit.products.product_arms import ArmOptions, product_arms
from service.product_campaign import USUAL_OFFER, ProductCampaign, products_in, with_products
from service.product_tables import read_product_events, write_candidates
from service.table import read_rows
from service.table_writer import replacing


@dataclass(frozen=True, slots=True)
class Wanted:
    """What is to be made.

    Attributes:
        dimension: whose arms are products.
        at: only events before it count.
        sources: of candidates, with weights; empty for those that serve best.
        weights: of types of events; empty for the usual ones.
        half_life: after which an event counts half.
        offer: products each customer is offered; None for what the campaign file says.
        most: products that become arms.
        keep: products in a customer's list; None for twice the offer.
        components: numbers that stand for a product's words.
        seed: of collaborative filtering.
        without_bought: leave out what a customer bought.
    """

    dimension: str
    at: datetime
    sources: Mapping[str, float]
    weights: Mapping[str, float]
    half_life: timedelta
    offer: int | None = None
    most: int = 500
    keep: int | None = None
    components: int = 4
    seed: int = 0
    without_bought: bool = False


@dataclass(slots=True)
class Offers:
    """What was made.

    Attributes:
        dimension: whose arms are products.
        n_products: of the catalogue.
        findings: what was wrong with the tables, in words.
        out, candidates: the files.
        n_arms, n_kept, n_removed, control: of the campaign file; see `ProductCampaign`.
        n_customers: who have candidates.
        by_source: how many candidates came from where.
        choice: of sources, where none were named.
    """

    dimension: str
    n_products: int
    findings: list[str]
    out: Path | None = None
    candidates: Path | None = None
    n_arms: int = 0
    n_kept: int = 0
    n_removed: int = 0
    control: str = ""
    n_customers: int = 0
    by_source: Counter[str] = field(default_factory=Counter)
    choice: MixChoice | None = None

    def document(self) -> dict[str, object]:
        """For machines."""
        paths = {"out": self.out and str(self.out), "candidates": self.candidates and str(self.candidates)}
        counts = {name: getattr(self, name) for name in ("n_products", "n_arms", "n_kept", "n_removed", "n_customers")}
        rest = {"control": self.control or None, "by_source": dict(self.by_source), "findings": self.findings}
        return {"dimension": self.dimension, **paths, **counts, **rest, "choice": self.choice}


def make_offers(
    catalogue: Path, events: Path, campaign: Path, out: Path | None, candidates: Path | None, wanted: Wanted
) -> Offers:
    """Read both tables, and write a campaign file, a table of candidates, or both.

    Raises:
        InvalidCampaign: if the campaign file has faults.
        UnusableLog, UnusableCatalogue: if a table cannot be used.
        InvalidSettings: for sources or numbers out of range.
    """
    text = _text_of(campaign)
    options = CandidateOptions(1, wanted.sources or SOURCES, wanted.without_bought, wanted.seed)
    every, found = read_catalogue(read_rows(catalogue))
    rows = read_product_events(events)
    weights = wanted.weights or WEIGHTS
    used, more = usable_events(rows, every, until=wanted.at, weights=weights)
    interactions = summed(used, every, until=wanted.at, weights=weights, half_life=wanted.half_life)
    made = Offers(wanted.dimension, len(every), [*_said(found, catalogue), *_said(more, events)], out, candidates)
    if out:
        popular = popularity(interactions)
        made_campaign = _campaign(text, every, popular, wanted)
        _note_campaign(made, made_campaign, wanted.dimension)
        text = made_campaign.text
        with replacing(out) as draft:
            draft.write_text(text, encoding="utf-8")
    if candidates:
        offered = _offered(interactions, products_in(text, wanted.dimension), events)
        offer = _offer_of(text, wanted.dimension)
        if not wanted.sources:
            some = used[used["product"].isin(offered.catalogue.places)]
            made.choice = _chosen(some, offered.catalogue, options, offer, wanted)
            options = replace(options, sources=made.choice.sources)
        options = replace(options, most=wanted.keep or 2 * offer)
        write_candidates(candidates, _counted(candidates_of(offered, options), made))
    return made


def _text_of(campaign: Path) -> str:
    return load_campaign(campaign).toml


def _said(findings: Iterable[Finding], path: Path) -> list[str]:
    return [f"{path}: {one}" for one in findings]


def _campaign(text: str, every: Catalogue, popular: FloatArray, wanted: Wanted) -> ProductCampaign:
    arms = product_arms(every, popular, ArmOptions(wanted.most, wanted.components))
    return with_products(text, wanted.dimension, arms, offer=wanted.offer)


def _chosen(
    used: pd.DataFrame, catalogue: Catalogue, options: CandidateOptions, offer: int, wanted: Wanted
) -> MixChoice:
    return choose_mix(used, catalogue, options, k=offer, weights=wanted.weights or WEIGHTS, half_life=wanted.half_life)


def _note_campaign(made: Offers, campaign: ProductCampaign, name: str) -> None:
    made.n_arms = len(products_in(campaign.text, name))
    made.n_kept, made.n_removed, made.control = campaign.n_kept, campaign.n_removed, campaign.control


def _offer_of(text: str, name: str) -> int:
    return next(one.candidates for one in read_campaign(text).dimensions if one.name == name) or USUAL_OFFER


def _offered(interactions: Interactions, arms: tuple[str, ...], events: Path) -> Interactions:
    """The same of those products alone that are arms: nothing else can be offered."""
    known = interactions.catalogue.places
    places = [known[one] for one in arms if one in known]
    if not places:
        raise UnusableCatalogue(
            f"none of the {len(arms)} arms is a product of the catalogue, so {events} says nothing about them. Write the "
            "campaign file with --out first."
        )
    catalogue = Catalogue(tuple(interactions.catalogue.products[place] for place in places))
    weights, bought = interactions.weights[:, places], interactions.bought[:, places]
    some = np.flatnonzero(np.diff(weights.indptr))
    customers = tuple(interactions.customers[row] for row in some.tolist())
    return Interactions(catalogue, customers, weights[some], bought[some])


def _counted(lists: Iterable[Listed], made: Offers) -> Iterator[Listed]:
    for one in lists:
        # Who bought everything has nothing left; the engine offers them popular products.
        if one.candidates:
            made.n_customers += 1
            made.by_source.update(candidate.source for candidate in one.candidates)
            yield one
