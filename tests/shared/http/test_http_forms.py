"""How a request is made where a vendor wants it otherwise: a form, the key in the query, options in headers."""

from __future__ import annotations

from dataclasses import replace

import httpx
import pytest
from tests.shared.acme import ACME, Secrets, requests, scripted
from tests.shared.clocks import ManualClock

from backoffice_shared.errors import InvalidInput
from backoffice_shared.http.client import BackendClient, connect

pytestmark = pytest.mark.anyio

MADE = httpx.Response(200, json={"id": "1"})


def client(wire: httpx.AsyncBaseTransport, clock: ManualClock, **changed: object) -> BackendClient:
    options = changed.pop("options", {})
    backend = replace(ACME, **changed)  # pyright: ignore[reportArgumentType]
    assert isinstance(options, dict)
    return connect(
        backend,
        wire,
        Secrets({"access_token": "s3cret"}),
        base_url=backend.base_url,
        options=options,  # pyright: ignore[reportUnknownArgumentType]
        clock=clock,
    )


async def test_a_form_is_sent_as_one_and_nothing_in_it_can_add_a_field(clock: ManualClock):
    route, wire = scripted(MADE)
    await client(wire, clock).write(
        "things.add", "/things", into=len, form={"name": "a&b=c", "lines[0][amount]": "5", "expand[]": ["x", "y"]}
    )
    request = requests(route)[0]
    assert request.headers["Content-Type"] == "application/x-www-form-urlencoded"
    assert request.content == b"name=a%26b%3Dc&lines%5B0%5D%5Bamount%5D=5&expand%5B%5D=x&expand%5B%5D=y"


async def test_a_key_may_travel_in_the_query_and_makes_the_write_repeatable(clock: ManualClock):
    route, wire = scripted(httpx.ReadError, MADE)
    acme = client(wire, clock, idempotency_header=None, idempotency_parameter="requestid")
    await acme.write("things.add", "/things", into=len, params={"minorversion": "75"}, json={}, key="k-1")
    sent = requests(route)
    assert [dict(request.url.params) for request in sent] == [{"minorversion": "75", "requestid": "k-1"}] * 2
    assert "Idempotency-Key" not in sent[0].headers


async def test_headers_say_the_options_they_name_and_those_that_would_be_empty_are_not_sent(clock: ManualClock):
    headers = {"Tenant": "{tenant}", "Account": "{account}", "Version": "7"}
    route, wire = scripted(MADE)
    acme = client(wire, clock, headers=headers, options={"tenant": "t-1"}, optional={"account": ""})
    await acme.read("things.get", "/things", into=len)
    sent = requests(route)[0].headers
    assert (sent["Tenant"], sent["Version"], "Account" in sent) == ("t-1", "7", False)


@pytest.mark.parametrize("tenant", ["a\r\nX-Evil: 1", "tenänt", "a\x00"])
async def test_an_option_that_is_no_header_is_refused_at_start(clock: ManualClock, tenant: str):
    _, wire = scripted()
    with pytest.raises(InvalidInput, match="cannot be sent in a header"):
        client(wire, clock, headers={"Tenant": "{tenant}"}, options={"tenant": tenant})
