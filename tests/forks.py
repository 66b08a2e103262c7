"""`manyarm` and `python` without the wait: a server has imported what commands import, and forks for each of them.

    python tests/forks.py FOLDER

puts both commands into FOLDER and serves them until its input ends. A command started from there is a process of its
own, with its own arguments, directory, environment, files and exit status: all that is saved are the seconds that
Python takes to import pandas and the like, a hundred times in a run of the tests.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import sys
import threading
import traceback
from pathlib import Path
from typing import Any

COMMANDS = ("python", "manyarm")
"""The last is there when all is ready."""
PACKAGES = ("bandit", "policies", "simulator", "evaluation", "service")
NEEDED_LATER = (
    "matplotlib.backends.backend_agg",
    "matplotlib.pyplot",
    "multiprocessing.spawn",
    "emoji",
    "statsmodels.stats.multitest",
    "statsmodels.stats.oneway",
    "statsmodels.stats.proportion",
    "uvicorn.protocols.http.httptools_impl",
    "uvloop",
)
HERE = Path(__file__).resolve().parent
SHIM = """#!{python} -IS
import json, os, signal, socket, sys

request = {{"name": {name!r}, "arguments": sys.argv[1:], "folder": os.getcwd(), "environment": dict(os.environ)}}
message = json.dumps(request).encode()
for number in (0, 1, 2):
    try:
        os.fstat(number)
    except OSError:  # closed: nothing comes from there, and nothing is kept
        os.open(os.devnull, os.O_RDWR)
with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as server:
    server.connect({address!r})
    socket.send_fds(server, [len(message).to_bytes(4, "big")], [0, 1, 2])
    server.sendall(message)
    answers = server.makefile()
    process = int(answers.readline())
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda number, _: os.kill(process, number))
    status = int(answers.readline())
if status < 0:  # ended by a signal, and so ends this
    signal.signal(-status, signal.SIG_DFL)
    os.kill(os.getpid(), -status)
sys.exit(status)
"""
"""Hands arguments, folder, environment and files to the server, and signals to what it started."""


class Server:
    """Forks for whoever connects, tells them how it ended, and ends what they started when they are killed."""

    def __init__(self, listener: socket.socket) -> None:
        self.listener = listener
        self.running: dict[int, socket.socket] = {}
        self.ended, self.ending = socket.socketpair()
        for end in (self.ended, self.ending):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self.ending.fileno(), warn_on_full_buffer=False)

    def serve(self) -> None:
        """Until the input ends, which is when whoever started this has ended."""
        while True:
            clients = {client: process for process, client in self.running.items()}
            ready, _, _ = select.select([sys.stdin.buffer, self.listener, self.ended, *clients], [], [])
            if sys.stdin.buffer in ready:
                break
            for client in clients.keys() & set(ready):  # they have nothing to say: they are gone
                os.kill(clients[client], signal.SIGKILL)
                self.running.pop(clients[client]).close()
            if self.ended in ready:
                self.ended.recv(4096)
                self.reap()
            if self.listener in ready:
                self.accept()
        for process in self.running:
            os.kill(process, signal.SIGTERM)

    def accept(self) -> None:
        """Fork for one request."""
        client, _ = self.listener.accept()
        head, files, _, _ = socket.recv_fds(client, 4, 3)
        with client.makefile("rb") as stream:
            request = json.loads(stream.read(int.from_bytes(head, "big")))
        process = os.fork()
        if not process:
            self.become(request, files, client)
        for file in files:
            os.close(file)
        self.running[process] = client
        client.sendall(b"%d\n" % process)

    def become(self, request: dict[str, Any], files: list[int], client: socket.socket) -> None:
        """In the child: take over the caller's place, run, and never come back."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            for end in (self.listener, self.ended, self.ending, client, *self.running.values()):
                end.close()
            for number, file in enumerate(files):
                os.dup2(file, number)
                os.close(file)
            os.chdir(request["folder"])
            os.environ.clear()
            os.environ.update(request["environment"])
            status = run(request["name"], request["arguments"])
        except BaseException as error:  # noqa: BLE001 - whatever it is, it ends this process and no other
            traceback.print_exception(error)
        finally:
            threading._shutdown()
            atexit._run_exitfuncs()
            for stream in (sys.stdout, sys.stderr):
                with contextlib.suppress(BrokenPipeError, ValueError):  # closed at one end or the other
                    stream.flush()
            os._exit(status)

    def reap(self) -> None:
        """Tell the callers of processes that have ended how they ended."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG)) != (0, 0):
                client = self.running.pop(ended[0], None)
                if client is not None:
                    with client, contextlib.suppress(BrokenPipeError):
                        client.sendall(b"%d\n" % os.waitstatus_to_exitcode(ended[1]))


def run(name: str, arguments: list[str]) -> int:
    """Run `manyarm ...`, or `python` with a script, `-c CODE`, `-m MODULE` or `-`; the exit status."""
    try:
        if name == "manyarm":
            sys.argv = [name, *arguments]
            sys.modules["service.cli"].main()
        else:
            # What it starts itself, as with `[sys.executable, "-c", ...]`, need not load either.
            sys.executable = str(Path(sys.argv[1]) / "python")
            run_python(*arguments)
    except SystemExit as ended:
        if isinstance(ended.code, str):
            sys.stderr.write(f"{ended.code}\n")
        return ended.code if isinstance(ended.code, int) else int(ended.code is not None)
    return 0


def run_python(how: str, *arguments: str) -> None:
    """What the interpreter does with these arguments."""
    what, rest = (arguments[0], arguments[1:]) if how in {"-c", "-m"} else (how, arguments)
    sys.argv = [how if how in {"-c", "-"} else what, *rest]
    sys.path[0] = "" if how in {"-c", "-m", "-"} else str(Path(how).resolve().parent)
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    elif how in {"-c", "-"}:
        exec(compile(what if how == "-c" else sys.stdin.read(), f"<{how}>", "exec"), {"__name__": "__main__"})
    else:
        runpy.run_path(how, run_name="__main__")


def load() -> None:
    """Import all of ours, and what is loaded only where it is needed."""
    for package in PACKAGES:
        for module in pkgutil.walk_packages(importlib.import_module(package).__path__, f"{package}."):
            importlib.import_module(module.name)
    for name in NEEDED_LATER:
        importlib.import_module(name)


def main(folder: Path) -> None:
    """Load, listen, put the commands into the folder, serve."""
    load()
    gc.collect()
    gc.freeze()
    address = str(folder / "forks")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(address)
        listener.listen(64)
        for name in COMMANDS:
            shim = folder / f"{name}.new"
            shim.write_text(SHIM.format(python=sys.executable, here=str(HERE), name=name, address=address))
            shim.chmod(0o755)
            shim.rename(folder / name)
        Server(listener).serve()


if __name__ == "__main__":
    main(Path(sys.argv[1]))
