"""Texts over HTTP and in tables: filled in for one customer, and what fills them in is stored nowhere."""

from __future__ import annotations

import json

import pytest
from click.testing import CliRunner

from service.cli import main
from service.wording import ServedWording

PAGE = "<p>{{ subject }}</p>{% if greeting is defined %}<p>{{ greeting }}</p>{% endif %}<a href='{{ unsubscribe_path }}'>x</a>"


def campaign_of(worlds, *, content=None, **arm):
    subject = {"id": "hello", "text": "Hi {{ first_name }}", "parts": {"greeting": "Dear {{ first_name }}"}} | arm
    cta = {"id": "join", "text": "Join", "parts": {"colour": "#c00"}}
    dimensions = [worlds.dimension("subject", subject), worlds.dimension("cta", cta)]
    return worlds.campaign(dimension=dimensions, content=content)


def test_an_answer_says_the_texts_filled_in_and_the_parts_by_what_they_are_for(serve, worlds):
    answer = serve(campaign_of(worlds, content={"language": "en"})).decide(variables={"first_name": "Ann"})
    assert answer["texts"] == {"subject": "Hi Ann", "cta": "Join"}
    assert answer["content"] == {
        "missing": [],
        "defaulted": [],
        "language": "en",
        "subject": "Hi Ann",
        "greeting": "Dear Ann",
        "cta": {"text": "Join", "colour": "#c00"},
    }
    assert answer.keys() & {"html", "text"} == set()


def test_a_text_that_misses_a_variable_is_not_in_the_answer_which_says_why(serve, worlds):
    answer = serve(campaign_of(worlds)).decide()
    assert answer["texts"] == {"cta": "Join"}
    missing = [(gap["dimension"], gap["arm"], gap["part"], gap["variable"]) for gap in answer["content"]["missing"]]
    assert missing == [("subject", "hello", "text", "first_name"), ("subject", "hello", "greeting", "first_name")]


def test_an_arms_default_stands_in_for_a_text_and_is_said_to(serve, worlds):
    answer = serve(campaign_of(worlds, default="Hi there")).decide()
    assert answer["texts"]["subject"] == "Hi there"
    assert [gap["variable"] for gap in answer["content"]["defaulted"]] == ["first_name"]


def test_variables_stand_nowhere_in_the_database(serve, worlds, tmp_path):
    service = serve(campaign_of(worlds, content={"template": PAGE}))
    service.decide(decision_id="d1", variables={"first_name": "Scheherazade"}, render=True)
    files = b"".join(path.read_bytes() for path in tmp_path.glob("served.db*"))
    assert b"d1" in files
    assert b"Scheherazade" not in files


def test_a_retry_is_filled_in_with_what_the_retry_gives_and_decided_once(serve, worlds):
    service = serve(campaign_of(worlds))
    first, again = (service.decide(decision_id="d1", variables={"first_name": name}) for name in ("Ann", "Anne"))
    assert (first["texts"]["subject"], again["texts"]["subject"]) == ("Hi Ann", "Hi Anne")
    assert first["decided_at"] == again["decided_at"]
    assert len(service.rows()) == 1


def test_a_receipt_shows_the_texts_as_they_stand_in_the_file(serve, worlds):
    service = serve(campaign_of(worlds))
    service.decide(decision_id="d1", variables={"first_name": "Ann"})
    receipt = service.show("d1")
    assert receipt["texts"]["subject"] == "Hi {{ first_name }}"
    assert receipt["content"]["greeting"] == "Dear {{ first_name }}"


def test_a_whole_mail_is_rendered_where_it_is_asked_for_with_its_own_unsubscribe_link(serve, worlds):
    service = serve(campaign_of(worlds, content={"template": PAGE}))
    answer = service.decide(decision_id="d1", variables={"first_name": "<Ann>"}, render=True)
    assert answer["html"].startswith("<p>Hi &lt;Ann&gt;</p><p>Dear &lt;Ann&gt;</p>")
    assert answer["text"].startswith("Hi <Ann>\n\nDear <Ann>")
    link = service.show("d1")["unsubscribe"]
    assert link in answer["html"]
    assert service.client.get(link).status_code == 200


def test_a_mail_with_a_hole_is_null_and_the_answer_says_which(serve, worlds):
    answer = serve(campaign_of(worlds, content={"template": PAGE + "{{ city }}"}, default="Hi")).decide(render=True)
    assert (answer["html"], answer["text"]) == (None, None)
    assert ("template", "city") in {(gap["part"], gap["variable"]) for gap in answer["content"]["missing"]}


@pytest.mark.parametrize(
    ("body", "content", "said"),
    [
        ({"variables": {"a b": 1}}, None, "no name of a variable"),
        ({"variables": {"firstname": "Ann"}}, {"variables": {"first_name": {}}}, "not declared"),
        ({"render": True}, None, "no e-mail to fill in"),
        ({"variables": {"n": 1}}, {"render": False}, "mail provider"),
    ],
)
def test_what_cannot_be_filled_in_is_refused_before_anything_is_decided(serve, worlds, body, content, said):
    service = serve(campaign_of(worlds, content=content))
    problem = service.decide(**body)
    assert (problem["status"], problem["title"]) == (422, "InvalidVariables")
    assert said in problem["detail"]
    assert service.rows() == []


def test_a_batch_fills_in_each_of_its_messages_and_refuses_only_what_cannot_be(serve, worlds):
    service = serve(campaign_of(worlds, content={"template": PAGE}))
    bodies = [
        {"customer_id": "ann", "variables": {"first_name": "Ann"}, "render": True},
        {"customer_id": "bob", "variables": {"first_name": "Bob"}},
        {"customer_id": "eve", "variables": {"first name": "Eve"}},
    ]
    one, two, three = service.client.post("/v1/decisions/batch", json={"decisions": bodies}).json()["decisions"]
    assert (one["texts"]["subject"], two["texts"]["subject"]) == ("Hi Ann", "Hi Bob")
    assert "<p>Hi Ann</p>" in one["html"]
    assert "html" not in two
    assert three["title"] == "InvalidVariables"


def test_who_did_not_consent_is_answered_with_texts_filled_in_too(serve, worlds):
    arms = {"id": "hello", "text": "Hi {{ first_name }}"}
    campaign = worlds.campaign(
        dimension=[worlds.dimension("subject", arms)],
        context={"consent": {"kind": "boolean"}},
        privacy={"consent": "consent"},
        groups={"control": {"share": 0.0, "choice": {"subject": "hello"}}},
        content={"template": "<p>{{ subject }}</p>"},
    )
    answer = serve(campaign).decide(variables={"first_name": "Ann"}, render=True)
    assert (answer["policy"], answer["texts"]["subject"], answer["html"]) == ("no-consent", "Hi Ann", "<p>Hi Ann</p>")


def test_texts_without_braces_are_made_once_for_each_choice(worlds):
    wording = ServedWording(worlds.campaign(dimension=[worlds.dimension("subject", {"id": "a", "text": "Hi"}, "b")]))
    filling = wording.filling({}, is_whole=False)
    first, again = (wording.spoken({"subject": "a"}, {}, filling, "d1", None) for _ in range(2))
    assert first is again
    assert bytes(first.texts) == b'{"subject":"Hi"}'
    assert bytes(wording.spoken({"subject": "b"}, {}, filling, "d2", None).texts) == b"{}"


@pytest.fixture
def table(worlds, tmp_path):
    """A campaign file and a table of customers with names, beside each other."""
    (tmp_path / "campaign.toml").write_text(campaign_of(worlds).toml)
    (tmp_path / "users.csv").write_text(
        "customer_id,decision_id,level,first_name\nann,d1,high,Scheherazade\nbob,d2,low,\n"
    )
    return tmp_path


def decided(cli, table, *options, code=0):
    where = ("--db", table / "m.db", "--campaign", table / "campaign.toml", "--at", "2026-11-22T12:00:00Z")
    return cli.run("decide", table / "users.csv", "--out", table / "out.csv", *where, *options, "--json", code=code)


def test_a_table_fills_texts_with_its_own_columns_and_marks_rows_that_miss_one(cli, table):
    counts = json.loads(decided(cli, table, "--variables", "first_name"))
    assert (counts["n_decisions"], counts["n_unfilled"]) == (1, 1)
    rows = (table / "out.csv").read_text().splitlines()
    assert "Hi Scheherazade" in rows[1]
    assert rows[2].endswith("unfilled")
    assert "Hi" not in rows[2]
    assert b"Scheherazade" not in b"".join(path.read_bytes() for path in table.glob("m.db*"))


def test_the_same_table_again_writes_the_same_texts(cli, table):
    decided(cli, table, "--variables", "first_name")
    first = (table / "out.csv").read_text()
    decided(cli, table, "--variables", "first_name")
    assert (table / "out.csv").read_text() == first


@pytest.mark.parametrize(
    ("names", "said"), [("nickname", "no column 'nickname'"), ("first_name,level", "context field")]
)
def test_a_column_that_cannot_be_filled_in_is_refused_by_name(table, names, said):
    where = ["--db", str(table / "m.db"), "--campaign", str(table / "campaign.toml"), "--out", str(table / "out.csv")]
    result = CliRunner().invoke(main, ["decide", str(table / "users.csv"), *where, "--variables", names])
    assert result.exit_code == 2
    assert said in result.output
    assert not (table / "out.csv").exists()
