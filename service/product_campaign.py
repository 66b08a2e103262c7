"""The campaign file with a catalogue's products as the arms of a dimension: the user's own text, all else as it stands."""

from __future__ import annotations

from collections.abc import MutableMapping, Sequence
from typing import Any, NamedTuple

import tomlkit
from tomlkit.items import AoT

from bandit.campaign_file import read_campaign
from bandit.dimension import Arm
from bandit.errors import UnusableCatalogue

USUAL_OFFER = 5


class ProductCampaign(NamedTuple):
    """A campaign file with products.

    Attributes:
        text: of the file.
        n_kept: arms that stood there already.
        n_removed: arms that stood there and are no products any more.
        control: the product that the control group gets from now on; empty where nothing had to be changed.
    """

    text: str
    n_kept: int
    n_removed: int
    control: str


def with_products(text: str, name: str, arms: Sequence[Arm], *, offer: int | None = None) -> ProductCampaign:
    """Make products the arms of a dimension, in their order.

    An arm that stands there already keeps what was written of it (its text, its rules, features of other names); its other
    features are renewed.

    Args:
        text: the campaign file, without faults.
        name: of the dimension; a new one is added at the end.
        arms: products, most popular first.
        offer: how many of them each customer is offered; what the file says, or 5, where it is None.

    Raises:
        InvalidCampaign: if the file has faults, with products or without.

    >>> from service.sample import sample_text
    >>> made = with_products(sample_text("referral-contest"), "product", [Arm("tea", "Tea"), Arm("cup", "Cup")], offer=1)
    >>> read_campaign(made.text).dimensions[-1].ids
    ('tea', 'cup')
    """
    read_campaign(text)
    document = tomlkit.parse(text)
    if not isinstance(document["dimension"], AoT):
        # Tables in braces cannot hold a catalogue that anybody could read; they go to the end, where no key follows them.
        document.append("dimension", tomlkit.item(document.pop("dimension").unwrap()))
    dimension = _dimension(document, name)
    before = {str(arm["id"]): arm for arm in dimension.get("arm", ())}
    written = tomlkit.aot()
    for arm in arms:
        written.append(_arm(before.get(arm.id), arm))
    # What sends nothing is no product, and stays.
    silent = [one for one in before.values() if one.get("no_send")]
    for one in silent:
        written.append(_arm(one, Arm(str(one["id"]))))
    if "arm" in dimension:
        del dimension["arm"]
    dimension["candidates"] = offer or dimension.get("candidates", USUAL_OFFER)
    dimension["arm"] = written
    control = _control(document, name, dimension)
    found = tomlkit.dumps(document)
    read_campaign(found)
    kept = sum(arm.id in before for arm in arms)
    return ProductCampaign(found, kept, len(before) - len(silent) - kept, control)


def products_in(text: str, name: str) -> tuple[str, ...]:
    """The products that a campaign file's dimension has.

    Raises:
        InvalidCampaign: if the file has faults.
        UnusableCatalogue: if there is no such dimension, or it offers no candidates.
    """
    dimension = next((one for one in read_campaign(text).dimensions if one.name == name), None)
    if dimension is None or not dimension.candidates:
        raise UnusableCatalogue(
            f"the campaign has no dimension {name!r} with candidates = 5, so there is nobody to offer products. Write one with "
            "--out, or name another one with --dimension."
        )
    return tuple(arm.id for arm in dimension.arms if not arm.no_send)


def _dimension(document: MutableMapping[str, Any], name: str) -> MutableMapping[str, Any]:
    for one in document["dimension"]:
        if one["name"] == name:
            found: MutableMapping[str, Any] = one
            return found
    table = tomlkit.table()
    table["name"] = name
    document["dimension"].append(table)
    added: MutableMapping[str, Any] = document["dimension"][-1]
    return added


def _arm(before: MutableMapping[str, Any] | None, arm: Arm) -> MutableMapping[str, Any]:
    table = tomlkit.table()
    table["id"] = arm.id
    if arm.text:
        table["text"] = arm.text
    features: dict[str, Any] = dict(arm.features)
    for key, value in (before or {}).items():
        if key == "features":
            features = {**value, **features}
        else:
            table[key] = value
    inline = tomlkit.inline_table()
    inline.update({name: float(value) if isinstance(value, float) else value for name, value in features.items()})
    table["features"] = inline
    return table


def _control(document: MutableMapping[str, Any], name: str, dimension: MutableMapping[str, Any]) -> str:
    """Give the control group a product where it would have none; returns which."""
    choice = document.get("groups", {}).get("control", {}).get("choice")
    if choice is None or choice.get(name) in {str(arm["id"]) for arm in dimension["arm"]}:
        return ""
    choice[name] = str(dimension["arm"][0]["id"])
    return str(choice[name])
