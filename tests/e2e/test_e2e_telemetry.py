"""What operators see of a call: one trace through every process, a log that names it, and nothing that is secret."""

from __future__ import annotations

import asyncio
import io
import json
import logging
from collections.abc import Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, NamedTuple

import httpx
import pytest
from mcp_types import INVALID_PARAMS
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span
from prometheus_client.parser import text_string_to_metric_families
from pydantic import BaseModel
from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send
from tests.canaries import SANDBOXES
from tests.e2e.running import SETTINGS, command, eventually, outcome, over, platform_over, serving, serving_app
from tests.foundation import foundation

from backoffice_shared.mcp.domain import Domain, Reachable
from backoffice_shared.mcp.server import domain_server
from backoffice_shared.mcp.serving import bind
from backoffice_shared.mcp.tool import READ, tool
from backoffice_shared.telemetry.logs import handler

pytestmark = pytest.mark.anyio

TRACE, AGENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
"""The trace and the span in which an agent makes its calls."""

CUSTOMER = ("backoffice-customer", "--sandbox", "--http", "--port", "0")


class Seen(NamedTuple):
    service: str
    name: str
    kind: int
    trace: str
    parent: str


class Collector:
    """Takes spans over OTLP/HTTP, as an OpenTelemetry collector does; while it `hangs`, it takes them and never answers."""

    def __init__(self, *, hangs: bool = False) -> None:
        self.spans: dict[str, tuple[Seen, Span]] = {}
        self.received = b""
        self.hangs = hangs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        body = await (request := Request(scope, receive)).body()
        if self.hangs:
            await asyncio.get_running_loop().create_future()
        assert request.url.path == "/v1/traces"
        self.received += body
        for of_service in ExportTraceServiceRequest.FromString(body).resource_spans:
            attributes = {entry.key: entry.value.string_value for entry in of_service.resource.attributes}
            for of_scope in of_service.scope_spans:
                self._note(attributes["service.name"], of_scope.spans)
        await Response(media_type="application/x-protobuf")(scope, receive, send)

    def _note(self, service: str, spans: Any) -> None:
        for span in spans:
            seen = Seen(service, span.name, span.kind, span.trace_id.hex(), span.parent_span_id.hex())
            self.spans[span.span_id.hex()] = seen, span

    def of(self, service: str, name: str, kind: int) -> str:
        """The id of the one span of this name in the agent's trace."""
        (found,) = [
            identity
            for identity, (seen, _) in self.spans.items()
            if (seen.service, seen.name, seen.kind, seen.trace) == (service, name, kind, TRACE)
        ]
        return found

    def above(self, identity: str) -> list[str]:
        """The ids of the spans above this one, nearest first; last the one that nobody here has seen."""
        if identity not in self.spans:
            return []
        parent = self.spans[identity][0].parent
        return [parent, *self.above(parent)]


async def call(url: str, tool: str, arguments: Mapping[str, object]) -> dict[str, Any]:
    """What a call gives that an agent makes in its span, as the protocol has it: SEP-414, `traceparent` in `_meta`."""
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "agent", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
        "traceparent": f"00-{TRACE}-{AGENT}-01",
        "tracestate": "agent=of-the-test",
    }
    headers = {
        "accept": "application/json, text/event-stream",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": tool,
    }
    params = {"name": tool, "arguments": dict(arguments), "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx.AsyncClient(timeout=30) as http:
        return (await http.post(url, json=body, headers=headers)).json()


async def test_a_call_is_one_trace_from_the_agent_to_the_backend(tmp_path: Path) -> None:
    collector = Collector()
    asked_for, made_up = "somebody-asked-for", "a-name-that-somebody-made-up"
    file = tmp_path / "upstreams.yaml"
    async with serving_app(collector) as origin, command(*CUSTOMER, otlp_endpoint=origin, drain="0") as customer:
        file.write_text(f"upstreams:\n  - name: customer\n    url: {await customer.told(r'MCP at (http.+)')}\n")
        up = ("backoffice", "up", "--upstreams", str(file), "--port", "0")
        async with command(*up, otlp_endpoint=origin, drain="0") as platform:
            url = await platform.told(r"(http://127\.0\.0\.1:\d+/mcp)$")
            found = await call(url, "find_customers", {"query": f"maria {asked_for}@mail.example"})
            refused = await call(url, made_up, {"idempotency_key": asked_for})
            for running in (platform, customer):
                running.terminate()
                await running.ended()
    assert not found["result"].get("isError")
    assert refused["error"]["code"] == INVALID_PARAMS

    name = "tools/call find_customers"
    outer = collector.of("backoffice-platform", name, Span.SPAN_KIND_SERVER)
    inner = collector.of("backoffice-customer", name, Span.SPAN_KIND_SERVER)
    assert collector.above(outer) == [AGENT]
    forwarded = collector.of("backoffice-platform", name, Span.SPAN_KIND_CLIENT)
    assert collector.above(inner) == [forwarded, outer, AGENT]
    asked = {
        seen.name: span
        for seen, span in collector.spans.values()
        if seen.service == "backoffice-customer" and seen.kind == Span.SPAN_KIND_CLIENT and seen.parent == inner
    }
    assert any(name.startswith("hubspot ") for name in asked)
    assert any(name.startswith("zendesk ") for name in asked)
    for span in asked.values():
        assert {entry.key for entry in span.attributes} == {
            "http.request.method",
            "http.response.status_code",
            "server.address",
        }
    collector.of("backoffice-platform", "tools/call _other", Span.SPAN_KIND_SERVER)
    assert not any(span.events or span.status.message for _, span in collector.spans.values())
    for text in (asked_for, made_up, "maria", "of-the-test", *SANDBOXES):
        assert text.encode() not in collector.received
    print(f"{len(collector.spans)} spans, {len(collector.received)} bytes: {sorted(asked)}")


@pytest.mark.parametrize("hangs", [False, True])
async def test_without_a_collector_that_takes_them_calls_answer_and_the_loss_is_said_once(
    hangs: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OTEL_BSP_SCHEDULE_DELAY", "50")  # milliseconds between batches
    async with AsyncExitStack() as stack:
        if hangs:
            origin = await stack.enter_async_context(serving_app(Collector(hangs=True)))
        else:
            closed = bind("127.0.0.1", 0)
            origin = f"http://127.0.0.1:{closed.getsockname()[1]}"
            closed.close()
        running = await stack.enter_async_context(command(*CUSTOMER, otlp_endpoint=origin, drain="0"))
        url = await running.told(r"MCP at (http.+)")

        async def lost() -> bool:
            assert not (await call(url, "find_customers", {"query": "maria"}))["result"].get("isError")
            return await failures(url) >= (1 if hangs else 2)  # one that hangs takes as long as a batch may

        await eventually(lost)
        running.terminate()
        await running.ended()
    assert len([line for line in running.lines if "the collector takes no traces" in line]) == 1
    assert not [line for line in running.lines if "opentelemetry" in line]


async def failures(url: str) -> float:
    """Batches that the collector did not take."""
    async with httpx.AsyncClient() as http:
        text = (await http.get(url.replace("/mcp", "/metrics"))).text
    return sum(
        sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "mcp_trace_export_failures_total"
    )


async def test_an_endpoint_that_is_no_url_keeps_the_server_from_starting() -> None:
    code, _, told = await outcome(*CUSTOMER, otlp_endpoint="collector:4318")
    assert code == 2
    assert told.splitlines()[-1].startswith("Error: BACKOFFICE_OTLP_ENDPOINT is not an http(s) URL.")


# The log


class Nothing(BaseModel):
    """What it would have given."""


@tool(READ, scope="desk:read")
async def stumble() -> Nothing:
    """Fail in a way that nobody foresaw."""
    raise RuntimeError("this is why")


DESK = Domain("desk", "Desk", "", (stumble,), (), assemble=lambda _clients, _settings, _state: object())


async def test_what_a_server_logs_of_a_call_names_the_trace_of_the_agent() -> None:
    stream = io.StringIO()
    attached = handler(stream, "json")
    log = logging.getLogger("backoffice.tools")
    log.addHandler(attached)
    try:
        server = domain_server(DESK, Reachable(), SETTINGS, foundation())
        async with serving(server) as url, platform_over(*over(url)) as above:
            await call(above, "stumble", {})
    finally:
        log.removeHandler(attached)
    (line,) = map(json.loads, stream.getvalue().splitlines())
    assert line["trace_id"] == TRACE
    assert line["message"].startswith("stumble failed unexpectedly [")
    assert line["exception"].endswith("RuntimeError: this is why")


async def test_everything_that_a_server_says_is_json_where_machines_read_the_log() -> None:
    async with command(*CUSTOMER, log_format="json", log_level="DEBUG", drain="0") as running:
        url = await running.told(r'"MCP at (http[^"]+)"')
        await call(url, "find_customers", {"query": "maria"})
        running.terminate()
        await running.ended()
    said = [json.loads(line) for line in running.lines]
    assert {entry["logger"].split(".")[0] for entry in said if "logger" in entry} == {"backoffice"}
    operator = [entry["message"] for entry in said if entry.get("logger") == "backoffice.operator"]
    assert operator == ["Backoffice customer server: 15 of 15 tools", f"MCP at {url}"]
    assert [entry["trace_id"] for entry in said if entry.get("event") == "tool.call"] == [TRACE]


async def test_what_keeps_a_server_from_starting_is_said_to_machines_too() -> None:
    code, _, told = await outcome(*CUSTOMER, "--host", "192.0.2.1", log_format="json", log_level="ERROR")
    assert code == 2
    assert json.loads(told.splitlines()[-1])["message"].startswith("Error: ")
