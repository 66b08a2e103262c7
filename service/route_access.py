"""Who may call which route: one table. What is not in it is for admins only, so a route that was forgotten is no hole."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum
from types import MappingProxyType

from starlette.routing import compile_path

from service.keys_table import Scope


class Access(StrEnum):
    """Routes that need no key of ours."""

    OPEN = "open"
    """Says nothing about anybody."""
    SIGNED = "signed"
    """Checks a signature or secret of its own."""
    LOOPBACK = "loopback"
    """Needs no key where the service listens to this machine only, else the scope admin."""


Needed = Scope | Access

ACCESS: Mapping[tuple[str, str], Needed] = MappingProxyType(
    {
        ("POST", "/v1/decisions"): Scope.DECIDE,
        ("POST", "/v1/decisions/batch"): Scope.DECIDE,
        ("GET", "/v1/decisions/{decision_id:path}"): Scope.DECIDE,
        ("POST", "/v1/decisions/{decision_id:path}/outcomes"): Scope.RECORD,
        ("POST", "/v1/decisions/{decision_id:path}/sent"): Scope.RECORD,
        ("POST", "/v1/webhooks/{provider}"): Access.SIGNED,
        ("POST", "/v1/unsubscribe/{token}"): Access.SIGNED,
        ("GET", "/v1/unsubscribe/{token}"): Access.SIGNED,
        ("POST", "/personalizer/v1.0/rank"): Scope.DECIDE,
        ("POST", "/personalizer/v1.0/events/{event_id:path}/reward"): Scope.RECORD,
        ("POST", "/personalizer/v1.0/events/{event_id:path}/activate"): Scope.RECORD,
        ("POST", "/v1/customers/{customer_id:path}/opt-out"): Scope.RECORD,
        ("POST", "/v1/customers/{customer_id:path}/events"): Scope.RECORD,
        ("GET", "/v1/customers/{customer_id:path}"): Scope.ADMIN,
        ("DELETE", "/v1/customers/{customer_id:path}"): Scope.ADMIN,
        ("GET", "/v1/campaigns/{campaign}/snapshots"): Scope.ADMIN,
        ("POST", "/v1/campaigns/{campaign}/snapshots"): Scope.ADMIN,
        ("GET", "/v1/campaigns/{campaign}/report"): Scope.ADMIN,
        ("GET", "/healthz"): Access.OPEN,
        ("GET", "/readyz"): Access.OPEN,
        ("GET", "/metrics"): Access.LOOPBACK,
        ("GET", "/openapi.json"): Access.OPEN,
        ("GET", "/docs"): Access.OPEN,
        ("GET", "/docs/oauth2-redirect"): Access.OPEN,
    }
)
"""Method and path, as the route is declared. A HEAD is a GET."""

BODY_WITHOUT_LIMIT: frozenset[str] = frozenset({"/v1/decisions/batch"})
"""Paths whose body is read line by line, and each line has a limit of its own."""

_PATTERNS: Mapping[str, tuple[tuple[re.Pattern[str], Needed], ...]] = MappingProxyType(
    {
        method: tuple((compile_path(path)[0], needed) for (its, path), needed in ACCESS.items() if its == method)
        for method in {method for method, _ in ACCESS}
    }
)


def needed_for(method: str, path: str) -> tuple[Needed, ...]:
    """What a request needs: all of it, where its path could be that of two routes.

    >>> needed_for("POST", "/v1/decisions"), needed_for("GET", "/v1/decisions/2026/11/22-7")
    ((<Scope.DECIDE: 'decide'>,), (<Scope.DECIDE: 'decide'>,))
    >>> needed_for("PATCH", "/v1/decisions")
    (<Scope.ADMIN: 'admin'>,)
    """
    exact = ACCESS.get((method, path))
    if exact is not None:
        return (exact,)
    patterns = _PATTERNS.get("GET" if method == "HEAD" else method, ())
    return tuple(needed for pattern, needed in patterns if pattern.match(path)) or (Scope.ADMIN,)
