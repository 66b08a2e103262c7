"""API keys: made, listed, rotated, revoked; never stored, never shown again, never in a log."""

from __future__ import annotations

import asyncio
import io
import json
import logging
import os
import re
from datetime import UTC, datetime, timedelta

import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from starlette.testclient import TestClient

import service.commands.serve
from bandit.errors import InvalidSettings
from service.app import create_app
from service.cli import main
from service.door_rules import rules_of
from service.key_ring import KeyRing
from service.keys_table import (
    Scope,
    UnknownKey,
    digest_of,
    find_key,
    is_secret_of,
    issue_key,
    list_keys,
    parts_of,
    revoke_key,
    rotate_key,
)
from service.logs import write_logs
from service.rate_limit import Allowance, RateLimit
from service.serving import Serving
from service.settings import Settings
from service.store import Store

KEY = re.compile(r"manyarm_[0-9a-f]{10}_[0-9a-f]{64}")
SECRET, OTHER = "5e" * 32, "5f" * 32
HOUR = timedelta(hours=1)
NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)


@pytest.fixture
def store(tmp_path):
    with Store(tmp_path / "manyarm.db") as opened:
        yield opened


@pytest.fixture
def issue(store, worlds):
    """Issues a key at noon."""

    def made(key_id="k1", *scopes, lifetime=None):
        wanted = scopes or (Scope.DECIDE,)
        return store.write(
            lambda c: issue_key(c, key_id, "mailer", wanted, secret=SECRET, at=worlds.noon, lifetime=lifetime)
        )

    return made


# The table


def test_the_key_is_in_no_file_of_the_database(store, issue, tmp_path):
    assert issue() == f"manyarm_k1_{SECRET}"
    (key,) = list_keys(store.reader())
    assert (key.key_id, key.digest, key.scopes) == ("k1", digest_of(SECRET), {Scope.DECIDE})
    for path in tmp_path.iterdir():
        assert SECRET.encode() not in path.read_bytes(), path


@pytest.mark.skipif(os.name != "posix", reason="modes of files are POSIX's")
def test_a_new_file_is_its_owners_alone_and_an_old_one_keeps_its_mode(store, tmp_path):
    modes = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert modes["manyarm.db"] == 0o600
    assert set(modes.values()) == {0o600}, "the write-ahead log holds the same"
    shared = tmp_path / "shared.db"
    shared.touch()
    shared.chmod(0o660)
    Store(shared).close()
    assert shared.stat().st_mode & 0o777 == 0o660


def test_only_the_whole_secret_is_the_keys(store, issue):
    issue()
    key = find_key(store.reader(), "k1")
    assert is_secret_of(SECRET, key)
    for wrong in (OTHER, SECRET[:-1], SECRET + "e", SECRET.upper(), ""):
        assert not is_secret_of(wrong, key)
    assert not is_secret_of(SECRET, None)


def test_a_secret_that_happens_to_have_the_digest_of_nobody_is_still_nobodys():
    assert not is_secret_of("", None)


@given(st.text(max_size=20), st.text(max_size=20))
def test_a_text_is_taken_apart_as_it_was_put_together_or_is_no_key(key_id, secret):
    parts = parts_of(f"manyarm_{key_id}_{secret}")
    if parts is not None:
        assert "_".join(parts) == f"{key_id}_{secret}"
        assert all(parts)


@given(st.text())
def test_no_text_whatever_breaks_the_taking_apart(text):
    assert parts_of(text) is None or text.startswith("manyarm_")


def test_a_revoked_key_stays_revoked_since_the_first_time(store, issue, worlds):
    issue()
    for later in (HOUR, 2 * HOUR):
        store.write(lambda c, later=later: revoke_key(c, "k1", at=worlds.noon + later))
    assert find_key(store.reader(), "k1").revoked_at == worlds.noon + HOUR


def test_a_rotated_key_goes_on_for_the_grace_and_the_new_one_lives_as_long_as_it_was_meant_to(store, issue, worlds):
    issue("k1", Scope.DECIDE, Scope.RECORD, lifetime=48 * HOUR)
    at = worlds.noon + 40 * HOUR
    made = store.write(lambda c: rotate_key(c, "k1", new_id="k2", secret=OTHER, at=at, grace=HOUR))
    assert made == f"manyarm_k2_{OTHER}"
    old, new = list_keys(store.reader())
    assert (old.expires_at, old.replaced_by) == (at + HOUR, "k2")
    assert (old.state(at + HOUR - timedelta(seconds=1)), old.state(at + HOUR)) == ("valid", "expired")
    assert (new.name, new.scopes, new.expires_at) == (old.name, old.scopes, at + 48 * HOUR)


def test_grace_never_makes_a_key_live_longer(store, issue, worlds):
    issue("k1", lifetime=HOUR)
    store.write(lambda c: rotate_key(c, "k1", new_id="k2", secret=OTHER, at=worlds.noon, grace=10 * HOUR))
    assert find_key(store.reader(), "k1").expires_at == worlds.noon + HOUR


@pytest.mark.parametrize("end", ["revoked", "expired", "rotated"])
def test_a_key_that_has_ended_is_not_rotated(store, issue, worlds, end):
    issue("k1", lifetime=HOUR)
    at = worlds.noon + (2 * HOUR if end == "expired" else timedelta(0))
    if end == "revoked":
        store.write(lambda c: revoke_key(c, "k1", at=at))
    if end == "rotated":
        store.write(lambda c: rotate_key(c, "k1", new_id="k2", secret=OTHER, at=at, grace=HOUR))
    with pytest.raises(UnknownKey, match=end):
        store.write(lambda c: rotate_key(c, "k1", new_id="k3", secret=OTHER, at=at, grace=HOUR))
    assert "k3" not in {key.key_id for key in list_keys(store.reader())}


def test_a_key_nobody_made_cannot_be_revoked(store, worlds):
    with pytest.raises(UnknownKey, match="`manyarm key list` shows"):
        store.write(lambda c: revoke_key(c, "nobody", at=worlds.noon))


def test_a_ring_reads_the_keys_seldom(store, issue, worlds):
    reads = []
    ring = KeyRing(store, on_read=reads.append)
    issue()
    for millisecond in range(0, 4000, 100):
        assert ring.key_of(f"manyarm_k1_{SECRET}", worlds.noon + timedelta(milliseconds=millisecond)).key_id == "k1"
    assert reads == [{"k1"}, {"k1"}]


# Rates


@given(st.lists(st.tuples(st.floats(0, 5), st.booleans()), max_size=40), st.floats(0.1, 50))
def test_no_key_ever_decides_more_than_its_rate_allows(steps, rate):
    limit, at, seconds, made = RateLimit(rate), NOON, 0.0, 0
    for pause, is_ours in steps:
        seconds += pause
        waited = limit.wait_of("ours" if is_ours else "another", at + timedelta(seconds=seconds))
        made += is_ours and waited == 0
    assert made <= max(rate, 1) + rate * seconds + 1e-6


@given(st.integers(1, 40))
def test_as_many_keys_are_remembered_as_there_are(n):
    limit = RateLimit(1)
    for i in range(n):
        limit.wait_of(f"k{i}", NOON)
    limit.keep(frozenset({"k0", "gone"}))
    assert len(limit) == 1
    assert limit.wait_of("k0", NOON) > 0, "what it spent is not forgotten"


def test_a_batch_is_paid_for_afterwards(worlds):
    limit = RateLimit(10)
    limit.spend("mailer", 109, worlds.noon)
    assert limit.wait_of("mailer", worlds.noon) == pytest.approx(10.0)
    assert limit.wait_of("mailer", worlds.noon + timedelta(seconds=10)) == 0


class Passing:
    """A clock that only sleeping moves."""

    def __init__(self):
        self.now, self.slept = NOON, 0.0

    def clock(self):
        return self.now

    async def sleep(self, seconds):
        assert 0 < seconds <= 1, "others may have spent meanwhile"
        seconds = max(seconds, 0.001)
        self.slept += seconds
        self.now += timedelta(seconds=seconds)
        await asyncio.sleep(0)


@given(st.lists(st.lists(st.integers(1, 20), max_size=8), max_size=3), st.floats(0.5, 30))
def test_streams_however_long_owe_one_group_at_most_and_are_never_faster_than_the_rate(streams, rate):
    time, limit = Passing(), RateLimit(rate)

    async def stream(groups):
        allowance = Allowance(limit, "mailer", time.clock)
        for size in groups:
            await allowance.spend_in_time(size, time.sleep)
            assert limit.debt_of("mailer", time.now) <= size / rate + 1e-6

    async def all_of_them():
        await asyncio.gather(*map(stream, streams))

    # As the door does for each request.
    limit.spend("mailer", sum(map(bool, streams)), NOON)
    asyncio.run(all_of_them())
    n_lines = sum(map(sum, streams))
    assert n_lines <= limit.most + rate * time.slept + 20 + 3


# The command line


@pytest.fixture
def run(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    def invoke(*arguments, code=0):
        result = CliRunner().invoke(main, list(arguments))
        assert result.exit_code == code, result.output
        return result.stdout if code == 0 else result.stderr

    return invoke


def test_a_key_is_shown_once_and_the_list_tells_everything_else(run):
    said = run("key", "create", "--name", "mailer", "--scope", "decide", "--scope", "record", "--expires", "90d")
    (key,) = KEY.findall(said)
    key_id, secret = parts_of(key)
    listed = run("key", "list")
    assert f"{key_id}  valid    decide record        mailer, until 20" in listed
    (row,) = json.loads(run("key", "list", "--json"))
    assert (row["key_id"], row["scopes"], row["state"], row["revoked_at"]) == (key_id, "decide record", "valid", None)
    assert secret not in listed + json.dumps(row)


def test_a_key_is_rotated_and_revoked_by_its_id(run):
    first = json.loads(run("key", "create", "--name", "mailer", "--scope", "decide", "--json"))
    second = json.loads(run("key", "rotate", first["key_id"], "--grace", "1h", "--json"))
    assert second["replaces"] == first["key_id"]
    assert KEY.fullmatch(second["key"])
    assert second["key"] != first["key"]
    run("key", "revoke", first["key_id"])
    assert [row["state"] for row in json.loads(run("key", "list", "--json"))] == ["revoked", "valid"]
    assert "was rotated for" in run("key", "rotate", first["key_id"], code=2)


def test_a_key_that_is_asked_for_whole_is_not_repeated(run):
    made = json.loads(run("key", "create", "--name", "mailer", "--scope", "admin", "--json"))["key"]
    assert parts_of(made)[1][:8] not in run("key", "revoke", made, code=2)


@pytest.mark.parametrize("name", ["", " ", "a\nb", "x" * 101, "\x1b[2J"])
def test_a_name_that_would_spoil_the_list_is_refused(run, name):
    assert "--name needs" in run("key", "create", "--name", name, "--scope", "decide", code=2)


def test_an_empty_list_says_how_to_begin(run, tmp_path):
    Store(tmp_path / "manyarm.db").close()
    assert "manyarm key create" in run("key", "list")


# Listening


@pytest.fixture
def served(run, worlds, tmp_path, monkeypatch):
    """Runs `manyarm serve` with a server that answers one visit; returns the status."""
    (tmp_path / "campaign.toml").write_text(worlds.toml(worlds.document()), encoding="utf-8")
    visits = []

    class Server:
        def __init__(self, app, serving, leaving):
            self.app = app

        def run(self, sockets):
            for name, headers, seen in visits:
                client = TestClient(self.app, base_url=f"http://{name}")
                seen.append(client.post("/v1/decisions", json={"customer_id": "ann"}, headers=headers).status_code)

    monkeypatch.setattr(service.commands.serve, "DrainingServer", Server)

    def serve(*arguments, name="example.org", code=0, **headers):
        seen = []
        visits[:] = [(name, headers, seen)]
        said = run("serve", "--port", "0", "--learn-every", "0", *arguments, code=code)
        return said if code else seen[0]

    return serve


def test_others_can_connect_only_where_there_is_a_valid_key(served, run):
    said = served("--host", "0.0.0.0", code=2)
    assert "has no valid API key" in said
    assert "manyarm key create --db manyarm.db" in said
    made = json.loads(run("key", "create", "--name", "mailer", "--scope", "decide", "--json"))
    assert served("--host", "0.0.0.0") == 401
    assert served("--host", "0.0.0.0", authorization=f"Bearer {made['key']}") == 200
    run("key", "revoke", made["key_id"])
    assert "has no valid API key" in served("--host", "0.0.0.0", code=2)


def test_on_this_machine_no_key_is_needed_and_only_its_own_names_are_answered(served):
    assert [served(name=name) for name in ("example.org", "localhost", "127.0.0.1:8080")] == [421, 200, 200]


def test_keys_cannot_be_switched_off_where_others_connect():
    for host in ("0.0.0.0", "::", "192.0.2.1", "example.org", ""):
        assert rules_of(Settings(), host).needs_key is True
        with pytest.raises(InvalidSettings, match="require_keys is false"):
            rules_of(Settings({"require_keys": "false"}), host)
    assert rules_of(Settings({"require_keys": "false"}), "127.0.0.1").needs_key is False
    assert rules_of(Settings(), "127.0.0.1").needs_key is None


@pytest.mark.parametrize("name", ["rate_limit", "largest_body"])
def test_a_limit_that_lets_nothing_through_is_refused(name):
    with pytest.raises(InvalidSettings, match=f"{name} is 0"):
        rules_of(Settings({name: "0"}), "127.0.0.1")


# Secrets and people


@pytest.fixture
def written(monkeypatch):
    """What this process writes to its log, at every level, whoever says it; the test's own HTTP client excepted."""
    loggers = [logging.getLogger(name) for name in (None, "manyarm", "httpx2")]
    before = [logger.level for logger in loggers]
    monkeypatch.setattr(loggers[0], "handlers", [])
    stream = io.StringIO()

    def begin(settings):
        write_logs(settings, stream)
        loggers[0].setLevel(logging.DEBUG)
        loggers[2].setLevel(logging.ERROR)
        return stream

    yield begin
    for logger, level in zip(loggers, before, strict=True):
        logger.setLevel(level)


@pytest.mark.parametrize("form", ["text", "json"])
def test_neither_keys_nor_customers_are_in_logs_or_problems(store, issue, worlds, form, written):
    """Whatever goes wrong with a request, requests logged one by one."""
    settings = Settings({"log_requests": "true", "log_level": "debug", "log_format": form})
    stream = written(settings)
    key = issue("k1", Scope.ADMIN)
    log = store.open_log(worlds.campaign(), worlds.noon)
    app = create_app(Serving(store, log, clock=lambda: worlds.noon, settings=settings))
    ann, said = "ann@example.org", []
    bodies = [
        {"customer_id": ann},
        {"customer_id": ann, "decision_id": "d1"},
        {"customer_id": "bob" + ann, "decision_id": "d1"},
        {"customer_id": ann * 100},
        {"customer_id": ann, "context": {"unknown": 1}},
        {"customer_id": ann, "context": {"level": "nothing"}},
        {"customer_id": [ann]},
        {"customer_id": ann, "more": ann},
    ]
    calls = [("POST", "/v1/decisions", json.dumps(body)) for body in bodies]
    calls += [("POST", "/v1/decisions", f'{{"customer_id": "{ann}"')]
    calls += [(method, f"/v1/{kind}/{ann}", None) for method in ("PATCH", "PUT") for kind in ("customers", "nothing")]
    with TestClient(app) as client:
        for headers in ({"X-Api-Key": key}, {"Authorization": f"Bearer {key}"}, {"X-Api-Key": f"manyarm_k9_{SECRET}"}):
            answers = [client.request(*call[:2], content=call[2], headers=headers) for call in calls]
            said += [answer.text for answer in answers]
            assert {answer.status_code for answer in answers} <= {200, 400, 401, 404, 405, 409, 422}
    lines = stream.getvalue()
    assert re.search(r"key_id\W+k1", lines), "a request's line says whose key it was, by the part that may be seen"
    for text in (*said, lines):
        assert SECRET not in text
        assert "ann@example" not in text
