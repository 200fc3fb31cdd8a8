"""Google Secret Manager: one secret a vendor, `<prefix>-<vendor>`, whose latest version is a JSON object of its fields.

Who we are, Google's library finds out as every program there does: the workload's identity, or a credentials file.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from backoffice_shared.credentials.store import NOTHING, Fetched, stored_json
from backoffice_shared.errors import InvalidInput, PermissionDenied
from backoffice_shared.jsonvalues import obj

try:
    from google.api_core import exceptions
    from google.cloud.secretmanager import SecretManagerServiceClient
except ImportError as missing:
    raise InvalidInput(
        "",
        f"Google Secret Manager needs a library that is not installed ({missing.name})",
        hint="Install backoffice-shared[gcp]",
    ) from None

TIMEOUT = 2.0  # seconds


class GoogleStore:
    """`connect` makes the client, which looks for its identity on the way: that is done when it is first used."""

    title = "Google Secret Manager"

    def __init__(self, project: str, *, prefix: str, connect: Callable[[], Any]) -> None:
        self._project = project
        self._prefix = prefix
        self._connect = connect
        self._client: Any = None

    def place(self, vendor: str) -> str:
        return f"projects/{self._project}/secrets/{self._prefix}-{vendor}"

    def fetch(self, vendor: str) -> Fetched:
        if self._client is None:
            self._client = self._connect()
        place = self.place(vendor)
        try:
            wire = self._client.access_secret_version(name=f"{place}/versions/latest", timeout=TIMEOUT, retry=None)
        except exceptions.NotFound:
            return NOTHING
        except exceptions.BadRequest as error:
            if not _is_disabled(error):
                raise
            return NOTHING
        except (exceptions.Forbidden, exceptions.Unauthenticated) as error:
            why = type(error).__name__
            raise PermissionDenied(self.title, f"does not let this server read {place} ({why})") from None
        return Fetched(stored_json(wire.payload.data.decode(), wire.name.rpartition("/")[2], place))

    def close(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            client.transport.close()


def _is_disabled(error: exceptions.BadRequest) -> bool:
    """Whether the latest version is one that an operator has disabled or destroyed."""
    raised: Any = error
    return obj(obj(raised.response.json()).get("error")).get("status") == "FAILED_PRECONDITION"


def google_client() -> SecretManagerServiceClient:
    return SecretManagerServiceClient(transport="rest")
