"""The door in front of every route, the hot one included: who may come in, how much they may bring, and how often.

Plain ASGI: a request through it costs microseconds (benchmarks/door.py).
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Mapping
from datetime import datetime
from http import HTTPStatus
from itertools import chain
from pathlib import Path

from fastapi import Response
from starlette.requests import ClientDisconnect
from starlette.types import ASGIApp, Receive, Scope, Send

from bandit.errors import EngineError
from service.body_limit import bounded
from service.door_rules import DoorRules
from service.key_ring import KeyRing
from service.keys_table import Scope as KeyScope
from service.personalizer.errors import failure_response
from service.personalizer.routes import PREFIX as PERSONALIZER
from service.problem import Refused, problem_of, refusal
from service.rate_limit import ALLOWANCE, Allowance, RateLimit, retry_after
from service.route_access import ACCESS, BODY_WITHOUT_LIMIT, Access, Needed, needed_for
from service.security_headers import Answer, security_headers
from service.serving import Serving

logger = logging.getLogger("manyarm")

KEY_ID = "manyarm.key_id"
"""Where the id of the key that opened the door stands in a request's scope; never the key."""
NOBODY = ""
"""Id of whoever needs no key."""

CLIENT_LEFT = 499
"""Status of a request whose client left before all of it had come; no standard has one."""

Headers = Mapping[bytes, bytes]
_FRAMES = 12
_PERSONALIZER = f"{PERSONALIZER}/"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})


class Door:
    """Lets requests in, or answers them itself.

    Args:
        app: what is behind it.
        serving: keys are in its store, the time is its clock's.
        rules: of this installation.
    """

    def __init__(self, app: ASGIApp, serving: Serving, rules: DoorRules) -> None:
        self._app = app
        self._serving = serving
        self._clock = serving.clock
        self._rules = rules
        self._limit = RateLimit(rules.rate_limit) if rules.rate_limit is not None else None
        self._ring = KeyRing(serving.store, is_needed=rules.needs_key, on_read=self._forget)
        self._hosts = frozenset(name.encode() for name in rules.hosts)
        self._listed = {route: self._scopes_of((needed,)) for route, needed in ACCESS.items()}
        self._headers = security_headers(is_docs=False, is_https_only=rules.is_https_only)
        self._docs_headers = security_headers(is_docs=True, is_https_only=rules.is_https_only)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """One request."""
        if scope["type"] != "http":
            await self._other(scope, receive, send)
            return
        answer = Answer(send, self._docs_headers if scope["path"].startswith("/docs") else self._headers)
        try:
            body = self._let_in(scope, receive)
            await self._app(scope, body, answer.send)
        except Refused as error:
            self._serving.tallies.add("requests_refused", error.title)
            await _instead(_answer_to(error, scope), scope, receive, answer)
        except EngineError as error:
            await _instead(_answer_to(error, scope), scope, receive, answer)
        except ClientDisconnect:
            # Nobody hears this answer; it is what the request is counted by.
            await _instead(Response(status_code=CLIENT_LEFT), scope, receive, answer)
        except Exception as error:  # noqa: BLE001 - whatever it was, its message may hold what a request brought
            _log(scope, error)
            await _instead(_answer_to(_unexpected(), scope), scope, receive, answer)

    async def _other(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Starting and stopping go through; there are no web sockets."""
        if scope["type"] == "lifespan":
            await self._app(scope, receive, send)
        else:
            await send({"type": "websocket.close", "code": 1008})

    def _let_in(self, scope: Scope, receive: Receive) -> Receive:
        """Check a request before anything of its body is read; returns where the body is to be read.

        Raises:
            Refused: if it stays outside.
            UnusableStore: if the keys cannot be read.
        """
        headers, path, at = dict(scope["headers"]), scope["path"], self._clock()
        scopes = self._listed.get((scope["method"], path))
        if scopes is None:
            scopes = self._scopes_of(needed_for(scope["method"], path))
        if self._hosts and not self._is_our_name(headers) and not _is_open(scope["method"], path):
            raise _unknown_host()
        key_id = scope[KEY_ID] = self._admitted(scope, headers, scopes, at) if scopes else NOBODY
        if self._limit is not None and KeyScope.DECIDE in scopes and scope["method"] == "POST":
            _within(self._limit, key_id, at)
            scope[ALLOWANCE] = Allowance(self._limit, key_id, self._clock)
        if path in BODY_WITHOUT_LIMIT:
            return receive
        return bounded(headers, receive, self._rules.largest_body)

    def _admitted(self, scope: Scope, headers: Headers, scopes: tuple[KeyScope, ...], at: datetime) -> str:
        """Id of the key that opens the door; `NOBODY` where none is needed."""
        if not self._ring.needs_key(at):
            _refuse_other_sites(scope, headers)
            return NOBODY
        text = _key_text(headers, scope["path"])
        key = None if text is None else self._ring.key_of(text, at)
        if key is None:
            raise _no_key(was_given=text is not None)
        for wanted in scopes:
            if not key.may(wanted):
                raise _wrong_scope(wanted)
        return key.key_id

    def _is_our_name(self, headers: Headers) -> bool:
        host = headers.get(b"host", b"")
        return host in self._hosts or _name_of(host).lower() in self._hosts

    def _scopes_of(self, needed: tuple[Needed, ...]) -> tuple[KeyScope, ...]:
        """The scopes a key must have; none where no key is needed."""
        guarded = () if self._rules.is_local else (KeyScope.ADMIN,)
        scopes = ((one,) if isinstance(one, KeyScope) else guarded if one is Access.LOOPBACK else () for one in needed)
        return tuple(chain.from_iterable(scopes))

    def _forget(self, key_ids: frozenset[str]) -> None:
        if self._limit is not None:
            self._limit.keep(key_ids | {NOBODY})


async def _instead(response: Response, scope: Scope, receive: Receive, answer: Answer) -> None:
    """Answer with this, unless an answer has begun: then the server cuts it off, which a client notices."""
    if not answer.has_begun:
        await response(scope, receive, answer.send)


def _is_open(method: str, path: str) -> bool:
    """Whether whoever watches the service may ask by any name: probes know an address only, and hear nothing of anybody."""
    return needed_for(method, path) == (Access.OPEN,)


def _answer_to(error: Refused | EngineError, scope: Scope) -> Response:
    """An error in the shape that the callers of a route know."""
    if scope["path"].startswith(_PERSONALIZER):
        return failure_response(error)
    return refusal(error) if isinstance(error, Refused) else problem_of(error)


def _unexpected() -> Refused:
    return Refused(
        HTTPStatus.INTERNAL_SERVER_ERROR,
        "InternalError",
        "the service failed in a way nobody foresaw. Its log names the place; ask again with the same ids.",
    )


def _log(scope: Scope, error: Exception) -> None:
    """What failed and where; neither the message nor the path, which may hold what a request brought."""
    frames = traceback.extract_tb(error.__traceback__)[-_FRAMES:]
    where = " < ".join(f"{Path(frame.filename).name}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    what = f"{type(error).__name__} at {where}"
    logger.error("a request failed: %s", what, extra={"method": scope["method"]})


def _within(limit: RateLimit, key_id: str, at: datetime) -> None:
    wait = limit.wait_of(key_id, at)
    if wait:
        raise Refused(
            HTTPStatus.TOO_MANY_REQUESTS,
            "TooManyRequests",
            f"this key has made all the decisions it may for now; the next one in {wait:.2f} s. Nothing was stored: ask again "
            "then with the same decision_id, or have the setting rate_limit raised.",
            {"Retry-After": retry_after(wait)},
        )


def _key_text(headers: Headers, path: str) -> str | None:
    """The key a request brings; Personalizer's clients have a header of their own."""
    authorization = headers.get(b"authorization", b"")
    if authorization[:7].lower() == b"bearer ":
        return authorization[7:].strip().decode("latin-1")
    found = headers.get(b"x-api-key")
    if found is None and path.startswith(_PERSONALIZER):
        found = headers.get(b"ocp-apim-subscription-key")
    return None if found is None else found.decode("latin-1")


def _name_of(host: bytes) -> bytes:
    """A Host header without its port.

    >>> [_name_of(host) for host in (b"localhost:8080", b"[::1]:8080", b"example.org")]
    [b'localhost', b'[::1]', b'example.org']
    """
    return host[: host.find(b"]") + 1] if host.startswith(b"[") else host.partition(b":")[0]


def _refuse_other_sites(scope: Scope, headers: Headers) -> None:
    """Where no key is asked for, a page of another site must not write through its reader's browser."""
    origin = headers.get(b"origin")
    if origin is None or scope["method"] in _READING:
        return
    if origin.lower().partition(b"://")[2] != headers.get(b"host", b"").lower():
        raise Refused(
            HTTPStatus.FORBIDDEN,
            "OtherSite",
            "a browser sent this for a page of another site, and no key is asked for here. Nothing was stored. Make a key with "
            "`manyarm key create`; requests with one may come from anywhere.",
        )


def _unknown_host() -> Refused:
    return Refused(
        HTTPStatus.MISDIRECTED_REQUEST,
        "UnknownHost",
        "the header Host names none of this service's names. Nothing was stored. Behind a proxy, put the public name into the "
        "setting allowed_hosts.",
    )


def _no_key(*, was_given: bool) -> Refused:
    found = "this is no valid key: not one of ours, expired or revoked" if was_given else "this route needs a key"
    error = ', error="invalid_token"' if was_given else ""
    return Refused(
        HTTPStatus.UNAUTHORIZED,
        "Unauthorized",
        f"{found}. Nothing was stored. Send it as `Authorization: Bearer KEY`; `manyarm key list` shows what there is.",
        {"WWW-Authenticate": f'Bearer realm="manyarm"{error}'},
    )


def _wrong_scope(wanted: KeyScope) -> Refused:
    return Refused(
        HTTPStatus.FORBIDDEN,
        "Forbidden",
        f"this key may not do this: it needs the scope {wanted.value}. Nothing was stored. `manyarm key create --scope "
        f"{wanted.value}` makes one that may.",
        {"WWW-Authenticate": f'Bearer realm="manyarm", error="insufficient_scope", scope="{wanted.value}"'},
    )
