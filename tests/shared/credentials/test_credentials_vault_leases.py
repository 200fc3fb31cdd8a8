"""Credentials that a real OpenBao makes on demand in a real PostgreSQL: renewed, replaced in time, taken back."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import psycopg
import pytest
from tests.real.openbao import Vault
from tests.real.postgres import PostgresServer
from tests.shared.credentials.vaults import reading, say

from backoffice_shared.credentials.source import Credential

pytestmark = pytest.mark.anyio

_CREATE = "CREATE ROLE \"{{name}}\" LOGIN PASSWORD '{{password}}' VALID UNTIL '{{expiration}}'"


class Warehouse:
    """A database whose users Vault makes, each for `ttl` seconds at a time and `longest` in all."""

    def __init__(self, vault: Vault, postgres: PostgresServer, *, ttl: int, longest: int) -> None:
        self.url = postgres.new_database()
        vault.admin.sys.enable_secrets_engine("database")
        vault.admin.secrets.database.configure(
            "warehouse",
            plugin_name="postgresql-database-plugin",
            allowed_roles=["reader"],
            connection_url=self.url.replace("postgres@", "{{username}}:{{password}}@"),
            username="postgres",
            password="trusted",
        )
        vault.admin.secrets.database.create_role(
            "reader", "warehouse", [_CREATE], default_ttl=f"{ttl}s", max_ttl=f"{longest}s"
        )
        policy = vault.policy('path "database/creds/reader" { capabilities = ["read"] }')
        role_id = vault.approle(token_policies=[policy])
        self.settings: dict[str, Any] = {
            "vault_auth": "approle",
            "vault_role_id": role_id,
            "vault_secret_id": vault.secret_id(),
            "vault_dynamic": ("warehouse=database/creds/reader",),
        }

    def users(self) -> set[str]:
        with psycopg.connect(self.url) as connection:
            rows = connection.execute("SELECT rolname FROM pg_roles WHERE rolname LIKE 'v-%'").fetchall()
        return {str(row[0]) for row in rows}

    def admits(self, credential: Credential) -> bool:
        """Whether its user may log in at this moment."""
        url = self.url.replace("postgres@", f"{credential['username']}:{credential['password']}@")
        try:
            psycopg.connect(url, connect_timeout=2).close()
        except psycopg.OperationalError:
            return False
        return True


async def test_a_credential_is_lent_when_it_is_needed_and_taken_back_on_shutdown(
    vault: Vault, postgres: PostgresServer
) -> None:
    warehouse = Warehouse(vault, postgres, ttl=600, longest=3600)
    async with reading(vault, **warehouse.settings) as source:
        lent = await source.read("warehouse")
        assert await source.read("warehouse") is lent
        assert (warehouse.users(), warehouse.admits(lent)) == ({lent["username"]}, True)
        assert (lent.version.startswith("database/creds/reader/"), lent.identity) == (True, "database/creds/reader")
    until = time.monotonic() + 5
    while warehouse.users():
        assert time.monotonic() < until
        await asyncio.sleep(0.05)


async def test_a_lease_of_a_token_that_is_not_ours_is_taken_back_by_itself(
    vault: Vault, postgres: PostgresServer
) -> None:
    warehouse = Warehouse(vault, postgres, ttl=600, longest=3600)
    policy = vault.policy(
        'path "database/creds/reader" { capabilities = ["read"] }\n'
        'path "sys/leases/revoke" { capabilities = ["update"] }'
    )
    dynamic = warehouse.settings["vault_dynamic"]
    async with reading(vault, vault_token=vault.token(policies=[policy]), vault_dynamic=dynamic) as source:
        await source.read("warehouse")
        assert len(warehouse.users()) == 1
    assert warehouse.users() == set()


async def test_a_lease_is_renewed_and_before_its_longest_life_ends_another_takes_its_place(
    vault: Vault, postgres: PostgresServer
) -> None:
    warehouse = Warehouse(vault, postgres, ttl=3, longest=8)
    async with reading(vault, **warehouse.settings) as source:
        seen: dict[str, list[float]] = {}
        refused = 0
        began = time.monotonic()
        while (at := time.monotonic() - began) < 9:
            lent = await source.read("warehouse")
            refused += not await asyncio.to_thread(warehouse.admits, lent)
            seen.setdefault(lent["username"], []).append(at)
            await asyncio.sleep(0.05)
    lived = [moments[-1] - moments[0] for moments in seen.values()]
    say(f"{len(seen)} users in 9 s, of 3 s renewed up to 8 s: used for {[f'{seconds:.1f} s' for seconds in lived]}")
    assert refused == 0
    assert len(seen) == 2
    assert 3 < lived[0] < 7.5  # longer than without a renewal, and not up to the end


async def test_a_lease_that_was_taken_away_is_followed_by_another_as_soon_as_it_is_refused(
    vault: Vault, postgres: PostgresServer
) -> None:
    warehouse = Warehouse(vault, postgres, ttl=600, longest=3600)
    async with reading(vault, **warehouse.settings) as source:
        lent = await source.read("warehouse")
        vault.admin.sys.revoke_lease(lent.version)
        assert not warehouse.admits(lent)
        another = await source.refresh("warehouse", rejected=lent.version)
        assert warehouse.admits(another)


async def test_a_lease_ends_with_the_token_that_it_hangs_on(vault: Vault, postgres: PostgresServer) -> None:
    warehouse = Warehouse(vault, postgres, ttl=600, longest=3600)
    role = {"token_policies": [vault.policy('path "database/creds/reader" { capabilities = ["read"] }')]}
    vault.approle(**role, token_ttl="2s", token_max_ttl="4s")
    async with reading(vault, **warehouse.settings) as source:
        refused = 0
        users: set[str] = set()
        until = time.monotonic() + 7
        while time.monotonic() < until:
            lent = await source.read("warehouse")
            users.add(lent["username"])
            refused += not await asyncio.to_thread(warehouse.admits, lent)
            await asyncio.sleep(0.05)
    say(f"{len(users)} users in 7 s under tokens of 4 s at most, {refused} refused")
    assert refused == 0
    assert 2 <= len(users) <= 4
