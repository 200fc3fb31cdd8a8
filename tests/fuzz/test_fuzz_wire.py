"""Whatever bytes come, in either era, the server says what is wrong with them and goes on answering."""

from __future__ import annotations

import json
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.e2e.running import billing_server, customer_server, over, platform_over, serving
from tests.foundation import Records
from tests.fuzz.arguments import ANY

from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.mcp.serving import LARGEST_REQUEST

pytestmark = pytest.mark.anyio

META = {
    "io.modelcontextprotocol/protocolVersion": "2026-07-28",
    "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
    "io.modelcontextprotocol/clientCapabilities": {},
}
JSON = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
ERAS = {
    "modern": {
        **JSON,
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "find_customers",
    },
    "legacy": JSON,
}


def call(arguments: str) -> bytes:
    """A call of find_customers with these arguments, as they are written."""
    params = f'{{"name":"find_customers","arguments":{arguments},"_meta":{json.dumps(META)}}}'
    return f'{{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{params}}}'.encode()


GOOD = call('{"query":"femi"}')

BODIES: dict[str, bytes] = {
    "nothing": b"",
    "no JSON": b"hello",
    "half of it": GOOD[:80],
    "no UTF-8": GOOD.replace(b"femi", b"\xc3\x28"),
    "only bytes": bytes(range(256)),
    "null": b"null",
    "a number": b"1",
    "a list": b"[]",
    "a batch": b"[" + GOOD + b"," + GOOD + b"]",
    "no method": b'{"jsonrpc":"2.0","id":1}',
    "another version": GOOD.replace(b'"2.0"', b'"1.0"'),
    "a number of five thousand digits": call('{"limit":' + "9" * 5_000 + "}"),
    "lists in lists in lists": call('{"query":' + "[" * 200_000 + "]" * 200_000 + "}"),
    "objects in objects": call('{"query":' + '{"a":' * 100_000 + "1" + "}" * 100_000 + "}"),
    "lists that nobody closes": b"[" * 500_000,
    "arguments that are a list": call("[]"),
    "arguments that are a text": call('"x"'),
    "no name": GOOD.replace(b'"name":"find_customers",', b""),
    "a name that is none": GOOD.replace(b'"name":"find_customers"', b'"name":{}'),
    "no parameters": b'{"jsonrpc":"2.0","id":1,"method":"tools/call"}',
    "another method": GOOD.replace(b"tools/call", b"tools/cull"),
    "more than it takes": b" " * LARGEST_REQUEST + GOOD,
}

SAID_AS_JSON_DOES_NOT: dict[str, str] = {
    "no number": '{"query":NaN}',
    "an infinite number": '{"limit":Infinity}',
    "a number beyond all": '{"limit":1e999}',
    "half of a character": r'{"query":"\ud83d"}',
    "half of a character in a name": r'{"\ud83d":"x"}',
    **{
        f"{levels} levels": f'{{"query":{"[" * levels}{"]" * levels}}}'
        for levels in (33, 150, 600, *range(900, 980, 3))
    },
}


@dataclass(frozen=True)
class Words:
    """What a server calls a search by text, and whom a text finds. Bytes are written for the first one."""

    tool: str = "find_customers"
    field: str = "query"
    text: str = "femi"
    found: str = "Femi"

    def instead(self, body: bytes) -> bytes:
        """The same, in these words."""
        for mine, theirs in ((self.tool, "find_customers"), (self.field, "query"), (self.text, "femi")):
            body = body.replace(theirs.encode(), mine.encode())
        return body


BILLING = Words("search_invoices", "number", "NW-1004", "Rosa Jensen")


@dataclass
class Wire:
    http: httpx.AsyncClient
    url: str
    audit: Records
    words: Words

    async def post(self, body: bytes, headers: Mapping[str, str]) -> httpx.Response:
        named = {"mcp-name": self.words.tool} if "mcp-name" in headers else {}
        return await self.http.post(self.url, content=self.words.instead(body), headers={**headers, **named})

    async def must_answer(self) -> None:
        """As if nothing had been."""
        for headers in ERAS.values():
            answer = message(await self.post(GOOD, headers))
            assert self.words.found in json.dumps(obj(answer["result"])["structuredContent"])


def message(response: httpx.Response) -> dict[str, Any]:
    """The JSON-RPC message in the answer of either era. Empty when there is none."""
    if response.headers.get("content-type", "").startswith("text/event-stream"):
        [data] = [line.removeprefix("data: ") for line in response.text.splitlines() if line.startswith("data: {")]
        return obj(json.loads(data))
    is_json = response.headers.get("content-type") == "application/json" and response.content
    return obj(response.json()) if is_json else {}


def damaged(at: int, by: bytes) -> bytes:
    return GOOD[:at] + by + GOOD[at + 1 :]


def dumped(value: object) -> bytes:
    return json.dumps(value).encode()


@asynccontextmanager
async def opened(what: str) -> AsyncGenerator[Wire]:
    audit, words = Records(), BILLING if what == "the billing server" else Words()
    behind = what == "the platform"
    server = (billing_server if words is BILLING else customer_server)(None if behind else audit)
    async with serving(server) as url, httpx.AsyncClient() as http:
        if not behind:
            yield Wire(http, url, audit, words)
            return
        async with platform_over(*over(url), sink=audit) as above:
            yield Wire(http, above, audit, words)


@pytest.fixture(scope="module", params=["a domain server", "the billing server", "the platform"])
async def wire(request: pytest.FixtureRequest) -> AsyncGenerator[Wire]:
    async with opened(request.param) as at:
        yield at


@pytest.mark.parametrize("era", ERAS)
async def test_what_is_no_request_is_refused_and_the_next_one_answered(wire: Wire, era: str):
    kept = len(wire.audit.written)
    for name, body in BODIES.items():
        answer = await wire.post(body, ERAS[era])
        error = obj(message(answer).get("error"))
        assert answer.status_code in (400, 404, 413) or error.get("code") in (-32600, -32601, -32602, -32700), name
        assert len(answer.content) < 2_000, name
        assert error.get("code") != -32603, name
    assert len(wire.audit.written) == kept
    await wire.must_answer()


@pytest.mark.parametrize("era", ERAS)
async def test_what_json_cannot_say_is_refused_by_name_and_recorded(wire: Wire, era: str):
    for name, arguments in SAID_AS_JSON_DOES_NOT.items():
        kept = len(wire.audit.written)
        answer = message(await wire.post(call(arguments), ERAS[era]))
        if obj(answer.get("error")).get("code") == -32700:
            continue  # the protocol's own reader would not have it
        result = obj(answer.get("result"))
        assert result.get("isError"), (name, answer)
        assert obj(arr(result["content"])[0])["text"].startswith((f"{wire.words.field}: ", "limit: ", "?: ")), name
        assert len(wire.audit.written) == kept + 1, name
    await wire.must_answer()


@pytest.mark.parametrize("kind", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", "*/*"])
async def test_what_does_not_say_that_it_is_json_is_refused(wire: Wire, kind: str):
    for headers in ERAS.values():
        answer = await wire.post(GOOD, {**headers, "content-type": kind})
        assert 400 <= answer.status_code < 500
    await wire.must_answer()


async def test_of_a_name_that_is_given_twice_one_value_is_used_and_recorded(wire: Wire):
    kept = len(wire.audit.written)
    answer = message(await wire.post(call('{"query":"nobody at all","query":"femi"}'), ERAS["modern"]))
    words = wire.words
    assert words.found in json.dumps(answer["result"])
    assert [record["args"] for record in wire.audit.written[kept:]] == [{words.field: words.text}]


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=300) | st.builds(damaged, st.integers(0, len(GOOD)), st.binary(max_size=2)) | ANY.map(dumped))
async def test_no_bytes_break_it(wire: Wire, body: bytes):
    for headers in ERAS.values():
        answer = await wire.post(body, headers)
        assert answer.status_code < 500
        assert obj(message(answer).get("error")).get("code") != -32603
