"""The credential of this moment, and one more try when the vendor refuses it."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
import respx
from tests.shared.acme import ACME, Secrets, credential, read

from backoffice_shared.backend import Backend
from backoffice_shared.credentials.source import Credential, MissingCredential
from backoffice_shared.http.authorized import Authorized

pytestmark = pytest.mark.anyio

OLD = {"access_token": "old-secret"}
NEW = {"access_token": "new-secret"}


class Door:
    """A vendor that accepts one token, and notes those it saw."""

    def __init__(self, accepts: str, header: str = "Authorization") -> None:
        self.seen: list[str] = []
        self._accepts = accepts
        self._header = header
        router = respx.MockRouter(assert_all_called=False)
        router.route().mock(side_effect=self._answer)
        self.transport = httpx.MockTransport(router.async_handler)

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.seen.append(request.headers[self._header])
        return httpx.Response(200 if self.seen[-1] == self._accepts else 401)


async def test_a_request_leaves_with_the_credential_and_comes_back_without_it() -> None:
    door = Door("Bearer old-secret")
    request = read()
    response = await Authorized(door.transport, ACME, Secrets(OLD)).handle_async_request(request)
    assert (response.status_code, door.seen) == (200, ["Bearer old-secret"])
    assert "old-secret" not in str(request.headers.raw)


async def test_a_vendors_own_header_is_taken_off_too() -> None:
    def authorize(request: httpx.Request, credential: Credential) -> None:
        request.headers["X-Acme-Token"] = credential["access_token"]

    door = Door("old-secret", header="X-Acme-Token")
    request = read()
    await Authorized(door.transport, replace(ACME, authorize=authorize), Secrets(OLD)).handle_async_request(request)
    assert door.seen == ["old-secret"]
    assert "old-secret" not in str(request.headers.raw)


async def test_the_credential_is_read_for_every_request() -> None:
    door = Door("Bearer old-secret")
    secrets = Secrets(OLD)
    layer = Authorized(door.transport, ACME, secrets)
    await layer.handle_async_request(read())
    secrets.current = credential("v2", NEW)
    await layer.handle_async_request(read())
    assert door.seen == ["Bearer old-secret", "Bearer new-secret"]


async def test_a_refused_credential_is_refreshed_and_the_request_sent_once_more() -> None:
    door = Door("Bearer new-secret")
    secrets = Secrets(OLD, then=credential("v2", NEW))
    response = await Authorized(door.transport, ACME, secrets).handle_async_request(read())
    assert (response.status_code, door.seen) == (200, ["Bearer old-secret", "Bearer new-secret"])
    assert secrets.asked == {"read acme": 1, "refresh acme": 1}


async def test_a_refused_credential_that_has_not_changed_is_not_tried_again() -> None:
    door = Door("Bearer new-secret")
    response = await Authorized(door.transport, ACME, Secrets(OLD)).handle_async_request(read())
    assert (response.status_code, door.seen) == (401, ["Bearer old-secret"])


async def test_a_renewed_credential_that_is_refused_too_ends_it() -> None:
    door = Door("Bearer other")
    secrets = Secrets(OLD, then=credential("v2", NEW))
    response = await Authorized(door.transport, ACME, secrets).handle_async_request(read())
    assert (response.status_code, door.seen) == (401, ["Bearer old-secret", "Bearer new-secret"])


@pytest.mark.parametrize("fields", [{}, {"client_id": "id-value"}, {"client_secret": "secret-value"}])
async def test_a_missing_credential_is_named_by_its_fields_never_by_values(fields: dict[str, str]) -> None:
    backend: Backend = replace(
        ACME, credentials=(frozenset({"client_id", "client_secret"}), frozenset({"access_token"}))
    )
    door = Door("")
    with pytest.raises(MissingCredential) as raised:
        await Authorized(door.transport, backend, Secrets(fields)).handle_async_request(read())
    assert str(raised.value) == "Acme: has no credential configured; it needs client_id, client_secret."
    assert door.seen == []


async def test_any_sufficient_set_of_fields_will_do() -> None:
    backend = replace(ACME, credentials=(frozenset({"client_id", "client_secret"}), frozenset({"access_token"})))
    door = Door("Bearer old-secret")
    response = await Authorized(door.transport, backend, Secrets(OLD)).handle_async_request(read())
    assert response.status_code == 200
