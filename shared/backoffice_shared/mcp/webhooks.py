"""What a vendor tells of its own accord: `POST /webhooks/<vendor>`, signed by a secret that it shares with us.

All that a message does here is to make answers forgotten that it makes stale: what happened is asked anew when somebody
wants to know. So a message that is repeated, late or lost does no harm, and nothing it says is believed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from mcp.server import MCPServer
from starlette.requests import Request
from starlette.responses import Response

from backoffice_shared.credentials.source import CredentialSource
from backoffice_shared.errors import BackofficeError, InvalidInput, PermissionDenied
from backoffice_shared.http.client import BackendClient

log = logging.getLogger("backoffice.webhooks")

PREFIX = "/webhooks/"
LARGEST = 1_000_000  # bytes
SECRET = "webhook_secret"  # noqa: S105 - the name of a field
"""The vendor's credential field; several, with commas between them, while one replaces another."""

Verify = Callable[[bytes, Mapping[str, str], Sequence[str], datetime], Iterable[str]]
"""Body, headers, secrets and the time, to the tags of what is stale. Raises PermissionDenied where the signature is none of
these secrets', InvalidInput where it makes no sense."""


@dataclass(frozen=True, slots=True)
class Hooked:
    """A vendor that tells, how its messages are verified, and where its secret is."""

    vendor: str
    verify: Verify
    credentials: CredentialSource


def path_of(vendor: str) -> str:
    return PREFIX + vendor


def serve_webhook(server: MCPServer[Any], hooked: Hooked, clients: Mapping[str, BackendClient]) -> None:
    async def told(request: Request) -> Response:
        body = await _read(request)
        if body is None:
            return Response(status_code=413)
        try:
            secrets = [s for s in (await hooked.credentials.read(hooked.vendor)).get(SECRET, "").split(",") if s]
            if not secrets:
                return Response(status_code=404)
            stale = frozenset(hooked.verify(body, request.headers, secrets, datetime.now(UTC)))
        except PermissionDenied:
            log.warning("a message to %s%s was not signed by the vendor", PREFIX, hooked.vendor)
            return Response(status_code=401)
        except InvalidInput:
            return Response(status_code=400)
        except BackofficeError:
            return Response(status_code=503)  # the vendor tells again later
        if (client := clients.get(hooked.vendor)) is not None:
            await client.forget(stale)
        return Response(status_code=200)

    server.custom_route(path_of(hooked.vendor), methods=["POST"])(told)


async def _read(request: Request) -> bytes | None:
    """The body; None when it is too large, however large it says to be."""
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > LARGEST:
            return None
    return bytes(body)
