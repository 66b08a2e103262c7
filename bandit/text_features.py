"""Features of texts for the learner: how long, how urgent, how like each other; they become ordinary features of the arms.

A dimension asks for them with `text_features`. Each hangs on the arm's own text alone, but for similarity, which is measured
by the texts of the arms it was fitted on; its features bear a digest of those in their names. So an arm that is added leaves
the others' features as they are, or gives them new names: a model never takes one number for another.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from bandit.content import Content, has_braces
from bandit.dimension import Arm, ArmFeature, Dimension
from bandit.fault import Fault
from bandit.features import BRACES
from bandit.text_feature_spec import OF_LANGUAGE, SIMILARITY, TextFeatures, there_are
from bandit.text_similarity import TextSimilarity

PREFIX: Final = "text_"
DIGITS: Final = 6
"""After the point: what differs by less is the machine's doing."""
URGENT: Final[Mapping[str, re.Pattern[str]]] = {
    "en": re.compile(
        r"\b(now|today|tonight|tomorrow|hurry|quick(ly)?|fast|urgent(ly)?|immediately|instant(ly)?|soon|asap|deadline|limited|"
        r"expir(es?|ing)|ends?|ending|closing|last (chance|call|day|days|hours?|minute)|final (hours?|days?|call|chance)|only|"
        r"don['’]t miss|don['’]t wait|(hours?|days?|minutes?|time|spots?|places?) left|before|while (supplies|stocks) last)\b"
    ),
    "es": re.compile(
        r"\b(ahora|ya|hoy|mañana|esta noche|corre|date prisa|rápido|rápidamente|urgente|inmediat(o|a|amente)|pronto|cuanto antes|"
        r"plazo|limitad[oa]s?|caducan?|vencen?|terminan?|acaban?|últim[oa]s?|queda[n]?|solo|sólo|no te lo pierdas|no esperes|"
        r"antes de|hasta agotar existencias)\b"
    ),
}
"""Words that press, by language; each counts as often as it stands there."""
QUESTION: Final = re.compile("[?؟？;¿⸮]")
_NUMBER: Final = re.compile(r"\d")


def with_text_features(dimensions: Sequence[Dimension], content: Content, faults: list[Fault]) -> tuple[Dimension, ...]:
    """The dimensions, those that ask for it with features of their texts; a feature that the file declares itself stays.

    Args:
        dimensions: as they are declared.
        content: says the language.
        faults: to add to.
    """
    return tuple(_told(d, d.text_features, content.language, faults) if d.text_features else d for d in dimensions)


def text_features(
    texts: Sequence[str], names: Sequence[str], language: str = "", fitted_on: Sequence[str] | None = None
) -> list[dict[str, float]]:
    """Features of each text, all numbers.

    Args:
        texts: with their braces; what stands in them counts as nothing but as personalised.
        names: of `bandit.text_feature_spec.TEXT_FEATURES`; those that the language does not have are left out.
        language: of the texts, as in BCP 47.
        fitted_on: texts that similarity is measured by; `texts` themselves where there are none given.

    >>> text_features(["Only 2 days left, {{ name }} 🎉"], ["length", "n_words", "n_emoji", "is_personalised"])
    [{'text_length': 19.0, 'text_n_words': 4.0, 'text_n_emoji': 1.0, 'text_is_personalised': 1.0}]
    >>> text_features(["¿Vienes hoy?"], ["is_question", "urgency", "sentiment"], "es")
    [{'text_is_question': 1.0, 'text_urgency': 1.0}]
    """
    there = there_are(names, language)
    measures = _measures(language)
    found = [
        {PREFIX + name: round(measures[name](text), DIGITS) for name in there if name != SIMILARITY} for text in texts
    ]
    if SIMILARITY in there:
        _add_similarity(found, texts, texts if fitted_on is None else fitted_on)
    return found


def plain_text(text: str) -> str:
    r"""What a text says before anything is filled in: composed letters, single spaces, no braces.

    >>> plain_text("  Cafe\u0301 {{ city }} \n now")
    'Café now'
    """
    return " ".join(unicodedata.normalize("NFC", BRACES.sub(" ", text)).split())


def _told(dimension: Dimension, asked: TextFeatures, language: str, faults: list[Fault]) -> Dimension:
    where = f"dimension {dimension.name}, text_features"
    faults.extend(_faults(dimension, asked, language, where))
    texts = {arm.id: arm.text for arm in dimension.arms}
    fitted_on = [texts[arm] for arm in asked.fitted_on if arm in texts] or [text for text in texts.values() if text]
    made = text_features([arm.text for arm in dimension.arms], asked.in_language(language), language, fitted_on)
    return replace(dimension, arms=tuple(_with(arm, own) for arm, own in zip(dimension.arms, made, strict=True)))


def _with(arm: Arm, made: Mapping[str, ArmFeature]) -> Arm:
    return replace(arm, features={**made, **arm.features}) if arm.text else arm


def _faults(dimension: Dimension, asked: TextFeatures, language: str, where: str) -> list[Fault]:
    found = [
        Fault(
            where,
            f"{name}, and the language {language or 'is not said'}",
            f"[content] language of {', '.join(OF_LANGUAGE[name])}, or a list without {name}: it knows the words of no other",
        )
        for name in asked.names
        if name not in asked.in_language(language)
    ]
    strange = [
        arm for arm in asked.fitted_on if arm not in dimension or not dimension.arms[dimension.index_of(arm)].text
    ]
    if strange:
        found.append(Fault(f"{where}.fitted_on", strange[0], "arms of this dimension that have a text"))
    if not any(arm.text for arm in dimension.arms):
        found.append(Fault(where, "arms without texts", "at least one text, or no text_features"))
    return found


def _measures(language: str) -> dict[str, Callable[[str], float]]:
    tongue = language.partition("-")[0]
    return {
        "length": _length,
        "n_words": _n_words,
        "n_emoji": _n_emoji,
        "is_question": lambda text: float(bool(QUESTION.search(plain_text(text)))),
        "has_number": lambda text: float(bool(_NUMBER.search(plain_text(text)))),
        "is_personalised": lambda text: float(has_braces(text)),
        "urgency": partial(_urgency, URGENT.get(tongue)),
        "sentiment": _sentiment,
    }


def _length(text: str) -> float:
    """Letters as a reader counts them: marks on a letter are part of it."""
    return float(sum(unicodedata.category(letter) not in {"Mn", "Me", "Cf"} for letter in plain_text(text)))


def _n_words(text: str) -> float:
    """Pieces between spaces that hold a letter or a digit."""
    return float(sum(any(letter.isalnum() for letter in piece) for piece in plain_text(text).split()))


def _n_emoji(text: str) -> float:
    """Emoji, each counted once however many code points it is made of."""
    import emoji  # noqa: PLC0415 - a tenth of a second, for who asks for it

    return float(emoji.emoji_count(plain_text(text)))


def _urgency(words: re.Pattern[str] | None, text: str) -> float:
    return float(len(words.findall(plain_text(text).casefold()))) if words else 0.0


def _sentiment(text: str) -> float:
    """From -1 to 1, by the VADER lexicon and rules (Hutto and Gilbert 2014), which know English alone."""
    import vader  # noqa: PLC0415 - its lexicon is loaded with it

    return float(vader.polarity_scores(plain_text(text))["compound"])


def _add_similarity(found: list[dict[str, float]], texts: Sequence[str], fitted_on: Sequence[str]) -> None:
    measure = TextSimilarity.fitted([plain_text(text) for text in fitted_on])
    names = [f"{PREFIX}{SIMILARITY}_{measure.digest}_{i + 1}" for i in range(measure.n_components)]
    for features, text in zip(found, texts, strict=True):
        values = measure.of(plain_text(text)).round(DIGITS).tolist()
        features.update(zip(names, (value + 0.0 for value in values), strict=True))
