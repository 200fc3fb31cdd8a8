"""Azure Key Vault: one secret a vendor, `<prefix>-<vendor>`, whose value is a JSON object of its fields.

Who we are, Azure's library finds out as every program there does: the workload's or the machine's managed identity, or
the environment.
"""

from __future__ import annotations

import logging
from typing import Any

from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.credentials.store import NOTHING, Fetched, stored_json
from backoffice_shared.errors import InvalidInput, PermissionDenied
from backoffice_shared.jsonvalues import obj

try:
    from azure.core.exceptions import ClientAuthenticationError, HttpResponseError, ResourceNotFoundError
    from azure.identity import DefaultAzureCredential
    from azure.keyvault.secrets import SecretClient
except ImportError as missing:
    raise InvalidInput(
        "",
        f"Azure Key Vault needs a library that is not installed ({missing.name})",
        hint="Install backoffice-shared[azure]",
    ) from None


class AzureStore:
    title = "Azure Key Vault"

    def __init__(self, client: SecretClient, *, prefix: str) -> None:
        # It logs every request, and every identity that it does not find.
        logging.getLogger("azure").setLevel(logging.WARNING)
        self._client = client
        self._prefix = prefix

    def place(self, vendor: str) -> str:
        # Names there have letters, digits and dashes only.
        return f"{self._prefix}-{vendor}".replace("_", "-")

    def fetch(self, vendor: str) -> Fetched:
        place = self.place(vendor)
        try:
            secret = self._client.get_secret(place)
        except ResourceNotFoundError:
            return NOTHING
        except ClientAuthenticationError:
            raise PermissionDenied(self.title, "does not know this server") from None
        except HttpResponseError as error:
            if _is_disabled(error):
                return NOTHING
            if error.status_code != 403:
                raise
            raise PermissionDenied(self.title, f"does not let this server read {place}") from None
        if secret.value is None:
            raise MissingCredential(self.title, f"{place} is empty")
        return Fetched(stored_json(secret.value, str(secret.properties.version), place))

    def close(self) -> None:
        self._client.close()


def _is_disabled(error: HttpResponseError) -> bool:
    return error.error is not None and obj(error.error.innererror).get("code") == "SecretDisabled"


def azure_client(url: str, credential: Any = None, **given: Any) -> SecretClient:
    """A client that gives up within seconds. `credential` says who we are, when it is not to be found out."""
    if credential is None:
        credential = DefaultAzureCredential(exclude_interactive_browser_credential=True)
    return SecretClient(
        url, credential, connection_timeout=1, read_timeout=2, retry_total=0, logging_enable=False, **given
    )
