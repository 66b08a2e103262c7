"""The service against its own OpenAPI document: schemathesis makes the requests, valid ones and broken ones."""

from __future__ import annotations

import re

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from bandit import Context
from service.app import create_app
from service.documented_access import method_and_path
from service.keys_table import Scope, issue_key
from service.route_access import ACCESS
from service.serving import Serving
from service.store import Store

CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]
SECRET = "5e" * 32
OF_PAGES = {("GET", path) for path in ("/openapi.json", "/docs", "/docs/oauth2-redirect")}
DOCUMENTED = sorted(method_and_path(*route) for route in ACCESS.keys() - OF_PAGES)
KNOWN = {
    "decision_id": "d1",
    "event_id": "d1",
    "customer_id": "bob",
    "campaign": "contest",
    "provider": "sendgrid",
    "token": "t",
}
WITHOUT_SHAPE = {(method, path) for method, path in DOCUMENTED if method != "post"} | {
    ("post", "/v1/webhooks/{provider}")
}
"""Where every path and body fits the document, there is nothing that breaks it."""
BOUNDED = settings(
    max_examples=12, derandomize=True, deadline=None, database=None, phases=[Phase.explicit, Phase.generate],
    suppress_health_check=list(HealthCheck),
)  # fmt: skip


@pytest.fixture(scope="module")
def document(tmp_path_factory, worlds):
    """The document of a service that needs a key."""
    with Store(tmp_path_factory.mktemp("schemathesis") / "manyarm.db") as store:
        serving = Serving(store, store.open_log(worlds.campaign(), worlds.noon), clock=lambda: worlds.noon)
        made = "k1", "tester", [Scope.ADMIN]
        store.write(lambda c: issue_key(c, *made, secret=SECRET, at=worlds.noon, lifetime=None))
        decision = serving.engine.decide("ann", Context({}), decision_id="d1", at=worlds.noon, past=[])
        store.add_decisions([store.row_of(decision, serving.log)])
        yield schemathesis.openapi.from_asgi("/openapi.json", create_app(serving))


@schemathesis.serializer("application/x-ndjson")
def ndjson(_, value):
    return str(value).encode()


def conforms(operation, mode):
    """Check the answers to some requests, half of them about something that is there."""
    known = {name: KNOWN[name] for name in re.findall(r"{(\w+)}", operation.path)}
    cases = operation.as_strategy(generation_mode=mode)
    about_known = operation.as_strategy(generation_mode=mode, path_parameters=known) if known else cases

    @BOUNDED
    @given(cases | about_known)
    def check(case):
        case.call_and_validate(checks=CHECKS, headers={"X-Api-Key": f"manyarm_k1_{SECRET}"})

    check()


@pytest.mark.parametrize(("method", "path"), DOCUMENTED)
def test_a_request_as_documented_gets_an_answer_as_documented(document, method, path):
    conforms(document[path][method], GenerationMode.POSITIVE)


@pytest.mark.parametrize(("method", "path"), [route for route in DOCUMENTED if route not in WITHOUT_SHAPE])
def test_a_request_that_breaks_the_document_gets_a_documented_answer_too(document, method, path):
    conforms(document[path][method], GenerationMode.NEGATIVE)
