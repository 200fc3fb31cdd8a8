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

    # Where it is served
    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65535)] = 8000
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
    cursor_key: Annotated[SecretStr, Field(min_length=16)] = Field(
        default_factory=lambda: SecretStr(secrets.token_hex(32))
    )
    """Signs cursors. Give all replicas of a server the same one, or a cursor is good for one replica and one run."""

    # Who may call, and what
    allow_unauthenticated: bool = False
    """Serve beyond loopback although callers are not authenticated: for a network where every caller may do everything."""
    public_url: str | None = None
    """The URL that clients call, with its path: what OAuth calls the resource. Tokens must be meant for it."""
    oauth_issuer: str | None = None
    """Tokens of this authorization server are accepted. Needs `public_url` or `oauth_audience`."""
    oauth_audience: str | None = None
    """The audience that tokens must name, when it is not `public_url`."""
    oauth_jwks_url: str | None = None
    """Where the issuer's keys are, when its metadata shall not be asked."""
    oauth_algorithms: Annotated[tuple[str, ...], NoDecode] = ("RS256", "PS256", "ES256", "EdDSA")
    platform_key: SecretStr | None = None
    """Ed25519 private key (PEM): the platform signs with it who is calling."""
    trusted_platform_key: str | None = None
    """Ed25519 public key (PEM): a domain server believes the platform that has its private half."""
    agents_file: Path | None = None
    """agents.yaml: what each agent may do. With it, whoever is not in it may do nothing."""
    refund_policy: Path | None = None
    """The refund policy (YAML), instead of the built-in one. Read at start."""
    toolsets: Annotated[tuple[str, ...], NoDecode] = ()
    tools: Annotated[tuple[str, ...], NoDecode] = ()
    exclude_tools: Annotated[tuple[str, ...], NoDecode] = ()
    read_only: bool = False
    no_destructive: bool = False

    # Secrets
    credentials: Literal["environment", "files", "vault", "aws", "gcp", "azure"] | None = None
    """Where vendors' secrets come from; without it, files when `secrets_dir` is given, else the environment."""
    secrets_dir: Path | None = None
    """Mounted secrets: `<secrets_dir>/<vendor>/<field>`."""
    secrets_prefix: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9/_-]*$")] = "backoffice"
    """What the names of our secrets begin with at AWS (`backoffice/zendesk`), Google and Azure (`backoffice-zendesk`)."""
    vault_addr: str | None = None
    """`https://vault.example.com:8200`, of Vault or OpenBao."""
    vault_namespace: str | None = None
    vault_cacert: Path | None = None
    """The authority that signed Vault's certificate (PEM), when it is not one that the system knows."""
    vault_auth: Literal["token", "approle", "kubernetes", "jwt"] = "token"
    """How this process proves to Vault who it is."""
    vault_auth_mount: str | None = None
    """Where that method is mounted, when it is not at its own name."""
    vault_role: str | None = None
    """Kubernetes, JWT: the role to log in as."""
    vault_role_id: str | None = None
    vault_secret_id: SecretStr | None = None
    vault_secret_id_file: Path | None = None
    """AppRole's secret id; a file is read with every login."""
    vault_wrapped_secret_id_file: Path | None = None
    """A file with the wrapping token of AppRole's secret id, which can be opened once."""
    vault_token: SecretStr | None = None
    vault_token_file: Path | None = None
    vault_jwt_file: Path | None = None
    """Kubernetes, JWT: the token that proves it; for Kubernetes, by default the service account's."""
    vault_mount: str = "secret"
    """Where the KV version 2 engine is mounted."""
    vault_prefix: str = "backoffice"
    """Below it: `secret/backoffice/zendesk` holds Zendesk's fields."""
    vault_dynamic: Annotated[tuple[str, ...], NoDecode] = ()
    """Vendors whose credentials Vault makes on demand: `warehouse=database/creds/reader`."""
    aws_region: str | None = None
    """Of AWS Secrets Manager, when the environment does not name one."""
    gcp_project: str | None = None
    azure_vault_url: str | None = None
    """`https://acme.vault.azure.net`."""

    # State
    state_dir: Path | None = None
    """Where this server keeps what must outlive it; by default `backoffice` in the user's state directory."""
    database_url: SecretStr | None = None
    """`postgresql://…`: records and audit of all replicas. Without it, SQLite in `state_dir`."""
    valkey_url: SecretStr | None = None
    """`valkey://…` or `redis://…`: limits, quotas, cache and notifications shared by all replicas."""
    replicas: Annotated[int, Field(ge=1, le=1000)] = 1
    """How many processes share a limit: each gives its part while Valkey cannot be asked."""

    # Audit
    audit: str = "stderr"
    """`stderr`, a directory for JSON lines, `sqlite` or `postgres`."""
    audit_key: SecretStr | None = None
    """Signs the audit's chain. Without it, a key is made once and kept in `state_dir`."""
    audit_checkpoints: Path | None = None
    """Where the chain's heads are noted; better not where the audit itself is. By default in `state_dir`."""
    audit_retention: Annotated[int, Field(ge=1, le=36_500)] = 90
    """Days that records are kept."""

    # Telemetry
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    log_format: Literal["text", "json"] = "text"
    otlp_endpoint: str | None = None
    """`http://collector:4318`: where traces go."""

    @field_validator(
        "allowed_hosts",
        "allowed_origins",
        "oauth_algorithms",
        "toolsets",
        "tools",
        "exclude_tools",
        "vault_dynamic",
        mode="before",
    )
    @classmethod
    def _listed(cls, value: object) -> object:
        return tuple(entry.strip() for entry in value.split(",") if entry.strip()) if isinstance(value, str) else value


def state_home(environ: Mapping[str, str] | None = None) -> Path:
    """Where programs of this user keep their state, as the XDG Base Directory Specification has it."""
    source = os.environ if environ is None else environ
    return Path(source.get("XDG_STATE_HOME") or Path.home() / ".local" / "state") / "backoffice"


def environment(environ: Mapping[str, str] | None = None) -> dict[str, str]:
    """Our part of the environment, without the prefix and in lower case: `zendesk_subdomain` → "acme"."""
    source = os.environ if environ is None else environ
    return {
        name.removeprefix(PREFIX).lower(): value for name, value in source.items() if name.startswith(PREFIX) and value
    }
