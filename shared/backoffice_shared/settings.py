"""What an operator configures. This is the one module that reads the environment.

Every setting is `BACKOFFICE_<NAME>`; a vendor's is `BACKOFFICE_<VENDOR>_<NAME>`
(`BACKOFFICE_ZENDESK_SUBDOMAIN`). `docs/configuration.md` lists them.
"""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

PREFIX = "BACKOFFICE_"


class Settings(BaseSettings):
    """One process. Durations are in seconds."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, env_ignore_empty=True, extra="ignore", frozen=True)

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
    allow_unauthenticated: bool = False
    """Serve beyond loopback although callers are not authenticated: for a network where every caller may do everything."""
    allowed_hosts: Annotated[tuple[str, ...], NoDecode] = ()
    """Host names, beside loopback's, that a request may name: `mcp.example.com` or `mcp.example.com:8443`."""
    allowed_origins: Annotated[tuple[str, ...], NoDecode] = ()
    """Origins, beside loopback's, that a browser page may call from."""
    deadline: Annotated[float, Field(gt=0, le=120)] = 30.0
    """The longest a tool call may take."""
    drain: Annotated[float, Field(ge=0, le=3600)] = 5.0
    """How long to keep answering after SIGTERM while load balancers take note."""
    grace: Annotated[float, Field(gt=0, le=3600)] = 30.0
    """How long calls in flight may take to finish once the listener has closed."""
    secrets_dir: Path | None = None
    """Mounted secrets: `<secrets_dir>/<vendor>/<field>`. Without it, secrets come from the environment."""
    cursor_key: Annotated[SecretStr, Field(min_length=16)] = Field(
        default_factory=lambda: SecretStr(secrets.token_hex(32))
    )
    """Signs cursors. Give all replicas of a server the same one, or a cursor is good for one replica and one run."""
    audit_file: Path | None = None
    """Where the audit is appended, one JSON object a line. Without it, it goes to standard error."""
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"

    @field_validator("allowed_hosts", "allowed_origins", mode="before")
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(entry.strip() for entry in value.split(",") if entry.strip()) if isinstance(value, str) else value


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our part of the environment, without the prefix and in lower case: `zendesk_subdomain` → "acme"."""
    source = os.environ if environ is None else environ
    return {
        name.removeprefix(PREFIX).lower(): value for name, value in source.items() if name.startswith(PREFIX) and value
    }
