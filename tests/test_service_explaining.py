"""Why a decision was made can be asked with it and at any time afterwards, and the answer is about the row that stands."""

from __future__ import annotations

import pytest

from service.schemas import DecisionAnswer, DecisionReceipt
from service.verification import verify_store

GROUPS = {"random": 0.3, "control": {"share": 0.3, "choice": {"subject": "plain", "cta": "join"}}}


@pytest.fixture
def http(worlds, serve):
    made = serve(worlds.campaign(groups=GROUPS, policy={"name": "squarecb"}))
    made.learn()
    return made


def customer_in(http, group):
    """Somebody of a group."""
    names = (f"who{i}" for i in range(100))
    return next(name for name in names if http.decide(name)["group"] == group)


def test_an_explanation_says_what_could_be_chosen_why_and_how_likely(http):
    who = customer_in(http, "learner")
    answer = http.decide(who, decision_id="d", context={"member": True}, exclude={"cta": ["join"]}, explain=True)
    subject, cta = answer["explanation"]["dimensions"]
    assert answer["explanation"]["note"] is None
    assert {subject["dimension"]: subject["arm"], cta["dimension"]: cta["arm"]} == answer["choice"]
    assert cta["removed"] == [{"arm": "join", "rule": "excluded by the caller"}]
    assert (cta["eligible"], cta["pmf"]) == (["invite"], {"join": 0.0, "invite": 1.0})
    assert subject["pmf"] == http.show("d")["pmf"]["subject"]
    assert subject["estimates"].keys() == {"plain", "champion", "dominate"}
    for outcome in subject["features"]:
        told = sum(one["contribution"] for one in outcome["strongest"])
        assert told + outcome["rest"] == pytest.approx(outcome["linear"], abs=1e-9)
        assert len(outcome["strongest"]) <= 10


def test_an_answer_without_asking_has_no_explanation_and_one_with_it_is_as_documented(http):
    assert "explanation" not in http.decide(decision_id="d")
    assert "explanation" not in http.show("d")
    answer, receipt = http.decide(decision_id="d", explain=True), http.show("d", explain=True)
    assert DecisionAnswer.model_validate(answer).model_dump(mode="json", exclude_unset=True) == answer
    assert DecisionReceipt.model_validate(receipt).model_dump(mode="json", exclude_unset=True) == receipt
    assert receipt["explanation"] == answer["explanation"]


def test_it_is_the_same_when_another_snapshot_serves(http):
    who = customer_in(http, "learner")
    first = http.decide(who, decision_id="d", explain=True)
    http.learn()
    assert http.serving.snapshot == "s00002"
    assert http.show("d", explain=True)["explanation"] == first["explanation"]


@pytest.mark.parametrize(("group", "words"), [("control", "fixed choice"), ("random", "drawn evenly")])
def test_groups_without_a_model_say_so(http, group, words):
    answer = http.decide(customer_in(http, group), explain=True)
    assert words in answer["explanation"]["note"]
    assert all(one["estimates"] is None and one["features"] is None for one in answer["explanation"]["dimensions"])


def test_a_fallback_says_why_the_learner_did_not_decide(serve, worlds):
    made = serve(worlds.campaign(policy={"name": "squarecb"}))
    note = made.decide(explain=True)["explanation"]["note"]
    assert note == "drawn evenly in the learner's place: no snapshot yet"


def test_where_the_snapshot_is_gone_it_says_so_and_what_is_known_without_it(http, serve):
    who = customer_in(http, "learner")
    http.decide(who, decision_id="d", exclude={"cta": ["join"]})
    http.learn()
    http.store.write(lambda c: c.execute("DELETE FROM snapshots WHERE snapshot = 's00001'"))
    receipt = http.show("d", explain=True)
    assert "snapshot s00001 is gone" in receipt["explanation"]["note"]
    assert receipt["explanation"]["dimensions"][1]["eligible"] == ["invite"]
    assert receipt["explanation"]["dimensions"][0]["features"] is None
    assert (receipt["snapshot"], receipt["snapshot_sha256"]) == ("s00001", None)
    assert not verify_store(http.store).passed
