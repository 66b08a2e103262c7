"""Products as arms of a dimension: what the learner knows of each, so that what it learns of one says something of others."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from bandit.arrays import FloatArray
from bandit.dimension import Arm, ArmFeature
from bandit.errors import InvalidSettings
from bandit.products.catalogue import Catalogue
from bandit.products.similarity import N_COMPONENTS, text_components, word_weights

MOST_ARMS: Final = 500
_DIGITS: Final = 4


@dataclass(frozen=True, slots=True)
class ArmOptions:
    """Which products become arms, and with what features.

    Attributes:
        most: how many products; the most popular ones are taken.
        components: how many numbers stand for what is said of a product.

    Raises:
        InvalidSettings: for numbers out of range.
    """

    most: int = MOST_ARMS
    components: int = N_COMPONENTS

    def __post_init__(self) -> None:
        if not (1 <= self.most <= MOST_ARMS and 0 <= self.components <= 32):
            raise InvalidSettings(
                f"{self.most} products with {self.components} components: need 1 to {MOST_ARMS} products, each of which stands "
                "in the pmf of every decision, and 0 to 32 components."
            )


def product_arms(catalogue: Catalogue, popular: FloatArray, options: ArmOptions | None = None) -> tuple[Arm, ...]:
    """The arms of a product dimension, most popular first: customers without candidates are offered the first ones.

    Features are the category, the price on a logarithmic scale, how popular it is from 0 to 1, and the components of its
    words. What the catalogue does not say is left out: the learner takes such a number for the mean.

    Args:
        catalogue: the products.
        popular: shape (n_products,), from `bandit.products.popular.popularity`.
        options: which, and how.

    >>> from bandit.products.catalogue import Product
    >>> catalogue = Catalogue((Product("cup", "Cup", category="ware", price=9.0), Product("tea", "Green tea")))
    >>> arms = product_arms(catalogue, np.array([1.0, 3.0]), ArmOptions(components=0))
    >>> [arm.id for arm in arms], arms[0].features["popularity"], arms[1].features["price"], "price" in arms[0].features
    (['tea', 'cup'], 1.0, 2.3026, False)
    """
    options = options or ArmOptions()
    components = text_components(word_weights(catalogue), options.components)
    liked = np.log1p(popular) / max(float(np.log1p(popular).max()), np.finfo(np.float64).tiny)
    order = np.argsort(-popular, kind="stable")[: options.most]
    arms = []
    for place in order.tolist():
        product = catalogue.products[place]
        features: dict[str, ArmFeature] = {"category": product.category} if product.category else {}
        if product.price is not None:
            features["price"] = round(math.log1p(product.price), _DIGITS)
        features["popularity"] = round(float(liked[place]), _DIGITS)
        features |= {f"words_{k}": round(value, _DIGITS) for k, value in enumerate(components[place].tolist(), 1)}
        arms.append(Arm(product.id, product.name, features=features))
    return tuple(arms)
