"""Secrets from the environment."""

from __future__ import annotations

import pytest

from backoffice_shared.credentials.environment import EnvironmentCredentials
from backoffice_shared.settings import environment

pytestmark = pytest.mark.anyio

ENVIRONMENT = {
    "BACKOFFICE_ACME_CLIENT_ID": "id",
    "BACKOFFICE_ACME_CLIENT_SECRET": "secret",
    "BACKOFFICE_ACME_ACCESS_TOKEN": "",
    "BACKOFFICE_OTHER_TOKEN": "not mine",
    "ACME_TOKEN": "not ours",
}


async def test_a_vendors_fields_are_those_with_its_prefix() -> None:
    found = await EnvironmentCredentials(environment(ENVIRONMENT)).read("acme")
    assert dict(found) == {"client_id": "id", "client_secret": "secret"}


async def test_a_vendor_without_any_has_an_empty_credential() -> None:
    assert dict(await EnvironmentCredentials(environment(ENVIRONMENT)).read("nobody")) == {}


async def test_refreshing_gives_the_same_version_since_nothing_newer_can_exist() -> None:
    source = EnvironmentCredentials(environment(ENVIRONMENT))
    first = await source.read("acme")
    assert (await source.refresh("acme", rejected=first.version)).version == first.version
