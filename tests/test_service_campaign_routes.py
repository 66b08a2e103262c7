"""What looks after a campaign over HTTP does what the command line does."""

from __future__ import annotations

import json

import pytest

from service.snapshot_schemas import ReportAnswer, SnapshotBody

PLACE = "/v1/campaigns/contest"


@pytest.fixture
def http(serve, worlds):
    """A service with two snapshots, the second serving."""
    made = serve(worlds.campaign(groups={"control": {"share": 0.3, "choice": {"subject": "plain", "cta": "join"}}}))
    made.learn()
    made.learn()
    return made


def act(http, **body):
    response = http.client.post(f"{PLACE}/snapshots", json=body)
    return response.status_code, response.json()


def test_snapshots_are_listed_as_the_command_lists_them(http, cli, tmp_path):
    (tmp_path / "campaign.toml").write_text(http.log.campaign.toml)
    found = http.client.get(f"{PLACE}/snapshots").json()
    said = cli.run("snapshot", "list", "--json", "--db", http.store.path, "--campaign", tmp_path / "campaign.toml")
    assert found == json.loads(said)
    assert [(one["snapshot"], one["is_serving"]) for one in found] == [("s00001", False), ("s00002", True)]
    assert [SnapshotBody.model_validate(one).model_dump() for one in found] == found


def test_a_rollback_serves_at_once_and_a_promotion_by_hand_takes_it_back(http):
    assert act(http, action="rollback") == (
        200, {"serving": "s00001", "passed": True, "reasons": ["rolled back by hand"]}
    )  # fmt: skip
    assert http.serving.snapshot == "s00001"
    status, answer = act(http, action="promote", snapshot="s00002", without_gate=True)
    assert (status, answer["serving"], answer["reasons"]) == (200, "s00002", ["promoted by hand"])
    assert http.serving.snapshot == "s00002"


def test_a_gate_that_refuses_is_an_answer_with_reasons_and_is_counted(http):
    status, answer = act(http, action="promote", snapshot="s00001", margin=5.0)
    assert (status, answer["serving"], answer["passed"]) == (200, "s00002", False)
    assert "no send has matured since" in answer["reasons"][0]
    assert http.serving.tallies.of("gate_refusals") == {(): 1}
    assert http.serving.snapshot == "s00002"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        ({"action": "promote", "snapshot": "s00009"}, 404, "s00009"),
        ({"action": "promote"}, 422, "needs the snapshot's name"),
        ({"action": "rollback", "snapshot": "s00001"}, 422, "takes nothing but the action"),
        ({"action": "retire"}, 422, "promote"),
        ({"action": "rollback", "more": 1}, 422, "more"),
        ({}, 422, "action"),
    ],
)
def test_what_cannot_be_done_is_refused_with_a_reason(serve, body, status, words):
    found, answer = act(serve(), **body)
    assert found == status
    assert words in answer["detail"]


def test_with_nothing_to_go_back_to_what_serves_serves_on(serve):
    status, answer = act(serve(), action="rollback")
    assert (status, answer["title"]) == (404, "UnknownSnapshot")


def test_the_report_is_what_compare_says_of_the_database(http, cli, tmp_path):
    (tmp_path / "campaign.toml").write_text(http.log.campaign.toml)
    places = ("--db", http.store.path, "--campaign", tmp_path / "campaign.toml")
    for query, options in (({}, ()), ({"by": "level", "metric": "click", "planned": 500, "margin": 0.1},
                                      ("--by", "level", "--metric", "click", "--planned", 500, "--margin", 0.1))):  # fmt: skip
        response = http.client.get(f"{PLACE}/report", params=query)
        assert response.status_code == 200
        said = json.loads(cli.run("compare", *places, *options, "--json"))
        assert response.json() == said
        ReportAnswer.model_validate(said)
        assert said.keys() <= ReportAnswer.model_fields.keys()


def test_a_report_of_nothing_says_so(serve):
    response = serve().client.get(f"{PLACE}/report")
    assert (response.status_code, response.json()["title"]) == (422, "UnusableLog")


@pytest.mark.parametrize(("method", "path"), [("GET", "snapshots"), ("POST", "snapshots"), ("GET", "report")])
def test_another_campaign_is_not_found_here(serve, method, path):
    response = serve().client.request(method, f"/v1/campaigns/other/{path}", json={"action": "rollback"})
    assert (response.status_code, response.json()["title"]) == (404, "UnknownCampaign")
