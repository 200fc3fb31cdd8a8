"""The source of secrets that is configured."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.credentials.files import FileCredentials
from backoffice_shared.credentials.kept import KeptCredentials
from backoffice_shared.credentials.source import OpenedSource
from backoffice_shared.credentials.store import SecretStore
from backoffice_shared.errors import InvalidInput
from backoffice_shared.settings import Settings

_WHOSE = {"secrets_dir": "files", "vault_": "vault", "aws_": "aws", "gcp_": "gcp", "azure_": "azure"}
"""The settings that mean nothing to another source, by what their names begin with."""


def open_source(settings: Settings, environment: Mapping[str, str]) -> OpenedSource:
    """`environment` is our part of it, for secrets that are in there. Nothing is connected to yet.

    Raises:
        InvalidInput: the settings contradict themselves, or what the source needs is missing.
    """
    kind = settings.credentials or ("environment" if settings.secrets_dir is None else "files")
    for name in sorted(settings.model_fields_set):
        whose = next((source for beginning, source in _WHOSE.items() if name.startswith(beginning)), kind)
        if whose != kind:
            raise InvalidInput(
                "",
                f"{_variable(name)} is set, but secrets come from {kind}",
                hint=f"Set BACKOFFICE_CREDENTIALS={whose}",
            )
    match kind:
        case "environment":
            return EnvironmentCredentials(environment)
        case "files":
            return FileCredentials(Path(_set(settings, "secrets_dir")))
        case "vault":
            # With `hvac`, which takes a tenth of a second to load.
            from backoffice_shared.credentials.vault_opened import open_vault  # noqa: PLC0415

            return open_vault(settings, _safe(_set(settings, "vault_addr"), "vault_addr"))
        case "aws" | "gcp" | "azure":
            return KeptCredentials(_cloud(kind, settings))


def _cloud(kind: str, settings: Settings) -> SecretStore:
    """Each with its vendor's library, which is an extra."""
    dashed = settings.secrets_prefix.replace("/", "-")
    match kind:
        case "aws":
            from backoffice_shared.credentials.aws import AwsStore, aws_client  # noqa: PLC0415

            return AwsStore(aws_client(settings.aws_region), prefix=settings.secrets_prefix)
        case "gcp":
            from backoffice_shared.credentials.gcp import GoogleStore, google_client  # noqa: PLC0415

            return GoogleStore(_set(settings, "gcp_project"), prefix=dashed, connect=google_client)
        case _:
            from backoffice_shared.credentials.azure import AzureStore, azure_client  # noqa: PLC0415

            url = _safe(_set(settings, "azure_vault_url"), "azure_vault_url")
            return AzureStore(azure_client(url), prefix=dashed)


def _set(settings: Settings, name: str) -> str:
    if not (value := getattr(settings, name)):
        raise InvalidInput("", f"secrets shall come from {settings.credentials}, which needs {_variable(name)}")
    return str(value)


def _safe(url: str, name: str) -> str:
    """Secrets come over TLS, or from this very machine."""
    parts = urlsplit(url)
    loopback = parts.scheme == "http" and parts.hostname in ("127.0.0.1", "localhost", "::1")
    if not (loopback or (parts.scheme == "https" and parts.hostname)):
        raise InvalidInput("", f"{_variable(name)} has to be an https:// URL")
    return url


def _variable(name: str) -> str:
    return f"BACKOFFICE_{name.upper()}"
