"""A real OpenBao: what is read from it, and what is said when it cannot be read."""

from __future__ import annotations

import logging
import re
import time
from pathlib import Path
from typing import Any

import pytest
from tests.real.openbao import Vault
from tests.shared.credentials.stores import WaitingClock
from tests.shared.credentials.vaults import Logins, reading
from tests.shared.loopback import loopback

from backoffice_shared.credentials.source import Credential, MissingCredential
from backoffice_shared.errors import BackendUnavailable, Conflict, PermissionDenied
from backoffice_shared.redaction import SECRETS

pytestmark = pytest.mark.anyio

DOCUMENTED = Path(__file__).parents[3] / "docs" / "credentials.md"


async def test_the_newest_version_of_a_secret_is_read_and_known_to_be_one(vault: Vault) -> None:
    vault.put("acme", access_token="first-secret-value")
    vault.put("acme", access_token="second-secret-value", client_id="backoffice")
    async with reading(vault, vault_token=vault.token()) as source:
        read = await source.read("acme")
    assert dict(read) == {"access_token": "second-secret-value", "client_id": "backoffice"}
    assert read.version.startswith("2@20")
    assert SECRETS.scrub("it is second-secret-value of backoffice") == "it is [secret] of backoffice"


async def test_a_vendor_without_a_secret_or_with_a_deleted_one_has_an_empty_credential(vault: Vault) -> None:
    vault.put("gone", access_token="secret-value")
    vault.admin.secrets.kv.v2.delete_latest_version_of_secret("backoffice/gone", mount_point="secret")
    async with reading(vault, vault_token=vault.token()) as source:
        assert (dict(await source.read("acme")), dict(await source.read("gone"))) == ({}, {})


async def test_a_secret_that_was_deleted_for_good_and_made_again_is_another_version(vault: Vault) -> None:
    async with reading(vault, vault_token=vault.token()) as source:
        vault.put("acme", access_token="first-secret-value")
        rejected = (await source.read("acme")).version
        vault.admin.secrets.kv.v2.delete_metadata_and_all_versions("backoffice/acme", mount_point="secret")
        vault.put("acme", access_token="second-secret-value")
        assert (await source.refresh("acme", rejected=rejected))["access_token"] == "second-secret-value"


async def test_a_namespace_sees_nothing_of_another(vault: Vault) -> None:
    vault.put("acme", access_token="secret-value")
    token = vault.token()
    async with (
        reading(vault, vault_token=token) as source,
        reading(vault, vault_namespace="", vault_token=token) as root,
    ):
        assert (dict(await source.read("acme")), dict(await root.read("acme"))) == (
            {"access_token": "secret-value"},
            {},
        )


async def test_vault_is_read_over_tls_when_its_authority_is_known_and_not_at_all_when_it_is_not(vault: Vault) -> None:
    vault.put("acme", access_token="secret-value")
    given: dict[str, Any] = {"vault_addr": vault.server.secure_url, "vault_token": vault.token()}
    async with reading(vault, vault_cacert=vault.server.authority, **given) as source:
        assert dict(await source.read("acme")) == {"access_token": "secret-value"}
    async with reading(vault, **given) as source:
        with pytest.raises(BackendUnavailable) as raised:
            await source.read("acme")
    assert str(raised.value) == "Vault: has a certificate that is not trusted, or does not speak TLS."


async def test_what_the_policy_denies_is_not_there_and_costs_no_login(
    vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    vault.put("acme", access_token="secret-value")
    vault.put("other", access_token="other-secret-value")
    policy = vault.policy('path "secret/data/backoffice/acme" { capabilities = ["read"] }')
    logins = Logins()
    async with reading(vault, vault_token=vault.token(policies=[policy])) as source:
        assert dict(await source.read("acme")) == {"access_token": "secret-value"}
        assert dict(await source.read("other")) == {}
    assert (logins.made, logins.failed) == (1, 0)
    denied = "secret/backoffice/other cannot be read: Vault: the policy of this server does not allow it"
    assert f"{denied} (secret/data/backoffice/other)." in caplog.text


async def test_a_denial_is_not_answered_with_a_storm_of_logins(vault: Vault) -> None:
    vault.put("acme", access_token="secret-value")
    clock, logins = WaitingClock(), Logins()
    role_id = vault.approle(token_policies=[])
    async with reading(
        vault, clock=clock, vault_auth="approle", vault_role_id=role_id, vault_secret_id=vault.secret_id()
    ) as source:
        for _ in range(300):
            assert dict(await source.read("acme")) == {}
            clock.advance(1)
    # A token that had ended would look the same, so some are made, ever more seldom.
    assert (logins.made, logins.failed) == (8, 0)


@pytest.mark.parametrize(
    ("fields", "told"),
    [
        ({"access_token": 7}, "secret/backoffice/acme holds something that is not text: access_token."),
        ({"keys": {"a": "hunter2hunter2"}}, "secret/backoffice/acme holds something that is not text: keys."),
    ],
)
async def test_what_is_not_text_is_named_without_its_value(vault: Vault, fields: dict[str, object], told: str) -> None:
    vault.put("acme", **fields)
    async with reading(vault, vault_token=vault.token()) as source:
        with pytest.raises(MissingCredential) as raised:
            await source.read("acme")
    assert str(raised.value) == told


async def test_an_engine_that_is_not_there_is_told(vault: Vault) -> None:
    policy = vault.policy('path "*" { capabilities = ["read"] }')
    async with reading(vault, vault_mount="kv", vault_token=vault.token(policies=[policy])) as source:
        with pytest.raises(MissingCredential) as raised:
            await source.read("acme")
    assert str(raised.value) == "Vault: has no KV version 2 engine at kv."


async def test_a_vault_that_is_sealed_hangs_or_is_not_there_is_told_as_what_it_is(vault: Vault) -> None:
    token, told = vault.token(), list[str]()

    async def fails(**given: Any) -> None:
        async with reading(vault, vault_token=token, **given) as source:
            with pytest.raises(BackendUnavailable) as raised:
                await source.read("acme")
            told.append(str(raised.value))

    with vault.server.sealed():
        await fails()
    started = time.monotonic()
    with vault.server.frozen():
        await fails()
    assert time.monotonic() - started < 4
    await fails(vault_addr="http://127.0.0.1:1")
    assert told == ["Vault: is sealed.", "Vault: does not answer.", "Vault: cannot be reached."]


async def test_whoever_sends_us_elsewhere_is_not_followed_with_our_token(vault: Vault) -> None:
    async with loopback() as elsewhere, loopback() as posing:
        posing.answers += [
            b"HTTP/1.1 307 Temporary Redirect\r\nLocation: %s/v1/x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            % elsewhere.url.encode()
        ]
        async with reading(vault, vault_addr=posing.url, vault_token=vault.token()) as source:
            with pytest.raises(BackendUnavailable) as raised:
                await source.read("acme")
        assert (len(posing.requests), elsewhere.requests) == (1, [])
    assert str(raised.value) == "Vault: sends us elsewhere, which we do not follow."


async def test_a_secret_is_replaced_only_by_whoever_has_read_its_newest_version(vault: Vault) -> None:
    vault.put("acme", refresh_token="first-secret-value")
    policy = vault.policy('path "secret/data/backoffice/acme" { capabilities = ["read", "update"] }')
    token = vault.token(policies=[policy])
    async with reading(vault, vault_token=token) as source, reading(vault, vault_token=token) as other:
        read: Credential = await source.read("acme")
        await other.replace("acme", await other.read("acme"), {"refresh_token": "second-secret-value"})
        with pytest.raises(Conflict) as raised:
            await source.replace("acme", read, {"refresh_token": "third-secret-value"})
        assert str(raised.value) == "Vault: secret/backoffice/acme was changed meanwhile."
        newest = await source.refresh("acme", rejected=read.version)
        replaced = await source.replace("acme", newest, {"refresh_token": "third-secret-value"})
        assert (dict(replaced), await source.read("acme")) == ({"refresh_token": "third-secret-value"}, replaced)
    assert replaced.version.startswith("3@")


async def test_neither_secrets_nor_tokens_are_logged_at_any_level(
    vault: Vault, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    vault.put("acme", access_token="hunter2hunter2")
    role_id, secret_id = vault.approle(), vault.secret_id()
    with caplog.at_level(logging.DEBUG):
        async with reading(vault, vault_auth="approle", vault_role_id=role_id, vault_secret_id=secret_id) as source:
            await source.read("acme")
            held = repr(source.__dict__)
    for secret in ("hunter2hunter2", secret_id):
        assert secret not in caplog.text
        assert secret not in held
        assert SECRETS.scrub(secret) == "[secret]"


async def test_the_documented_policies_allow_what_is_needed_and_no_more(vault: Vault) -> None:
    server, lending, refreshing = re.findall(r"```hcl\n(.*?)```", DOCUMENTED.read_text(), re.DOTALL)
    assert lending.startswith('path "database/creds/')
    for vendor in ("hubspot", "xero"):
        vault.put(vendor, access_token=f"secret-of-{vendor}")
    async with reading(vault, vault_token=vault.token(policies=[vault.policy(server)])) as source:
        read = await source.read("hubspot")
        assert (read["access_token"], dict(await source.read("xero"))) == ("secret-of-hubspot", {})
        with pytest.raises(PermissionDenied):
            await source.replace("hubspot", read, {"access_token": "another-secret"})
    async with reading(vault, vault_token=vault.token(policies=[vault.policy(refreshing)])) as source:
        replaced = await source.replace("xero", await source.read("xero"), {"refresh_token": "another-secret"})
        assert dict(replaced) == {"refresh_token": "another-secret"}
