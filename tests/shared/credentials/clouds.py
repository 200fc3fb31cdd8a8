"""AWS Secrets Manager, Google Secret Manager and Azure Key Vault in little, on this machine: enough for one secret's text."""

from __future__ import annotations

import base64
import json
import ssl
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Literal

from azure.core.credentials import AccessToken
from google.auth.credentials import AnonymousCredentials
from google.cloud.secretmanager import SecretManagerServiceClient
from google.cloud.secretmanager_v1.services.secret_manager_service.transports import (
    SecretManagerServiceRestTransport,
)

from backoffice_shared.credentials.aws import AwsStore, aws_client
from backoffice_shared.credentials.azure import AzureStore, azure_client
from backoffice_shared.credentials.gcp import GoogleStore
from backoffice_shared.credentials.store import SecretStore
from backoffice_shared.sandbox.certificate import make_certificate

Mood = Literal["well", "without", "denying", "failing", "hanging"]
Answer = tuple[int, dict[str, object], dict[str, str]]


@dataclass
class Cloud:
    """`secrets` are texts and versions by name. `store` reads them with the vendor's library."""

    name: str
    secrets: dict[str, tuple[str, str]] = field(default_factory=dict[str, tuple[str, str]])
    mood: Mood = "well"
    requests: int = 0
    store: SecretStore = field(init=False)

    def put(self, vendor: str, version: str, text: str) -> None:
        self.secrets[self.store.place(vendor).rpartition("secrets/")[2]] = (text, version)


def _aws(cloud: Cloud, request: BaseHTTPRequestHandler, body: bytes) -> Answer:
    assert request.headers["X-Amz-Target"] == "secretsmanager.GetSecretValue"
    found = cloud.secrets.get(json.loads(body)["SecretId"])
    match cloud.mood:
        case "denying":
            return 400, {"__type": "AccessDeniedException", "Message": "not authorized"}, {}
        case "without":
            return 400, {"__type": "InvalidRequestException", "Message": "it was marked for deletion"}, {}
        case "failing":
            return 500, {"__type": "InternalServiceError", "Message": "hunter2hunter2"}, {}
        case _ if found is None:
            return 400, {"__type": "ResourceNotFoundException", "Message": "can't find it"}, {}
        case _:
            return 200, {"SecretString": found[0], "VersionId": found[1], "Name": "it"}, {}


def _google(cloud: Cloud, request: BaseHTTPRequestHandler, _body: bytes) -> Answer:
    place = request.path.removeprefix("/v1/").partition("?")[0].removesuffix("/versions/latest:access")
    found = cloud.secrets.get(place.rpartition("/")[2])

    def error(code: int, status: str) -> Answer:
        return code, {"error": {"code": code, "status": status, "message": "hunter2hunter2"}}, {}

    match cloud.mood:
        case "denying":
            return error(403, "PERMISSION_DENIED")
        case "without":
            return error(400, "FAILED_PRECONDITION")
        case "failing":
            return error(500, "INTERNAL")
        case _ if found is None:
            return error(404, "NOT_FOUND")
        case _:
            data = base64.b64encode(found[0].encode()).decode()
            return 200, {"name": f"{place}/versions/{found[1]}", "payload": {"data": data}}, {}


def _azure(cloud: Cloud, request: BaseHTTPRequestHandler, _body: bytes) -> Answer:
    name = request.path.removeprefix("/secrets/").partition("/")[0]
    found = cloud.secrets.get(name)

    def error(code: int, status: str) -> Answer:
        return code, {"error": {"code": status, "message": "hunter2hunter2"}}, {}

    if request.headers["Authorization"] != "Bearer who-we-are":
        challenge = 'Bearer authorization="https://login.example/acme", resource="https://vault.azure.net"'
        return 401, {}, {"WWW-Authenticate": challenge}
    match cloud.mood:
        case "denying":
            return error(403, "Forbidden")
        case "without":
            disabled = {"code": "Forbidden", "message": "it is disabled", "innererror": {"code": "SecretDisabled"}}
            return 403, {"error": disabled}, {}
        case "failing":
            return error(500, "InternalServerError")
        case _ if found is None:
            return error(404, "SecretNotFound")
        case _:
            return 200, {"value": found[0], "id": f"https://acme.vault.azure.net/secrets/{name}/{found[1]}"}, {}


class WhoWeAre:
    """As much of an Azure identity as the library wants."""

    def get_token(self, *_scopes: str, **_given: Any) -> AccessToken:
        return AccessToken("who-we-are", int(time.time()) + 3600)


def _aws_store(url: str, _authority: Path) -> SecretStore:
    keys = {"aws_access_key_id": "AKIAEXAMPLE", "aws_secret_access_key": "not-a-secret-of-anybody"}
    return AwsStore(aws_client("eu-central-1", endpoint_url=url, **keys), prefix="backoffice")


def _google_store(url: str, _authority: Path) -> SecretStore:
    def connect() -> SecretManagerServiceClient:
        transport = SecretManagerServiceRestTransport(
            host=url.removeprefix("http://"), url_scheme="http", credentials=AnonymousCredentials()
        )
        return SecretManagerServiceClient(transport=transport)

    return GoogleStore("acme", prefix="backoffice", connect=connect)


def _azure_store(url: str, authority: Path) -> SecretStore:
    given = {"verify_challenge_resource": False, "connection_verify": str(authority)}
    return AzureStore(azure_client(url, WhoWeAre(), **given), prefix="backoffice")


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that gave up is no news."""


_KINDS: dict[str, tuple[Callable[..., Answer], Callable[[str, Path], SecretStore]]] = {
    "aws": (_aws, _aws_store),
    "gcp": (_google, _google_store),
    "azure": (_azure, _azure_store),
}


@contextmanager
def cloud(name: str, folder: Path) -> Generator[Cloud]:
    """One of "aws", "gcp" and "azure"; the last over TLS, without which its library does not send a token."""
    answering, connecting = _KINDS[name]
    served = Cloud(name)
    thawed = threading.Event()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
            served.requests += 1
            if served.mood == "hanging":
                thawed.wait(20)
            status, wire, headers = answering(served, self, body)
            content = json.dumps(wire).encode()
            self.send_response(status)
            for header, value in {"Content-Type": "application/json", **headers}.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        do_POST = do_GET  # noqa: N815 - its name is given

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - its name is given
            """Nobody reads it."""

    server = Server(("127.0.0.1", 0), Handler)
    certificate, key = make_certificate(folder)
    scheme = "http"
    if name == "azure":
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        server.socket = context.wrap_socket(server.socket, server_side=True)
        scheme = "https"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    served.store = connecting(f"{scheme}://127.0.0.1:{server.server_port}", certificate)
    try:
        yield served
    finally:
        thawed.set()
        server.shutdown()
        server.server_close()
