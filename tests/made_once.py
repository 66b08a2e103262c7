"""What every test would make anew though it is always the same: an empty database, and the shapes of HTTP's bodies.

A service is made some thousand times in a run of the tests. Half of the time went into tables that twenty migrations make in
an empty file, and into pydantic's reading of the same classes. Here both are made once and copied; no test shares a
service, a database or a route with another.

Learners are made as often, of four models or more, each with a table of weights that is hardly used: tests have few arms.
Here the tables are as wide as those arms need; see `narrowed`.
"""

from __future__ import annotations

import copy
import math
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import cache, wraps
from types import CodeType, FunctionType
from typing import Any

import fastapi.routing
import pytest
from fastapi.dependencies.models import Dependant
from pydantic import BaseModel

from bandit.features import FeatureSpace
from service import migrations


@pytest.fixture(scope="session", autouse=True)
def _made_once() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(migrations, "apply", copying(migrations.apply))
        patch.setattr(fastapi.routing, "create_model_field", renaming(fastapi.routing.create_model_field))
        patch.setattr(fastapi.routing, "get_dependant", calling(fastapi.routing.get_dependant))
        patch.setattr(BaseModel, "model_json_schema", classmethod(remembering(BaseModel.model_json_schema.__func__)))
        patch.setattr(FeatureSpace, "bits", narrowed(FeatureSpace.bits))
        yield


def narrowed(bits: property) -> property:
    """Hash bits that give every weight 64 slots, as the product does, but 14 or more where it takes 18 or more.

    A learner of 18 bits writes 3 MB a model with each snapshot, for the few hundred weights of a test. No two
    features meet the more often for it than they do in a large campaign. Processes that tests start keep the product's
    width, and understand snapshots of either: the width stands in a snapshot's arguments.
    """
    least, narrow = 18, 14

    @wraps(bits.fget)
    def width(space: FeatureSpace) -> int:
        wide: int = bits.__get__(space)
        return wide if wide > least else max(narrow, math.ceil(math.log2(64 * space.n_weights)))

    return property(width)


def copying(apply: Callable[[sqlite3.Connection], None]) -> Callable[[sqlite3.Connection], None]:
    """An empty file becomes a copy of one to which the migrations were applied; to any other they are applied.

    Not for tests of several processes at one file: a copy does not look at what the others write. `__wrapped__` does.
    """

    @cache
    def migrated() -> sqlite3.Connection:
        empty = sqlite3.connect(":memory:", check_same_thread=False)
        apply(empty)
        return empty

    @wraps(apply)
    def copied(connection: sqlite3.Connection) -> None:
        if connection.execute("SELECT count(*) FROM sqlite_master").fetchone() == (0,):
            migrated().backup(connection)
        else:
            apply(connection)

    return copied


def renaming(create: Callable[..., Any]) -> Callable[..., Any]:
    """The field of an answer is made once for each class; a route gets a copy with its own name."""
    made = cache(create)

    def renamed(name: str, type_: object, **how: object) -> Any:
        field = copy.copy(made("made once", type_, **how))
        field.name = name
        return field

    return renamed


def calling(read: Callable[..., Dependant]) -> Callable[..., Dependant]:
    """A handler's parameters are read once for each function in the source; a route gets a copy that calls its own."""
    read_once: dict[tuple[str, CodeType], Dependant] = {}

    def called(*, path: str, call: Callable[..., Any], **how: Any) -> Dependant:
        if not isinstance(call, FunctionType) or how != {"scope": "function"}:
            return read(path=path, call=call, **how)
        key = path, call.__code__
        if key not in read_once:
            read_once[key] = read(path=path, call=call, **how)
        return replace(read_once[key], call=call)

    return called


def remembering(schema: Callable[..., dict[str, Any]]) -> Callable[..., dict[str, Any]]:
    """The JSON schema of a class is made once; who asks gets a copy."""
    made = cache(schema)
    return lambda model, *how, **ways: schema(model, *how, **ways) if how or ways else copy.deepcopy(made(model))
