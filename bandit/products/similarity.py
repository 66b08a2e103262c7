"""How alike products are by what is said of them: words of names, descriptions and categories, rare words counting more.

Source: Salton and Buckley (1988), Term-weighting approaches in automatic text retrieval.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from sklearn.feature_extraction.text import TfidfVectorizer

from bandit.arrays import FloatArray
from bandit.products.catalogue import Catalogue, Product
from bandit.products.interactions import Interactions

N_COMPONENTS: Final = 4
_WORD: Final = r"(?u)category=\S+|\b\w+\b"


def word_weights(catalogue: Catalogue) -> FloatArray:
    """TF-IDF of each product's words.

    Returns:
        shape (n_products, n_words); rows have length 1, or 0 where a product has no words.
    """
    texts = [_words(one) for one in catalogue.products]
    if not any(any(letter.isalnum() for letter in text) for text in texts):
        return np.zeros((len(texts), 1))
    # The category is one word, whatever it is made of, and every language's words count: no list of words to leave out.
    vectors = TfidfVectorizer(sublinear_tf=True, token_pattern=_WORD).fit_transform(texts)
    found: FloatArray = vectors.toarray()
    return found


def similarity(words: FloatArray) -> FloatArray:
    """How alike products are: the cosine between their words.

    Args:
        words: shape (n_products, n_words), from `word_weights`.

    Returns:
        shape (n_products, n_products), from 0 to 1; 0 of a product with itself, which recommends nothing.

    >>> teas = Catalogue((Product("a", "green tea"), Product("b", "black tea"), Product("c", "cup")))
    >>> found = similarity(word_weights(teas))
    >>> bool(found[0, 1] > found[0, 2]), float(found[0, 0])
    (True, 0.0)
    """
    found: FloatArray = words @ words.T
    np.fill_diagonal(found, 0.0)
    return np.clip(found, 0.0, 1.0)


def content_scores(interactions: Interactions, rows: slice, alike: FloatArray) -> FloatArray:
    """How alike each product is to those a customer has to do with, weighed by how much.

    Args:
        interactions: of all customers.
        rows: whose.
        alike: shape (n_products, n_products), from `similarity`.

    Returns:
        shape (n, n_products).
    """
    weights = interactions.weights[rows]
    totals = np.asarray(weights.sum(axis=1), dtype=np.float64).reshape(-1, 1)
    found: FloatArray = (weights @ alike) / np.maximum(totals, np.finfo(np.float64).tiny)
    return found


def text_components(words: FloatArray, n_components: int = N_COMPONENTS) -> FloatArray:
    """The main directions in which products' words differ: a few numbers that stand for many words.

    Args:
        words: shape (n_products, n_words), from `word_weights`.
        n_components: how many numbers; fewer where there are not so many products or words.

    Returns:
        shape (n_products, n_components); the sign of each direction is such that its largest entry is positive.

    Source: Deerwester et al. (1990), Indexing by latent semantic analysis.
    """
    n_components = min(n_components, *words.shape)
    left, sizes, _ = np.linalg.svd(words, full_matrices=False)
    found = left[:, :n_components] * sizes[:n_components]
    signs = np.sign(found[np.abs(found).argmax(axis=0), np.arange(n_components)])
    signed: FloatArray = found * np.where(signs == 0.0, 1.0, signs)
    return signed


def _words(product: Product) -> str:
    category = "_".join(product.category.split())
    named = f" category={category} {product.category}" if category else ""
    return f"{product.name} {product.description}{named}"
