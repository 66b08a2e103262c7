"""One server a database: a second one is refused with advice, waits if told to, and nothing outlives a kill."""

from __future__ import annotations

import errno
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from datetime import timedelta

import click
import pytest
from click.testing import CliRunner

from service.app import create_app
from service.cli import main
from service.draining import DrainingServer
from service.one_server import ENDING, OneServer
from service.sample import sample_text
from service.serving import Serving
from service.store import Store

HOLDS = """
import sys, time
from pathlib import Path
from service.one_server import OneServer
held = OneServer(Path(sys.argv[1]), "http://127.0.0.1:1")
print("held", flush=True)
time.sleep(60)
"""


@pytest.fixture
def db(tmp_path):
    return tmp_path / "manyarm.db"


def test_a_second_server_of_the_same_file_is_refused_and_told_of_the_first_by_whatever_name(db):
    (db.parent / "same.db").symlink_to(db)
    with OneServer(db, "http://127.0.0.1:8080"):
        with pytest.raises(click.UsageError, match=rf"process {os.getpid()}, http://127\.0\.0\.1:8080\).*--wait 60"):
            OneServer(db.parent / "same.db", "http://127.0.0.1:8081")
        OneServer(db.parent / "other.db", "http://127.0.0.1:8081").leave()
    OneServer(db, "http://127.0.0.1:8081").leave()


def test_nothing_of_the_lock_outlives_a_kill(db):
    with subprocess.Popen([sys.executable, "-c", HOLDS, db], stdout=subprocess.PIPE) as holder:
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(click.UsageError):
            OneServer(db, "second")
        holder.send_signal(signal.SIGKILL)
        holder.wait()
    assert (db.parent / f"manyarm.db{ENDING}").exists()
    OneServer(db, "second").leave()


def test_waiting_takes_over_once_the_other_drains_and_gives_up_after_its_time(db, worlds):
    first = OneServer(db, "first")
    begun = time.monotonic()
    with pytest.raises(click.UsageError):
        OneServer(db, "second", timedelta(seconds=0.3))
    assert 0.2 < time.monotonic() - begun < 20
    with Store(db) as store:
        serving = Serving(store, store.open_log(worlds.campaign(), worlds.noon), clock=lambda: worlds.noon)
        server = DrainingServer(create_app(serving), serving, first.leave)
        threading.Timer(0.3, server.handle_exit, [signal.SIGTERM, None]).start()
        OneServer(db, "second", timedelta(seconds=30)).leave()
        assert serving.is_draining


def test_serve_refuses_and_touches_nothing_while_other_commands_work_beside(tmp_path, monkeypatch, cli):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.toml").write_text(sample_text("referral-contest"), encoding="utf-8")
    (tmp_path / "users.csv").write_text("customer_id\nann\n")
    with OneServer(tmp_path / "manyarm.db", "http://127.0.0.1:8080"):
        refused = CliRunner().invoke(main, ["serve", "--port", "0"])
        assert (refused.exit_code, "another `manyarm serve` works on manyarm.db already" in refused.output) == (2, True)
        assert not (tmp_path / "manyarm.db").exists()
        cli.run("decide", "users.csv")
        cli.run("learn", "--json")
        cli.run("verify")


def test_a_folder_that_cannot_be_written_is_said(tmp_path):
    with pytest.raises(click.UsageError, match="cannot be opened"):
        OneServer(tmp_path / "nowhere" / "manyarm.db", "x")


def test_a_disk_without_locks_is_said_and_nothing_is_served(db, monkeypatch):
    def refuse(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("service.one_server.fcntl.flock", refuse)
    with pytest.raises(click.UsageError, match=r"cannot be locked .*No locks available"):
        OneServer(db, "x")


def test_nobody_can_connect_to_a_server_that_waits_for_its_database(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.toml").write_text(sample_text("referral-contest"), encoding="utf-8")
    tried: list[int] = []

    def connect(_seconds):
        with socket.socket() as caller:
            tried.append(caller.connect_ex(("127.0.0.1", port)))

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with OneServer(tmp_path / "manyarm.db", "first"):
        monkeypatch.setattr("service.patience.time.sleep", connect)
        refused = CliRunner().invoke(main, ["serve", "--port", str(port), "--wait", "0.1"])
    assert refused.exit_code == 2
    assert tried
    assert set(tried) == {errno.ECONNREFUSED}


def test_an_address_that_is_taken_is_said_before_the_database_is_touched(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "campaign.toml").write_text(sample_text("referral-contest"), encoding="utf-8")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        refused = CliRunner().invoke(main, ["serve", "--port", str(taken.getsockname()[1])])
    assert (refused.exit_code, "cannot listen on 127.0.0.1" in refused.output) == (2, True)
    assert [one.name for one in tmp_path.iterdir()] == ["campaign.toml"]
