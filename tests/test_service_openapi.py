"""The OpenAPI document says what is accepted and answered: msgspec reads the bodies, and pydantic models document them."""

from __future__ import annotations

import json

import msgspec
import pytest
from pydantic import ValidationError

from service.answers import Answer
from service.schemas import (
    BatchBody,
    BatchRequest,
    DecisionAnswer,
    DecisionBody,
    DecisionRequest,
    OutcomeBody,
    OutcomeRequest,
    SentBody,
    SentRequest,
    documented,
)

READ = [
    (DecisionRequest, DecisionBody),
    (OutcomeRequest, OutcomeBody),
    (SentRequest, SentBody),
    (BatchRequest, BatchBody),
]
FINE = {
    DecisionRequest: {
        "customer_id": "ann", "context": {"level": "high", "days": 3, "member": True, "more": None}, "decision_id": "d",
        "exclude": {"cta": ["join"]}, "deferred": True, "explain": True,
    },
    OutcomeRequest: {"event_id": "e", "type": "click", "at": "2026-11-22T12:00:00Z"},
    SentRequest: {"sent": False, "at": None},
    BatchRequest: {"decisions": [{"customer_id": "ann"}]},
}  # fmt: skip
STRANGE = (
    None,
    7,
    1.5,
    "text",
    "",
    True,
    [],
    ["a"],
    [1],
    {},
    {"a": 1},
    {"a": ["b"]},
    {"a": [1]},
    {"a": "b"},
    {"a": [[]]},
)


@pytest.mark.parametrize(("read", "told"), READ, ids=lambda one: one.__name__)
def test_a_body_has_the_documented_fields_and_needs_the_documented_ones(read, told):
    fields = msgspec.structs.fields(read)
    assert [one.name for one in fields] == list(told.model_fields)
    assert [one.name for one in fields if one.required] == [
        n for n, one in told.model_fields.items() if one.is_required()
    ]


@pytest.mark.parametrize(("read", "told"), READ[:3], ids=lambda one: one.__name__)
def test_a_value_is_read_if_and_only_if_the_document_allows_its_type(read, told):
    for name in FINE[read]:
        for value in STRANGE:
            body = json.dumps(FINE[read] | {name: value})
            if isinstance(value, str):
                continue  # ids and times are looked at after they are read
            assert is_read(read, body) == is_told(told, body), body
    body = json.dumps(FINE[read] | {"unknown": 1})
    assert not is_read(read, body)
    assert not is_told(told, body)
    assert is_read(read, json.dumps(FINE[read]))
    assert is_told(told, json.dumps(FINE[read]))


def is_read(read, body):
    try:
        msgspec.json.decode(body, type=read)
    except msgspec.DecodeError:
        return False
    return True


def is_told(told, body):
    try:
        told.model_validate_json(body, strict=True)
    except ValidationError:
        return False
    return True


def test_an_answer_has_the_documented_fields():
    assert [one.name for one in msgspec.structs.fields(Answer)] == [
        n for n in DecisionAnswer.model_fields if n != "explanation"
    ]


def test_the_schema_of_a_body_needs_nothing_beside_itself():
    schema = documented(BatchBody)["requestBody"]["content"]["application/json"]["schema"]
    assert "$ref" not in json.dumps(schema)
    assert schema["properties"]["decisions"]["items"]["required"] == ["customer_id"]
    assert schema["properties"]["decisions"]["maxItems"] == 1000


def test_every_reference_in_the_document_holds(serve):
    document = serve().client.get("/openapi.json").json()
    text = json.dumps(document)
    named = {part.split('"')[0] for part in text.split('"$ref": "#/components/schemas/')[1:]}
    assert named <= document["components"]["schemas"].keys()
    assert text.count('"$ref": "') == text.count('"$ref": "#/components/schemas/')
    batch = document["paths"]["/v1/decisions/batch"]["post"]
    assert set(batch["requestBody"]["content"]) == {"application/json", "application/x-ndjson"}
    assert set(batch["responses"]["200"]["content"]) == {"application/json", "application/x-ndjson"}
    assert {"413", "415", "422"} <= batch["responses"].keys()
