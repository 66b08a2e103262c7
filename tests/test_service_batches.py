"""Many decisions in one request: the answers of single calls, in order, and a bad one spoils no other."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from starlette.testclient import TestClient

import service.line_stream
from service.app import create_app
from service.door_rules import DoorRules
from service.line_stream import NDJSON, LineStream
from service.schemas import BatchAnswer
from service.store import Store
from service.verification import verify_store

GROUPS = {"random": 0.2, "control": {"share": 0.2, "choice": {"subject": "plain", "cta": "join"}}}
PROBLEM = {"type", "title", "status", "detail"}


def document(http, items):
    return http.client.post("/v1/decisions/batch", json={"decisions": items})


def lines(http, items):
    """The answers to a body of lines; an item that is a text is sent as it is."""
    body = "\n".join(item if isinstance(item, str) else json.dumps(item) for item in items)
    response = http.client.post("/v1/decisions/batch", content=body, headers={"content-type": NDJSON})
    assert (response.status_code, response.headers["content-type"]) == (200, NDJSON)
    return [json.loads(line) for line in response.text.splitlines()]


def both_ways(http, items):
    """Answers of either form, which must be the same."""
    as_document, as_lines = document(http, items).json()["decisions"], lines(http, items)
    assert as_document == as_lines
    return as_document


def asked(n, **more):
    levels = ("low", "high", None)
    return [
        {
            "customer_id": f"c{i % 40}",
            "decision_id": f"d{i}",
            "context": {"level": levels[i % 3], "days": i % 9},
            **more,
        }
        for i in range(n)
    ]


RECENT_SEND = {"window": "72h", "events": {"click": 0.2}, "recent_send": {"cost": 0.01, "within": "7d"}}


@pytest.mark.parametrize("sections", [{}, {"wear_out": {"window": "30d"}}, {"reward": RECENT_SEND}])
def test_batches_answer_what_single_calls_answer(worlds, serve, tmp_path, sections):
    ruled = worlds.dimension("subject", "plain", {"id": "champion", "when": {"level": ["high"]}}, "dominate")
    campaign = worlds.campaign(dimension=[ruled, worlds.dimension("cta", "join", "invite")], groups=GROUPS, **sections)
    taught = serve(campaign)
    taught.learn(40)
    copies = []
    for name in ("alone", "document", "lines"):
        path = tmp_path / f"{name}.db"
        taught.store.reader().execute("VACUUM INTO ?", (str(path),))
        copies.append(path)
    items = (
        asked(60)
        + asked(60, exclude={"cta": ["invite"]})[40:]
        + [{"customer_id": "c1", "explain": True, "decision_id": "x"}]
    )
    answers = []
    for path, how in zip(copies, (one_by_one, in_document, lines), strict=True):
        with Store(path) as store:
            made = type(taught)(store, store.open_log(campaign, worlds.noon), {})
            made.now = taught.now
            with made.client:
                answers.append(how(made, items))
            assert verify_store(store).passed
    assert rounded(answers[0]) == rounded(answers[1])
    assert answers[1] == answers[2]
    assert {len(one) for one in answers} == {81}
    assert any(one.get("title") == "ConflictingDecision" for one in answers[0])
    assert "explanation" in answers[0][-1]


def one_by_one(http, items):
    return [http.client.post("/v1/decisions", json=item).json() for item in items]


def rounded(answer):
    """The same with 12 digits: many at once are summed in another order than one alone."""
    if isinstance(answer, list):
        return [rounded(one) for one in answer]
    if isinstance(answer, dict):
        return {name: rounded(one) for name, one in answer.items()}
    return round(answer, 12) if isinstance(answer, float) else answer


def in_document(http, items):
    return document(http, items).json()["decisions"]


def test_each_bad_request_gets_its_own_problem_and_the_others_their_decision(worlds, serve):
    only = worlds.dimension("cta", {"id": "join", "when": {"level": ["high"]}})
    http = serve(worlds.campaign(dimension=[worlds.dimension("subject", "plain", "champion"), only]))
    fine = {"customer_id": "ann", "decision_id": "d1", "context": {"level": "high"}}
    items = [
        fine,
        {"customer_id": 7},
        {"customer_id": "bob", "context": {"levle": "high"}},
        {"customer_id": "bob", "context": {"level": "low"}},
        {"customer_id": "bob", "context": {"level": "high"}, "exclude": {"subject": ["nope"]}},
        {"customer_id": "", "context": {"level": "high"}},
        fine,
        {**fine, "customer_id": "bob"},
        {**fine, "decision_id": "d2"},
        7,
    ]
    found = both_ways(http, items)
    titles = [one.get("title") for one in found]
    assert titles == [
        None, "InvalidRequest", "InvalidContext", "NoEligibleArm", "InvalidExclusion", "InvalidContext", None,
        "ConflictingDecision", None, "InvalidRequest",
    ]  # fmt: skip
    assert found[0] == found[6]
    assert all(one.keys() == PROBLEM for one in found if "title" in one)
    assert [row.decision_id for row in http.rows()] == ["d1", "d2"]
    BatchAnswer.model_validate({"decisions": found})


def test_lines_that_are_no_json_are_answered_in_their_place(serve):
    http = serve()
    found = lines(http, ['{"customer_id": "a"}', "nonsense", "", '{"customer_id": "b"}\r', '{"customer_id": "c"', ""])
    assert [one.get("status") for one in found] == [None, 400, 400, None, 400]
    assert [one.get("decision_id") for one in found] == ["n1", None, None, "n2", None]


def test_a_document_has_at_most_a_thousand_and_nothing_of_a_longer_one_is_stored(serve):
    http = serve()
    response = document(http, [{"customer_id": "ann"}] * 1001)
    assert (response.status_code, response.json()["title"]) == (413, "BatchTooLarge")
    assert http.rows() == []
    assert document(http, []).json() == {"decisions": []}
    assert len(document(http, [{"customer_id": "ann"}] * 1000).json()["decisions"]) == 1000


def test_a_body_that_is_too_large_or_of_another_kind_is_refused(serve):
    http = serve(largest_body=2000)
    response = document(http, [{"customer_id": "a" * 900}] * 3)
    assert (response.status_code, response.json()["title"]) == (413, "BodyTooLarge")
    other = http.client.post("/v1/decisions/batch", content=b"a,b", headers={"content-type": "text/csv"})
    assert (other.status_code, other.json()["title"]) == (415, "UnsupportedMediaType")
    assert http.client.post("/v1/decisions/batch", json={"decision": []}).status_code == 422
    assert http.rows() == []
    assert len(lines(http, [{"customer_id": "a" * 900}] * 3)) == 3, "lines have no limit together"


def test_a_line_without_end_is_refused_and_what_came_before_it_is_stored(serve, monkeypatch):
    monkeypatch.setattr(service.line_stream, "LONGEST_LINE", 100)
    http = serve()
    found = lines(http, [{"customer_id": "ann"}, '{"customer_id": "' + "a" * 200])
    assert [one.get("title") for one in found] == [None, "LineTooLong"]
    assert len(http.rows()) == 1


def n_commits(http):
    return dict(http.store.writer.commits.sizes.cumulated())["+Inf"]


def test_a_group_is_one_commit_and_a_locked_database_is_a_problem_for_each_of_it(serve):
    http = serve()
    commits = n_commits(http)
    assert len(document(http, asked(300)).json()["decisions"]) == 300
    assert n_commits(http) == commits + 1
    http.store.write(lambda connection: connection.execute("ALTER TABLE head RENAME TO elsewhere"))
    found = both_ways(http, [{"customer_id": "ann"}, {"customer_id": 7}])
    assert [one["status"] for one in found] == [503, 422]


def test_deferred_decisions_of_a_batch_are_deferred(serve):
    http = serve()
    document(http, [{"customer_id": "ann", "deferred": True}, {"customer_id": "bob"}])
    assert [row.state for row in http.rows()] == ["deferred", "pending"]


class Wire:
    """A client that writes everything before it reads anything, or goes away in between."""

    def __init__(self, pieces, *, reads_after=None, leaves=False):
        self.pieces, self.leaves, self.sent = list(pieces), leaves, []
        self.reads = asyncio.Event()
        self.reads_after = reads_after

    async def receive(self):
        await asyncio.sleep(0)
        if not self.pieces:
            return {"type": "http.disconnect"}
        piece = self.pieces.pop(0)
        if not self.pieces:
            self.reads.set()
        return {"type": "http.request", "body": piece, "more_body": bool(self.pieces) or self.leaves}

    async def send(self, message):
        if message["type"] == "http.response.body" and message.get("body"):
            # The connection takes nothing until the client begins to read.
            await self.reads.wait()
            self.sent.append(message["body"])


def stream(wire, at_once=3):
    """What a stream that says each line backwards answers; and the sizes of the groups it was asked for."""
    groups = []

    async def answer(some):
        groups.append(len(some))
        return [line[::-1] for line in some]

    asyncio.run(LineStream(answer, at_once=at_once, too_long=b"too long")({}, wire.receive, wire.send))
    return b"".join(wire.sent), groups


def test_lines_may_be_cut_anywhere_and_come_in_groups(serve):
    body = b"".join(b"line%d\n" % i for i in range(8)) + b"last"
    expected = b"".join(line[::-1] + b"\n" for line in body.split(b"\n"))
    for size in (1, 3, 7, 100):
        pieces = [body[at : at + size] for at in range(0, len(body), size)]
        answers, groups = stream(Wire(pieces))
        assert answers == expected
        assert (sum(groups), max(groups)) == (9, 3 if size == 100 else max(groups))


def test_a_client_that_reads_only_when_it_has_written_everything_is_not_waited_for(monkeypatch):
    monkeypatch.setattr(service.line_stream, "IN_MEMORY", 1000)
    pieces = [b"x" * 99 + b"\n"] * 500
    answers, _ = stream(Wire(pieces))
    assert answers == b"".join(pieces)


def test_a_client_that_goes_away_ends_the_stream():
    wire = Wire([b"a\nb\nc"], leaves=True)
    answers, groups = stream(wire)
    assert (answers, groups) == (b"a\nb\n", [2])


def test_lines_wait_for_the_rate_and_the_next_single_call_does_not_wait_for_hours(serve, worlds):
    http, slept = serve(), []

    async def sleep(seconds):
        slept.append(seconds)
        http.now += timedelta(seconds=max(seconds, 0.001))

    http.serving.sleep = sleep
    app = create_app(http.serving, rules=DoorRules(rate_limit=5.0))
    with TestClient(app) as client:
        body = "\n".join(json.dumps({"customer_id": f"c{i}"}) for i in range(60))
        response = client.post("/v1/decisions/batch", content=body, headers={"content-type": NDJSON})
        assert len(response.text.splitlines()) == 60
        # 5 at once, and the last line, a group by itself, is not paid for yet.
        assert sum(slept) == pytest.approx((60 - 5 - 1) / 5, abs=0.1)
        refused = client.post("/v1/decisions", json={"customer_id": "ann"})
        assert refused.status_code == 429
        assert int(refused.headers["retry-after"]) <= 2
