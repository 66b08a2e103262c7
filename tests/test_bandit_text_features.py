"""Features of texts: what they count, in any script, and that an arm that is added moves no other."""

from __future__ import annotations

import unicodedata

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bandit.errors import InvalidCampaign
from bandit.features import FeatureSpace, numbers_of
from bandit.text_feature_spec import COUNTED, TEXT_FEATURES
from bandit.text_features import text_features
from bandit.text_similarity import TextSimilarity, grams_of

TEXTS = ["Invite a friend", "Invite your friends now", "Three days left", "¿Vienes hoy? 🎉", "عرض خاص لك", "Thank you"]


def one(text, name, language=""):
    return text_features([text], [name], language)[0].get(f"text_{name}")


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("length", "Hola", 4),
        ("length", "  two   words ", 9),
        ("length", "مَرْحَبًا", 5),
        ("length", "", 0),
        ("n_words", "¡Hola, {{ first_name }}! ¿Vienes?", 2),
        ("n_words", "عرض خاص — لك", 3),
        ("n_words", "don't stop", 2),
        ("n_emoji", "Family 👨‍👩‍👧‍👦 and flag 🇪🇸", 2),
        ("n_emoji", "no emoji :)", 0),
        ("is_question", "¿Vienes?", 1),
        ("is_question", "هل تأتي؟", 1),
        ("is_question", "You come.", 0),
        ("has_number", "Only ٣ left", 1),
        ("has_number", "{{ n1 }} left", 0),
        ("is_personalised", "Hi {{ first_name }}", 1),
        ("is_personalised", "Hi {there}", 0),
    ],
)
def test_what_is_counted_is_what_a_reader_sees_in_any_script(name, text, value):
    assert one(text, name) == value


@pytest.mark.parametrize("text", ["Café con leche", "Ångström 3?", "مَرْحَبًا"])
def test_composed_and_decomposed_letters_are_the_same_text(text):
    forms = [unicodedata.normalize(form, text) for form in ("NFC", "NFD")]
    assert text_features(forms[:1], COUNTED) == text_features(forms[1:], COUNTED)


@pytest.mark.parametrize(
    ("language", "pressing", "calm"),
    [
        ("en", "Last chance: only 2 hours left!", "Something to share"),
        ("es-MX", "¡Últimas horas, solo hoy!", "Algo para ti"),
    ],
)
def test_words_that_press_are_known_in_english_and_spanish(language, pressing, calm):
    assert one(pressing, "urgency", language) >= 2
    assert one(calm, "urgency", language) == 0


def test_sentiment_tells_good_from_bad_in_english_and_is_left_out_elsewhere():
    assert one("Thank you, this is wonderful", "sentiment", "en-GB") > 0.5
    assert one("This is awful", "sentiment", "en") < 0
    assert one("Gracias, es maravilloso", "sentiment", "es") is None
    assert one("anything", "sentiment") is None


@settings(max_examples=60, deadline=None)
@given(st.lists(st.text(max_size=40), min_size=1, max_size=6))
def test_every_text_has_the_same_features_all_finite(texts):
    found = text_features(texts, TEXT_FEATURES, "en")
    assert len({tuple(features) for features in found}) == 1
    assert all(np.isfinite(value) for features in found for value in features.values())


def test_weights_are_those_of_scikit_learn():
    text = pytest.importorskip("sklearn.feature_extraction.text")
    vectorizer = text.TfidfVectorizer(analyzer="char_wb", ngram_range=(3, 3))
    theirs = vectorizer.fit_transform(sorted(TEXTS)).toarray()
    ours = TextSimilarity.fitted(TEXTS)
    names = list(ours.inverse_frequencies)
    assert names == sorted(vectorizer.get_feature_names_out())
    order = [vectorizer.vocabulary_[name] for name in names]
    for row, said in zip(theirs, sorted(TEXTS), strict=True):
        np.testing.assert_allclose(row[order] @ ours.loadings, ours.of(said), atol=1e-12)


def test_components_do_not_hang_on_the_order_of_the_texts_or_on_repetitions():
    one_way, other = TextSimilarity.fitted(TEXTS), TextSimilarity.fitted([*reversed(TEXTS), TEXTS[0]])
    assert one_way.digest == other.digest
    np.testing.assert_array_equal(one_way.loadings, other.loadings)


def test_signs_of_components_are_fixed_and_components_are_orthonormal():
    loadings = TextSimilarity.fitted(TEXTS).loadings
    assert all(column[np.abs(column).argmax()] > 0 for column in loadings.T)
    np.testing.assert_allclose(loadings.T @ loadings, np.eye(loadings.shape[1]), atol=1e-12)


def test_texts_without_anything_in_common_have_components_that_do_not_turn():
    texts = ["aaa", "bbb", "ccc", "ddd"]
    nudged = [TextSimilarity.fitted(texts).loadings for _ in range(2)]
    np.testing.assert_array_equal(*nudged)
    assert np.abs(nudged[0]).max(axis=0) == pytest.approx(np.abs(nudged[0]).max(axis=0)[0])


def test_a_text_of_unknown_letters_has_no_components():
    assert not TextSimilarity.fitted(["abc", "abd"]).of("xyz").any()
    assert TextSimilarity.fitted([]).n_components == 0
    assert grams_of("") == []


def campaign_of(worlds, *arms, asked=True, language="en"):
    dimension = {**worlds.dimension("subject", *arms), "text_features": asked}
    return worlds.campaign(dimension=[dimension], content={"language": language})


A, B, C = ({"id": name, "text": text} for name, text in zip("abc", TEXTS, strict=False))


def features_of(campaign):
    return {arm.id: dict(arm.features) for arm in campaign.dimensions[0].arms}


def test_an_arm_that_is_added_leaves_the_features_of_the_others_or_renames_them(worlds):
    before, after = features_of(campaign_of(worlds, A, B)), features_of(campaign_of(worlds, A, B, C))
    for arm in "ab":
        shared = before[arm].keys() & after[arm].keys()
        assert {name: before[arm][name] for name in shared} == {name: after[arm][name] for name in shared}
        assert {name for name in before[arm] if name not in shared} == {
            name for name in before[arm] if name.startswith("text_similarity_")
        }


def test_fitted_on_the_same_arms_similarity_stays_as_it_was_and_the_new_arm_gets_its_place(worlds):
    asked = {"names": ["similarity"], "fitted_on": ["a", "b"]}
    before = features_of(campaign_of(worlds, A, B, asked=asked))
    after = features_of(campaign_of(worlds, A, B, C, asked=asked))
    assert before == {arm: after[arm] for arm in "ab"}
    assert after["c"].keys() == after["a"].keys()


def test_what_the_learner_is_told_of_old_arms_stays_where_it_measures_by_what_it_began_with(worlds):
    asked = {"names": ["length", "similarity"], "fitted_on": ["a", "b"]}
    old = FeatureSpace.graded(campaign_of(worlds, A, B, asked=asked))
    new = FeatureSpace.graded(campaign_of(worlds, A, B, C, asked=asked), old.numbers)
    assert new.arms[0][:2] == old.arms[0]


def test_a_feature_that_the_file_declares_stays(worlds):
    declared = {**A, "features": {"text_length": 3.0, "tone": "warm"}}
    found = features_of(campaign_of(worlds, declared, B, asked=["length"]))
    assert found == {"a": {"text_length": 3.0, "tone": "warm"}, "b": {"text_length": 23.0}}


def test_nothing_is_told_unless_it_is_asked_for(worlds):
    assert features_of(campaign_of(worlds, A, B, asked=False)) == {"a": {}, "b": {}}


@pytest.mark.parametrize(
    ("asked", "language", "said"),
    [
        (["length", "mood"], "en", "found 'mood'"),
        ("length", "en", "text_features.names: found 'length'"),
        (["sentiment"], "es", "wanted [content] language of en, or a list without sentiment"),
        ({"names": ["length", "sentiment"]}, "es-MX", "found sentiment, and the language es-MX; wanted"),
        (
            ["sentiment", "urgency"],
            "",
            "found urgency, and the language is not said; wanted [content] language of en, es, or",
        ),
        (["urgency"], "ar", "wanted [content] language of en, es"),
        ({"fitted_on": ["nobody"]}, "en", "fitted_on: found nobody"),
        ({"fit": ["a"]}, "en", "no such key"),
    ],
)
def test_faults_of_the_key_are_named(worlds, asked, language, said):
    with pytest.raises(InvalidCampaign) as caught:
        campaign_of(worlds, A, B, asked=asked, language=language)
    assert said in str(caught.value)


def test_what_numbers_are_measured_by_stands_in_the_order_of_the_file(worlds):
    """In every process: it is part of a snapshot, whose bytes are the same for the same log."""
    campaign = campaign_of(
        worlds, {**A, "features": {f"n{k}": float(k) for k in range(12)}}, B, asked=["length", "n_words"]
    )
    names = ["text_length", "text_n_words", *(f"n{k}" for k in range(12))]
    assert list(numbers_of(campaign.dimensions[0].arms)) == names
    kept = dict.fromkeys(reversed(names), (0.0, 1.0))
    assert list(FeatureSpace.graded(campaign, [kept]).numbers[0]) == names
