"""The door: keys and scopes, sizes, rates, names and headers, before anything behind it hears of a request."""

from __future__ import annotations

import asyncio
import json
import logging
import re
from datetime import timedelta

import pytest
from fastapi.routing import iter_route_contexts
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from service.app import create_app
from service.body_limit import bounded
from service.door_rules import DoorRules, rules_of
from service.keys_table import Scope, issue_key, revoke_key
from service.problem import Refused
from service.route_access import ACCESS, needed_for
from service.serving import Serving
from service.settings import Settings
from service.store import Store

ANN = {"customer_id": "ann@example.org", "context": {"level": "high"}}
PROBLEM = "application/problem+json"
SECRET = "5e" * 32
ELSEWHERE = DoorRules(needs_key=True, is_local=False)


class Installation:
    """A service on a clock that stands still, and keys for it."""

    def __init__(self, store, log, noon):
        self.store, self.log, self.now = store, log, noon
        self.n_keys = 0

    def app(self, rules=None):
        return create_app(Serving(self.store, self.log, clock=lambda: self.now), rules=rules)

    def client(self, rules=None, **options):
        return TestClient(self.app(rules), raise_server_exceptions=False, **options)

    def key(self, *scopes, lifetime=None):
        self.n_keys += 1
        made = f"k{self.n_keys}", "mailer", [Scope(scope) for scope in scopes]
        key = self.store.write(lambda c: issue_key(c, *made, secret=SECRET, at=self.now, lifetime=lifetime))
        self.wait(seconds=2)  # by then every running service knows of it
        return key

    def wait(self, **time):
        self.now += timedelta(**time)

    def count(self):
        return self.store.reader().execute("SELECT count(*) FROM decisions").fetchone()[0]


@pytest.fixture
def here(tmp_path, worlds):
    with Store(tmp_path / "manyarm.db") as store:
        yield Installation(store, store.open_log(worlds.campaign(), worlds.noon), worlds.noon)


def bearer(key):
    return {"Authorization": f"Bearer {key}"}


def problem(response, status, title):
    body = response.json()
    assert (response.status_code, body["title"], body["status"]) == (status, title, status), body
    assert (response.headers["content-type"], body["type"]) == (PROBLEM, f"urn:manyarm:problem:{title}")
    return body["detail"]


# Keys


def test_without_keys_a_service_on_this_machine_is_open_and_the_first_key_closes_it_within_seconds(here):
    client = here.client()
    assert client.post("/v1/decisions", json=ANN).status_code == 200
    key = here.key("decide")
    detail = problem(client.post("/v1/decisions", json=ANN), 401, "Unauthorized")
    assert "this route needs a key" in detail
    assert client.post("/v1/decisions", json=ANN, headers=bearer(key)).status_code == 200
    assert here.count() == 2


def test_a_key_may_do_what_its_scopes_say_and_admin_may_do_everything(here):
    keys = {scope: here.key(scope) for scope in ("decide", "record", "admin")}
    decision = json.dumps(ANN | {"decision_id": "d1"})
    calls = {
        ("POST", "/v1/decisions", decision): {"decide", "admin"},
        ("GET", "/v1/decisions/d1", None): {"decide", "admin"},
        ("POST", "/v1/decisions/d1/outcomes", '{"event_id": "e1", "type": "click"}'): {"record", "admin"},
        ("POST", "/v1/decisions/d1/sent", "{}"): {"record", "admin"},
    }
    client = here.client()
    for (method, path, body), allowed in calls.items():
        for scope, key in keys.items():
            response = client.request(method, path, content=body, headers=bearer(key))
            if scope in allowed:
                assert response.status_code == 200, (path, scope)
            else:
                wanted = (allowed - {"admin"}).pop()
                assert f"it needs the scope {wanted}" in problem(response, 403, "Forbidden")
                assert f'scope="{wanted}"' in response.headers["www-authenticate"]


@pytest.mark.parametrize("header", ["Authorization", "X-Api-Key"])
def test_a_key_comes_in_either_header(here, header):
    key = here.key("decide")
    value = f"bearer {key}" if header == "Authorization" else key
    assert here.client().post("/v1/decisions", json=ANN, headers={header: value}).status_code == 200


def test_personalizers_header_is_known_on_its_own_routes_only(here):
    key = {"Ocp-Apim-Subscription-Key": here.key("decide")}
    client = here.client()
    assert client.post("/personalizer/v1.0/rank", json={}, headers=key).status_code not in {401, 403}
    problem(client.post("/v1/decisions", json=ANN, headers=key), 401, "Unauthorized")


@pytest.mark.parametrize(
    "wrong", ["", "manyarm_k1_", f"manyarm_k1_{'5f' * 32}", f"manyarm_k2_{SECRET}", f"k1_{SECRET}", "manyarm_k1", "é", SECRET]
)  # fmt: skip
def test_what_is_no_key_of_ours_opens_nothing_and_is_not_repeated(here, wrong):
    here.key("admin")
    response = here.client().post("/v1/decisions", json=ANN, headers={"X-Api-Key": wrong.encode("latin-1")})
    assert "no valid key" in problem(response, 401, "Unauthorized")
    assert response.headers["www-authenticate"] == 'Bearer realm="manyarm", error="invalid_token"'
    assert SECRET not in response.text


def test_a_key_ends_when_it_expires(here):
    key = here.key("decide", lifetime=timedelta(hours=1))
    client = here.client()
    here.wait(minutes=59, seconds=57)
    assert client.post("/v1/decisions", json=ANN, headers=bearer(key)).status_code == 200
    here.wait(seconds=1)
    problem(client.post("/v1/decisions", json=ANN, headers=bearer(key)), 401, "Unauthorized")


def test_a_key_revoked_elsewhere_stops_within_seconds_and_the_last_one_leaves_the_door_shut(here):
    key = here.key("decide")
    client = here.client()
    assert client.post("/v1/decisions", json=ANN, headers=bearer(key)).status_code == 200
    with Store(here.store.path) as another_process:
        another_process.write(lambda connection: revoke_key(connection, "k1", at=here.now))
    here.wait(seconds=2)
    problem(client.post("/v1/decisions", json=ANN, headers=bearer(key)), 401, "Unauthorized")
    problem(client.post("/v1/decisions", json=ANN), 401, "Unauthorized")


def test_a_clock_that_is_set_back_keeps_no_revoked_key_alive(here):
    key = here.key("decide")
    client = here.client()
    here.wait(hours=1)
    assert client.post("/v1/decisions", json=ANN, headers=bearer(key)).status_code == 200
    here.store.write(lambda connection: revoke_key(connection, "k1", at=here.now))
    here.wait(minutes=-30)
    problem(client.post("/v1/decisions", json=ANN, headers=bearer(key)), 401, "Unauthorized")


def test_keys_that_cannot_be_read_let_nobody_in(here):
    client = here.client()
    here.store.write(lambda connection: connection.execute("ALTER TABLE api_keys RENAME TO elsewhere"))
    assert "the API keys cannot be read" in problem(client.post("/v1/decisions", json=ANN), 503, "UnusableStore")
    assert client.get("/healthz").status_code == 200


# Routes


def routes_of(app):
    return {
        (method, route.path)
        for route in iter_route_contexts(app.routes)
        for method in (route.methods or {"ANY"})
        if method != "HEAD"
    }


def test_every_route_has_a_line_in_the_table_and_every_line_a_route(here):
    assert routes_of(here.app()) == set(ACCESS)


def test_a_route_that_was_forgotten_is_for_admins_only(here):
    app = here.app(ELSEWHERE)
    app.add_api_route("/v1/new", lambda: "secret", methods=["GET"])
    client = TestClient(app)
    problem(client.get("/v1/new"), 401, "Unauthorized")
    problem(client.get("/v1/new", headers=bearer(here.key("decide", "record"))), 403, "Forbidden")
    assert client.get("/v1/new", headers=bearer(here.key("admin"))).json() == "secret"


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/docs", "/openapi.json"])
def test_what_says_nothing_about_anybody_is_open(here, path):
    assert here.client(ELSEWHERE).get(path).status_code == 200


def test_metrics_are_open_on_this_machine_and_for_admins_elsewhere(here):
    key = here.key("admin")
    assert here.client(DoorRules(needs_key=True)).get("/metrics").status_code == 200
    elsewhere = here.client(ELSEWHERE)
    problem(elsewhere.get("/metrics"), 401, "Unauthorized")
    assert elsewhere.get("/metrics", headers=bearer(key)).status_code == 200


NAMES = "v1 decisions outcomes sent batch customers opt-out campaigns snapshots report webhooks unsubscribe personalizer v1.0"
PIECES = st.sampled_from([*NAMES.split(), "rank", "events", "reward", "metrics", "docs", "x", "", ".", "..", "x\n"])
METHODS = st.sampled_from(["GET", "POST", "DELETE", "PUT", "HEAD"])


ONE_ROUTES = st.builds(
    lambda path, part: re.sub(r"{[^}]*}", lambda _: part, path),
    st.sampled_from(sorted({path for _, path in ACCESS})),
    PIECES | st.lists(PIECES, max_size=3).map("/".join),
)
PATHS = ONE_ROUTES | st.lists(PIECES, max_size=6).map(lambda parts: "/" + "/".join(parts))
"""Paths that a route takes, and their neighbours."""


@pytest.fixture(scope="module")
def routes(tmp_path_factory, worlds):
    """Every route, in the order in which the app looks at them."""
    with Store(tmp_path_factory.mktemp("routes") / "manyarm.db") as store:
        app = create_app(Serving(store, store.open_log(worlds.campaign(), worlds.noon)))
        return [(route.methods, route.path, route.path_regex) for route in iter_route_contexts(app.routes)]


@settings(max_examples=200, deadline=None)
@given(PATHS, METHODS)
def test_whichever_route_answers_the_door_has_asked_for_all_that_it_needs(routes, path, method):
    for methods, declared, regex in routes:
        if method in methods and regex.match(path):
            assert ACCESS["GET" if method == "HEAD" else method, declared] in needed_for(method, path)
            return
    if method != "HEAD":  # it is let in as a GET, and answered 405
        assert needed_for(method, path) == (Scope.ADMIN,)


def test_a_path_of_two_routes_needs_what_both_need():
    both = set(needed_for("GET", "/v1/decisions/x")) | set(needed_for("POST", "/v1/decisions/x/sent/outcomes"))
    assert both == {Scope.DECIDE, Scope.RECORD}
    assert needed_for("POST", "/v1/unsubscribe/x/sent") == (Scope.ADMIN,)


def test_web_sockets_are_refused(here):
    sent = []

    async def send(message):
        sent.append(message)

    asyncio.run(here.app()({"type": "websocket", "path": "/v1/decisions"}, None, send))
    assert sent == [{"type": "websocket.close", "code": 1008}]


# Sizes


def test_a_body_that_is_too_large_is_refused_before_it_is_read(here):
    client = here.client(DoorRules(largest_body=1000))
    response = client.post("/v1/decisions", content=b" " * 1001)
    assert "more than 1000 bytes" in problem(response, 413, "BodyTooLarge")
    assert response.headers["connection"] == "close"
    assert client.post("/v1/decisions", content=json.dumps(ANN).encode().ljust(1000)).status_code == 200


@pytest.mark.parametrize("path", ["/v1/decisions", "/v1/decisions/d1/outcomes", "/v1/decisions/d1/sent"])
def test_a_body_of_unknown_length_is_counted_while_it_is_read(here, path):
    client = here.client(DoorRules(largest_body=1000))
    assert "1000 bytes" in problem(client.post(path, content=iter([b" " * 600] * 2)), 413, "BodyTooLarge")
    assert client.post("/v1/decisions", content=iter([json.dumps(ANN).encode(), b" " * 900])).status_code == 200


@pytest.mark.parametrize("length", [b"-1", b"1e3", b"", b"9" * 5000, b"\xb2"])
def test_a_length_that_is_no_number_is_refused(length):
    with pytest.raises(Refused) as caught:
        bounded({b"content-length": length}, None, 1000)
    assert caught.value.status_code in {400, 413}


# Rates


def test_each_key_has_its_own_rate_and_is_told_when_to_come_back(here):
    mailer, another = here.key("decide", "record"), here.key("decide")
    client = here.client(DoorRules(rate_limit=2.0))
    ask = lambda key, **more: client.post("/v1/decisions", json=ANN | more, headers=bearer(key))  # noqa: E731
    assert [ask(mailer).status_code for _ in range(2)] == [200, 200]
    refused = ask(mailer, decision_id="again")
    assert "the next one in 0.50 s" in problem(refused, 429, "TooManyRequests")
    assert refused.headers["retry-after"] == "1"
    assert ask(another).status_code == 200
    here.wait(seconds=0.5)
    assert ask(mailer, decision_id="again").status_code == 200
    assert client.post("/v1/decisions/again/sent", headers=bearer(mailer)).status_code == 200, (
        "only deciding is limited"
    )
    assert here.count() == 4


def test_who_needs_no_key_has_a_rate_too(here):
    client = here.client(DoorRules(rate_limit=1.0))
    statuses = []
    for _ in range(4):
        statuses.append(client.post("/v1/decisions", json=ANN).status_code)
        here.wait(seconds=0.6)
    assert statuses == [200, 429, 200, 429]


# Names and other sites


def test_a_name_that_is_not_ours_is_not_answered(here):
    rules = rules_of(Settings(), "127.0.0.1")
    for name, status in (
        ("localhost", 200),
        ("127.0.0.1", 200),
        ("evil.example", 421),
        ("localhost.evil.example", 421),
    ):
        response = here.client(rules, base_url=f"http://{name}:8080").get("/metrics")
        assert response.status_code == status, name
    problem(here.client(rules, base_url="http://evil.example").post("/v1/decisions", json=ANN), 421, "UnknownHost")


def test_probes_and_the_scraper_of_this_machine_need_not_know_the_public_name(here):
    for host in ("127.0.0.1", "0.0.0.0"):
        rules = rules_of(Settings({"allowed_hosts": "decide.example"}), host)
        probe = here.client(rules, base_url="http://127.0.0.1:8080")
        pod = here.client(rules, base_url="http://10.0.0.7:8080")
        for client in (probe, pod):
            assert [client.get(path).status_code for path in ("/healthz", "/readyz")] == [200, 200], host
            assert client.head("/healthz").status_code == 405
        assert probe.get("/metrics").status_code == (200 if rules.is_local else 421)
        problem(pod.post("/v1/decisions", json=ANN), 421, "UnknownHost")


def test_personalizers_callers_are_refused_in_the_shape_they_know(here):
    rules = DoorRules(rate_limit=1.0, largest_body=100, hosts=frozenset({"testserver"}))
    mailer, reporter = here.key("decide"), here.key("record")
    client = here.client(rules)

    def refused(status, code, path="/personalizer/v1.0/rank", content=b"{}", **headers):
        response = client.post(
            path, content=content, headers={name.replace("_", "-"): one for name, one in headers.items()}
        )
        assert (response.status_code, response.headers["content-type"]) == (status, "application/json"), response.text
        (error,) = response.json().values()
        assert (error.keys(), error["code"]) == ({"code", "message"}, code)
        return response

    assert "www-authenticate" in refused(401, "Unauthorized").headers
    refused(403, "Forbidden", Ocp_Apim_Subscription_Key=reporter)
    refused(421, "UnknownHost", Host="evil.example")
    reward = "/personalizer/v1.0/events/e/reward"
    refused(413, "BodyTooLarge", reward, b"x" * 101, X_Api_Key=reporter)
    refused(413, "BodyTooLarge", reward, iter([b"x" * 101]), X_Api_Key=reporter)
    assert client.post("/personalizer/v1.0/rank", content=b"{", headers={"X-Api-Key": mailer}).status_code == 400
    assert refused(429, "TooManyRequests", X_Api_Key=mailer).headers["retry-after"] == "1"


def test_a_page_of_another_site_cannot_write_where_no_key_is_asked_for(here):
    client = here.client(base_url="http://localhost:8080")
    for origin in ("http://evil.example", "null", "http://localhost:9999"):
        response = client.post("/v1/decisions", json=ANN, headers={"Origin": origin})
        assert "a page of another site" in problem(response, 403, "OtherSite")
    assert client.post("/v1/decisions", json=ANN, headers={"Origin": "http://localhost:8080"}).status_code == 200
    assert here.count() == 1


def test_with_a_key_it_does_not_matter_which_page_asks(here):
    headers = bearer(here.key("decide")) | {"Origin": "http://app.example"}
    assert here.client().post("/v1/decisions", json=ANN, headers=headers).status_code == 200


# Headers


def test_every_answer_has_the_security_headers(here):
    wanted = {
        "x-content-type-options": "nosniff",
        "cache-control": "no-store",
        "x-frame-options": "DENY",
        "referrer-policy": "no-referrer",
        "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    }
    client = here.client()
    for response in (client.post("/v1/decisions", json=ANN), client.get("/nothing"), client.get("/healthz")):
        assert response.headers.items() >= wanted.items()
        assert "strict-transport-security" not in response.headers
    refused = here.client(ELSEWHERE).post("/v1/decisions", json=ANN)
    assert refused.headers.items() >= wanted.items()


def test_https_is_insisted_on_only_where_one_is_told_to(here):
    rules = rules_of(Settings({"hsts": True, "allowed_hosts": "testserver"}), "127.0.0.1")
    assert here.client(rules).get("/healthz").headers["strict-transport-security"] == "max-age=31536000"


def test_the_page_of_the_routes_may_load_what_it_needs_and_nothing_else(here):
    page = here.client().get("/docs")
    policy = page.headers["content-security-policy"]
    for source in ("https://cdn.jsdelivr.net", "https://fastapi.tiangolo.com"):
        assert (source in policy) == (source in page.text)
    assert policy.startswith("default-src 'none'")
    serving = Serving(here.store, here.log, settings=Settings({"docs_page": False}))
    assert TestClient(create_app(serving)).get("/docs").status_code == 404


# Failures


def test_a_failure_nobody_foresaw_is_a_problem_that_tells_nothing_and_a_log_line_that_says_where(here, caplog):
    class Broken:
        secret = here.store.secret

        def decide(self, customer_id, *_, **__):
            raise KeyError(customer_id)

    serving = Serving(here.store, here.log, clock=lambda: here.now)
    serving.engine = Broken()
    key = here.key("decide")
    with caplog.at_level(logging.DEBUG):
        client = TestClient(create_app(serving), raise_server_exceptions=True)
        response = client.post("/v1/decisions", json=ANN, headers=bearer(key))
    problem(response, 500, "InternalError")
    for text in (response.text, caplog.text):
        assert "ann@example.org" not in text
        assert SECRET not in text
    assert re.search(r"KeyError at test_service_door\.py:\d+ decide < ", caplog.text)


@pytest.mark.parametrize(
    "path", ["/v1/decisions", "/v1/decisions/d1/outcomes", "/v1/decisions/batch", "/personalizer/v1.0/rank"]
)
def test_a_client_that_leaves_in_the_middle_is_no_failure_of_ours(here, caplog, path):
    app = here.app()
    messages = iter([
        {"type": "http.request", "body": b'{"customer_id": ', "more_body": True},
        {"type": "http.disconnect"},
    ])  # fmt: skip
    answered = []

    async def receive():
        return next(messages)

    async def send(message):
        answered.append(message)

    headers = [(b"host", b"testserver"), (b"content-length", b"90")]
    scope = {"type": "http", "method": "POST", "path": path, "raw_path": path.encode(), "headers": headers,
             "query_string": b"", "http_version": "1.1", "scheme": "http", "root_path": ""}  # fmt: skip
    with caplog.at_level(logging.DEBUG):
        asyncio.run(app(scope, receive, send))
    assert answered[0]["status"] == 499
    assert [record for record in caplog.records if record.levelno >= logging.WARNING] == []
    assert here.count() == 0


# The document


def test_the_document_says_which_routes_need_which_key(here):
    document = here.client().get("/openapi.json").json()
    assert document["components"]["securitySchemes"].keys() == {"bearer", "api_key"}
    decide = document["paths"]["/v1/decisions"]["post"]
    assert (decide["security"], decide["x-scope"]) == ([{"bearer": []}, {"api_key": []}], "decide")
    assert decide["responses"].keys() >= {"401", "403", "413", "429"}
    assert "security" not in document["paths"]["/healthz"]["get"]
    assert "security" not in document["paths"]["/v1/webhooks/{provider}"]["post"]
