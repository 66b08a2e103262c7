"""The key `text_features` of a dimension: what the learner is told of its texts besides their words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from bandit.fault import Reader

COUNTED: Final = ("length", "n_words", "n_emoji", "is_question", "has_number", "is_personalised")
"""Features that can be read off a text in any language."""
SIMILARITY: Final = "similarity"
OF_LANGUAGE: Final = {"urgency": ("en", "es"), "sentiment": ("en",)}
"""Features that need a list of words, and the languages there is one for."""
TEXT_FEATURES: Final = (*COUNTED, *OF_LANGUAGE, SIMILARITY)


@dataclass(frozen=True, slots=True)
class TextFeatures:
    """Which features are made of a dimension's texts.

    Attributes:
        names: of `TEXT_FEATURES`; empty for all that the language has.
        fitted_on: arms whose texts say what similarity is measured by; empty for all of the dimension.
    """

    names: tuple[str, ...] = ()
    fitted_on: tuple[str, ...] = ()

    def in_language(self, language: str) -> tuple[str, ...]:
        """The features there are in a language.

        >>> TextFeatures(("length", "sentiment")).in_language("es-MX")
        ('length',)
        """
        return there_are(self.names or TEXT_FEATURES, language)


def there_are(names: Sequence[str], language: str) -> tuple[str, ...]:
    """Those of some features that a language has."""
    tongue = language.partition("-")[0]
    return tuple(name for name in names if tongue in OF_LANGUAGE.get(name, (tongue,)))


def read_text_features(table: Reader) -> TextFeatures | None:
    """The key of a dimension, with its faults noted; None where the learner is told nothing but words."""
    wanted = f"true, a list of {', '.join(TEXT_FEATURES)}, or a table with names and fitted_on"
    if "text_features" not in table.names():
        return None
    found = table.take("text_features")
    if isinstance(found, bool):
        return TextFeatures() if found else None
    reader = Reader(found if isinstance(found, dict) else {"names": found}, table.path("text_features"), table.faults)
    names = reader.texts("names", wanted=wanted)
    strange = [name for name in names if name not in TEXT_FEATURES]
    if strange:
        table.fault("text_features", strange[0], wanted)
    fitted_on = reader.texts("fitted_on", wanted="ids of arms of this dimension, at least two")
    reader.refuse_the_rest(("names", "fitted_on"))
    return TextFeatures(tuple(name for name in names if name in TEXT_FEATURES), fitted_on)
