"""The source that the settings name: what they must say, and what a server says when it starts."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from tests.real.openbao import Vault

from backoffice_customer.server import SERVER
from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.credentials.files import FileCredentials
from backoffice_shared.credentials.opened import open_source
from backoffice_shared.errors import InvalidInput
from backoffice_shared.mcp.domain import configured
from backoffice_shared.redaction import SECRETS
from backoffice_shared.settings import Settings

pytestmark = pytest.mark.anyio

ADDRESS = "https://vault.example:8200"


def test_secrets_come_from_the_environment_or_from_files_when_nothing_is_said(tmp_path: Path) -> None:
    assert isinstance(open_source(Settings(), {}), EnvironmentCredentials)
    assert isinstance(open_source(Settings(secrets_dir=tmp_path), {}), FileCredentials)


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"credentials": "files"}, "secrets shall come from files, which needs BACKOFFICE_SECRETS_DIR."),
    ({"credentials": "vault"}, "secrets shall come from vault, which needs BACKOFFICE_VAULT_ADDR."),
    ({"credentials": "gcp"}, "secrets shall come from gcp, which needs BACKOFFICE_GCP_PROJECT."),
    ({"credentials": "azure"}, "secrets shall come from azure, which needs BACKOFFICE_AZURE_VAULT_URL."),
    (
        {"vault_addr": ADDRESS},
        "BACKOFFICE_VAULT_ADDR is set, but secrets come from environment. Set BACKOFFICE_CREDENTIALS=vault.",
    ),
    (
        {"credentials": "environment", "secrets_dir": Path("/run/secrets")},
        "BACKOFFICE_SECRETS_DIR is set, but secrets come from environment. Set BACKOFFICE_CREDENTIALS=files.",
    ),
    (
        {"credentials": "vault", "vault_addr": ADDRESS, "vault_token": "hunter2", "aws_region": "eu-central-1"},
        "BACKOFFICE_AWS_REGION is set, but secrets come from vault. Set BACKOFFICE_CREDENTIALS=aws.",
    ),
    (
        {"credentials": "vault", "vault_addr": "http://vault.example:8200", "vault_token": "hunter2"},
        "BACKOFFICE_VAULT_ADDR has to be an https:// URL.",
    ),
    (
        {"credentials": "azure", "azure_vault_url": "http://acme.vault.azure.net"},
        "BACKOFFICE_AZURE_VAULT_URL has to be an https:// URL.",
    ),
    (
        {"vault_auth": "token"},
        "BACKOFFICE_VAULT_AUTH=token needs one of BACKOFFICE_VAULT_TOKEN, BACKOFFICE_VAULT_TOKEN_FILE.",
    ),
    (
        {"vault_token": "hunter2", "vault_token_file": Path("token")},
        "BACKOFFICE_VAULT_AUTH=token needs only one of BACKOFFICE_VAULT_TOKEN, BACKOFFICE_VAULT_TOKEN_FILE.",
    ),
    ({"vault_auth": "approle"}, "BACKOFFICE_VAULT_AUTH=approle needs BACKOFFICE_VAULT_ROLE_ID."),
    (
        {"vault_auth": "approle", "vault_role_id": "id"},
        "BACKOFFICE_VAULT_AUTH=approle needs one of BACKOFFICE_VAULT_SECRET_ID, BACKOFFICE_VAULT_SECRET_ID_FILE, "
        "BACKOFFICE_VAULT_WRAPPED_SECRET_ID_FILE.",
    ),
    ({"vault_auth": "kubernetes"}, "BACKOFFICE_VAULT_AUTH=kubernetes needs BACKOFFICE_VAULT_ROLE."),
    (
        {"vault_auth": "jwt", "vault_role": "backoffice"},
        "BACKOFFICE_VAULT_AUTH=jwt needs BACKOFFICE_VAULT_JWT_FILE.",
    ),
    (
        {"vault_token": "hunter2", "vault_cacert": Path("/nowhere/ca.pem")},
        "BACKOFFICE_VAULT_CACERT: there is no file /nowhere/ca.pem.",
    ),
    (
        {"vault_token": "hunter2", "vault_dynamic": "database/creds/reader"},
        "BACKOFFICE_VAULT_DYNAMIC: 'database/creds/reader' is not vendor=path.",
    ),
]


@pytest.mark.parametrize(("given", "told"), WRONG, ids=[told.partition(".")[0] for _, told in WRONG])
def test_settings_that_cannot_be_meant_are_one_line(given: dict[str, Any], told: str) -> None:
    of_vault = any(name.startswith("vault_") for name in given) and "vault_addr" not in given
    common: dict[str, Any] = {"credentials": "vault", "vault_addr": ADDRESS} if of_vault else {}
    with pytest.raises(InvalidInput) as raised:
        open_source(Settings(**common, **given), {})
    assert str(raised.value) == told


@pytest.mark.parametrize(
    ("extra", "library", "module"),
    [("aws", "botocore", "aws"), ("gcp", "google.cloud.secretmanager", "gcp"), ("azure", "azure.identity", "azure")],
)
def test_without_its_library_the_operator_is_told_what_to_install(extra: str, library: str, module: str) -> None:
    program = (
        f"import sys; sys.modules['{library}'] = None\n"
        "from backoffice_shared.credentials.opened import open_source\n"
        "from backoffice_shared.settings import Settings\n"
        "try:\n"
        f"    open_source(Settings(credentials='{extra}', gcp_project=None), {{}})\n"
        "except Exception as error:\n    print(error)\n"
    ).replace(", gcp_project=None", "" if extra != "gcp" else ", gcp_project='acme'")
    assert ran(program).endswith(f"Install backoffice-shared[{extra}].\n")


def test_whoever_has_secrets_elsewhere_loads_none_of_the_libraries() -> None:
    program = (
        "import sys, backoffice_shared.credentials.opened, backoffice_customer.server\n"
        "print([name for name in ('hvac', 'botocore', 'google.cloud', 'azure.identity') if name in sys.modules])"
    )
    assert ran(program) == "[]\n"


def ran(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


# A server that starts


async def test_a_server_reaches_the_vendors_that_vault_has_and_says_where_the_others_belong(vault: Vault) -> None:
    vault.put("hubspot", access_token="a-secret-of-hubspot")
    settings = Settings(
        credentials="vault",
        vault_addr=vault.server.url,
        vault_namespace=vault.namespace,
        vault_token=vault.token(),  # pyright: ignore[reportArgumentType]
    )
    reachable = await configured(SERVER, settings, {"zendesk_subdomain": "northwind", "shopify_shop": "northwind"})
    assert [reach.vendor.backend.name for reach in reachable.reached] == ["hubspot"]
    needs = {missing.vendor.backend.name: missing.needs for missing in reachable.missing}
    assert needs.keys() == {"salesforce", "zendesk", "email", "confluence", "shopify"}
    assert [needs[name] for name in ("zendesk", "shopify")] == [
        "BACKOFFICE_ZENDESK_SUBDOMAIN, client_id in secret/backoffice/zendesk (Vault), "
        "client_secret in secret/backoffice/zendesk (Vault)",
        "BACKOFFICE_SHOPIFY_SHOP, access_token in secret/backoffice/shopify (Vault)",
    ]
    assert reachable.source is not None
    await reachable.source.aclose()


async def test_options_are_no_secrets_and_stay_readable() -> None:
    given = {"shopify_shop": "a-shop-with-a-name", "shopify_access_token": "a-secret-of-shopify"}
    reachable = await configured(SERVER, Settings(), given)
    assert [reach.base_url for reach in reachable.reached] == ["https://a-shop-with-a-name.myshopify.com"]
    scrubbed = SECRETS.scrub("a-shop-with-a-name has a-secret-of-shopify")
    assert scrubbed == "a-shop-with-a-name has [secret]"


def started(**environment: str) -> tuple[int, str]:
    """What `backoffice-customer` says on standard error when it is started like this, and how it ends."""
    ours = {f"BACKOFFICE_{name.upper()}": value for name, value in environment.items()}
    # Secrets go through no proxy that happens to be in the environment.
    ours |= dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), "http://127.0.0.1:1")
    done = subprocess.run(
        [sys.executable, "-m", "backoffice_customer"],
        env={**{name: value for name, value in os.environ.items() if not name.startswith("BACKOFFICE_")}, **ours},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
        timeout=30,
    )
    return done.returncode, done.stderr


def test_a_server_whose_vault_is_not_there_does_not_start_and_says_so(tmp_path: Path) -> None:
    code, told = started(
        credentials="vault", vault_addr="http://127.0.0.1:1", vault_token="hunter2hunter2", state_dir=str(tmp_path)
    )
    assert code == 2
    assert told.splitlines()[-1] == "Error: Vault: cannot be reached."
    assert "hunter2" not in told


def test_a_server_with_a_token_that_vault_refuses_does_not_start_and_says_so(vault: Vault, tmp_path: Path) -> None:
    code, told = started(
        credentials="vault", vault_addr=vault.server.url, vault_token="s.hunter2hunter2", state_dir=str(tmp_path)
    )
    assert code == 2
    assert told.splitlines()[-1] == "Error: Vault: refused the login: permission denied."
    assert "hunter2" not in told
