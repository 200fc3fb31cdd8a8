"""The clouds' own stores of secrets, each with the vendor's library against its wire."""

from __future__ import annotations

import json
import logging
import time
from collections.abc import AsyncGenerator, Generator
from pathlib import Path

import pytest
from tests.shared.credentials.clouds import Cloud, cloud
from tests.shared.credentials.stores import WaitingClock

from backoffice_shared.credentials.kept import KeptCredentials
from backoffice_shared.credentials.source import MissingCredential
from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.redaction import SECRETS

pytestmark = pytest.mark.anyio

PLACES = {"aws": "backoffice/acme", "gcp": "projects/acme/secrets/backoffice-acme", "azure": "backoffice-acme"}
FIRST, SECOND = ({"access_token": f"{which}-secret-value", "client_id": "backoffice"} for which in ("first", "second"))


@pytest.fixture(params=["aws", "gcp", "azure"])
def at(request: pytest.FixtureRequest, tmp_path: Path) -> Generator[Cloud]:
    with cloud(request.param, tmp_path) as served:
        served.put("acme", "version-1", json.dumps(FIRST))
        yield served


@pytest.fixture
def time_() -> WaitingClock:
    return WaitingClock()


@pytest.fixture
async def source(at: Cloud, time_: WaitingClock) -> AsyncGenerator[KeptCredentials]:
    source = KeptCredentials(at.store, clock=time_)
    yield source
    await source.aclose()


async def test_the_newest_version_is_read_and_known_to_be_a_secret(source: KeptCredentials) -> None:
    read = await source.read("acme")
    assert (dict(read), read.version) == (FIRST, "version-1")
    assert SECRETS.scrub("it is first-secret-value") == "it is [secret]"


async def test_a_rotated_secret_is_read_when_the_vendor_refuses_the_old_one(at: Cloud, source: KeptCredentials) -> None:
    rejected = (await source.read("acme")).version
    at.put("acme", "version-2", json.dumps(SECOND))
    renewed = await source.refresh("acme", rejected=rejected)
    assert (dict(renewed), renewed.version) == (SECOND, "version-2")


async def test_a_vendor_without_a_secret_has_an_empty_credential(source: KeptCredentials) -> None:
    assert dict(await source.read("nobody")) == {}


async def test_a_secret_that_is_disabled_or_about_to_be_deleted_is_gone(at: Cloud, source: KeptCredentials) -> None:
    rejected = (await source.read("acme")).version
    at.mood = "without"
    assert dict(await source.refresh("acme", rejected=rejected)) == {}


async def test_what_is_denied_is_not_there_and_told(
    at: Cloud, source: KeptCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    at.mood = "denying"
    assert dict(await source.read("acme")) == {}
    told = f"{at.store.place('acme')} cannot be read: {at.store.title}: does not let this server read {PLACES[at.name]}"
    assert told in caplog.text


async def test_a_store_that_fails_is_outlasted_and_told_in_a_sentence_without_its_words(
    at: Cloud, source: KeptCredentials, time_: WaitingClock, caplog: pytest.LogCaptureFixture
) -> None:
    read = await source.read("acme")
    at.mood = "failing"
    assert await source.refresh("acme", rejected=read.version) is read
    time_.advance(3600)
    with pytest.raises(BackendUnavailable) as raised:
        await source.read("acme")
    assert str(raised.value).startswith(f"{at.store.title}: cannot be used at the moment (")
    assert "hunter2hunter2" not in str(raised.value) + caplog.text


async def test_a_store_that_hangs_is_given_up_within_seconds(at: Cloud, source: KeptCredentials) -> None:
    at.mood = "hanging"
    began = time.monotonic()
    with pytest.raises(BackendUnavailable):
        await source.read("acme")
    assert time.monotonic() - began < 5


@pytest.mark.parametrize("text", ["hunter2hunter2", '["hunter2hunter2"]', '{"token": {"a": "hunter2hunter2"}}', "7"])
async def test_what_is_no_object_of_texts_is_told_without_being_repeated(
    at: Cloud, source: KeptCredentials, text: str
) -> None:
    at.put("acme", "version-2", text)
    with pytest.raises(MissingCredential) as raised:
        await source.read("acme")
    assert PLACES[at.name] in str(raised.value)
    assert "hunter2" not in str(raised.value)


async def test_the_libraries_log_no_secret_at_any_level(
    source: KeptCredentials, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        await source.read("acme")
    assert "first-secret-value" not in caplog.text
    assert "who-we-are" not in caplog.text
    assert not any(record.name.startswith("azure") for record in caplog.records)  # it logs every request


async def test_an_operator_is_told_where_a_field_belongs(at: Cloud, source: KeptCredentials) -> None:
    assert source.where("acme", "access_token") == f"access_token in {PLACES[at.name]} ({at.store.title})"
