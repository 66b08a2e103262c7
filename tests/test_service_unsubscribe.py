"""One-click unsubscribe (RFC 8058): a POST opts one person out, and nothing else does."""

from __future__ import annotations

import itertools
from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.app import create_app
from service.serving import Serving
from service.store import Store
from service.webhooks.unsubscribe import (
    UnknownLink,
    decision_of_token,
    unsubscribe_headers,
    unsubscribe_key,
    unsubscribe_path,
)

ONE_CLICK = {"List-Unsubscribe": "One-Click"}


@pytest.fixture
def events():
    """Types of outcomes that the campaign counts."""
    return {"click": 0.2, "unsubscribe": -1.0}


class Mailbox:
    """A service that decided d1 for ann, and what a mailbox may do with the link in her message."""

    def __init__(self, store, log, client):
        self.store, self.log, self.client = store, log, client
        body = {"customer_id": "ann", "decision_id": "d1", "context": {}}
        assert client.post("/v1/decisions", json=body).status_code == 200
        self.link = unsubscribe_path("d1", unsubscribe_key(store))

    def click(self, link=None, **form):
        return self.client.post(link or self.link, data=form or ONE_CLICK)

    def rows(self, table):
        return self.store.reader().execute(f"SELECT * FROM {table}").fetchall()


@pytest.fixture
def mailbox(tmp_path, worlds, events):
    """Of a campaign that counts unsubscribes, where a test does not say otherwise."""
    campaign = worlds.campaign(reward={"window": "72h", "events": events})
    with Store(tmp_path / "manyarm.db") as store:
        log = store.open_log(campaign, worlds.noon)
        app = create_app(Serving(store, log, clock=lambda: worlds.noon))
        with TestClient(app, raise_server_exceptions=False) as client:
            yield Mailbox(store, log, client)


@pytest.mark.parametrize("events", [{"click": 0.2, "unsubscribe": -1.0}, {"click": 0.2}])
def test_one_click_opts_out_and_is_an_outcome_where_the_campaign_counts_it(mailbox):
    assert [mailbox.click().status_code for _ in range(3)] == [200] * 3
    (opted_out,) = mailbox.rows("opt_outs")
    assert opted_out[2] == "one-click unsubscribe"
    outcomes = mailbox.rows("outcomes")
    assert len(outcomes) == ("unsubscribe" in mailbox.log.campaign.reward.events)


def test_a_body_in_parts_is_taken_too(mailbox):
    parts = {name: (None, value) for name, value in ONE_CLICK.items()}
    assert mailbox.client.post(mailbox.link, files=parts).status_code == 200
    assert len(mailbox.rows("opt_outs")) == 1


def test_opening_the_link_shows_a_button_and_opts_nobody_out(mailbox):
    page = mailbox.client.get(mailbox.link)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert 'method="post"' in page.text
    assert mailbox.client.get(mailbox.link[:-1] + "x").status_code == 404
    assert mailbox.client.put(mailbox.link).status_code in {401, 403, 405}
    assert mailbox.rows("opt_outs") == []


def test_another_body_opts_nobody_out(mailbox):
    for form in ({"List-Unsubscribe": "Later"}, {"unsubscribe": "One-Click"}):
        response = mailbox.click(**form)
        assert (response.status_code, response.json()["title"]) == (400, "InvalidRequest")
    assert mailbox.rows("opt_outs") == []


def test_no_body_makes_an_error_of_ours(mailbox):
    multipart = "multipart/form-data; boundary=x"
    kinds = ("application/json", multipart, "multipart/form-data", "")
    for kind, body in itertools.product(kinds, (b"", b"\xff", b"--x", b'{"List-Unsubscribe": "One-Click"}')):
        response = mailbox.client.post(mailbox.link, content=body, headers={"Content-Type": kind})
        assert response.status_code == 400, (kind, body)
    part = b'--x\r\nContent-Disposition: form-data; name="List-Unsubscribe"\r\n\r\nOne-Click\r\n--x--\r\n'
    for charset in ("undefined", "idna", "punycode", "hex", "utf-16", "nothing", ""):
        kind = {"Content-Type": f"{multipart}; charset={charset}"}
        response = mailbox.client.post(mailbox.link, content=part.replace(b"One-", b"\xff"), headers=kind)
        assert response.status_code == 400, charset
    assert mailbox.client.post(mailbox.link, content=part, headers=kind).status_code == 200, "the form as such is right"
    assert len(mailbox.rows("opt_outs")) == 1


def test_nobody_can_write_a_link_for_somebody_else(mailbox):
    mailbox.client.post("/v1/decisions", json={"customer_id": "bob", "decision_id": "d2", "context": {}})
    first, _, last = mailbox.link.rpartition("/")[2].partition(".")
    theirs = unsubscribe_path("d2", b"a guess").rpartition("/")[2].partition(".")[0]
    for token in (f"{theirs}.{last}", first, f"{first}.", f"{first}=.{last}", f".{last}", f"{first}.{last}A", "ü.x"):
        response = mailbox.click(f"/v1/unsubscribe/{token}")
        assert (response.status_code, response.json()["title"]) == (404, "UnknownLink"), token
    assert mailbox.rows("opt_outs") == []


def test_the_link_of_a_message_that_was_erased_says_so(mailbox):
    mailbox.store.write(lambda connection: connection.execute("DELETE FROM decisions"))
    response = mailbox.click()
    assert (response.status_code, response.json()["title"]) == (404, "UnknownDecision")
    assert "Nobody was opted out" in response.json()["detail"]


def test_the_receipt_and_the_headers_carry_the_link(mailbox):
    assert mailbox.client.get("/v1/decisions/d1").json()["unsubscribe"] == mailbox.link
    headers = unsubscribe_headers("d1", unsubscribe_key(mailbox.store), "https://mail.example.org/")
    assert headers["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    assert mailbox.click(urlsplit(headers["List-Unsubscribe"].strip("<>")).path).status_code == 200


def test_the_links_of_two_databases_differ(mailbox, tmp_path):
    with Store(tmp_path / "other.db") as other:
        assert unsubscribe_path("d1", unsubscribe_key(other)) != mailbox.link


@given(decision_id=st.text(min_size=1, max_size=60), token=st.text(max_size=40))
def test_every_link_leads_back_to_its_decision_and_no_other_text_to_any(decision_id, token):
    path = unsubscribe_path(decision_id, b"key")
    assert urlsplit(path).path == path, "it needs no quoting"
    assert decision_of_token(path.rpartition("/")[2], b"key") == decision_id
    with pytest.raises(UnknownLink):
        decision_of_token(token, b"key")
