"""What passes through the platform unchanged, what it adds, and what it keeps to itself."""

from __future__ import annotations

from typing import Any

import httpx
import httpx2
import pytest
from mcp.client import Client
from mcp.client.streamable_http import streamable_http_client
from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolRequestParams, ElicitRequestParams, ElicitResult, TextContent
from starlette.responses import Response
from tests.e2e.running import SETTINGS, eventually, over, platform, platform_over, serving, serving_app
from tests.foundation import Records
from tests.platform.handmade import HandMade, Hung, composed, error_of, fails, names, says, sentence, text, tool

from backoffice_shared.mcp.tool import pinned

pytestmark = pytest.mark.anyio

DEADLINE = "dev.backoffice/deadlineMs"
ERAS = pytest.mark.parametrize("era", ["auto", "legacy"])


@ERAS
async def test_progress_reaches_the_caller(era: Any) -> None:
    upstream = MCPServer[Any]("counting")

    @upstream.tool()
    async def count(ctx: Context[Any, Any]) -> str:  # pyright: ignore[reportUnusedFunction]
        for number in (1, 2, 3):
            await ctx.report_progress(number, 3, f"number {number}")
        return "counted"

    told: list[tuple[float, float | None, str | None]] = []

    async def note(progress: float, total: float | None, message: str | None) -> None:
        told.append((progress, total, message))

    async with serving(upstream) as url, platform_over(*over(url)) as above, Client(above, mode=era) as client:
        counted = await client.call_tool("count", {}, progress_callback=note)
    assert counted.content == [TextContent(type="text", text="counted")]
    assert told == [(1, 3, "number 1"), (2, 3, "number 2"), (3, 3, "number 3")]


@ERAS
async def test_the_callers_meta_and_arguments_reach_the_upstream_and_its_token_does_not(era: Any) -> None:
    upstream = HandMade("x")
    secrets = {"Authorization": "Bearer of-the-caller", "Cookie": "session=of-the-caller", "X-Api-Key": "of-the-caller"}
    async with (
        serving_app(upstream) as origin,
        platform_over(*over(origin)) as url,
        httpx2.AsyncClient(headers=secrets) as http,
        Client(streamable_http_client(url, http_client=http), mode=era) as client,
    ):
        arguments = {"text": "Zoë 🙂", "nested": {"list": [1, 2.5, None, True]}}
        meta: Any = {"io.modelcontextprotocol/case": {"number": 7}, "com.example/token": "of-the-caller"}
        answer = await client.call_tool("read_x", arguments, meta=meta)
    assert sentence(answer) == "x did read_x"
    [call] = upstream.calls()
    assert call.body["params"]["arguments"] == arguments
    assert call.body["params"]["_meta"]["io.modelcontextprotocol/case"] == {"number": 7}
    assert call.body["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
    assert (call.headers["mcp-method"], call.headers["mcp-name"]) == ("tools/call", "read_x")
    assert "of-the-caller" not in str(upstream.asked)


@pytest.mark.parametrize(("asked", "most"), [(None, SETTINGS.deadline), (2_000, 2), (3_600_000, SETTINGS.deadline)])
async def test_the_upstream_is_told_how_long_the_call_may_still_take(asked: int | None, most: float) -> None:
    upstream = HandMade("x")
    async with composed(upstream) as client:
        await client.call_tool("read_x", {}, meta=None if asked is None else {DEADLINE: asked})
    [call] = upstream.calls()
    assert most * 500 < call.body["params"]["_meta"][DEADLINE] <= most * 1_000


async def test_the_callers_deadline_ends_a_read_in_the_middle_and_the_upstream_sees_its_caller_go() -> None:
    hung = Hung()
    async with composed(HandMade("x", called=hung)) as client:
        refused = error_of(await client.call_tool("read_x", {}, meta={DEADLINE: 200}))
        await eventually(lambda: hung.waiting == 0)
    assert refused["code"] in ("deadline_exceeded", "backend_unavailable")
    assert refused["retryable"]


async def test_a_write_that_the_deadline_cuts_off_may_have_been_done() -> None:
    async with composed(HandMade("x", called=Hung())) as client:
        refused = error_of(await client.call_tool("write_x", {"idempotency_key": "order-7"}, meta={DEADLINE: 200}))
    assert (refused["code"], refused["retryable"], refused.get("idempotency_key")) == (
        "outcome_unknown",
        False,
        "order-7",
    )


async def test_a_prefix_is_added_to_the_list_and_taken_off_the_call() -> None:
    upstream = HandMade("x")
    async with composed(upstream, prefix="wiki_") as client:
        assert await names(client) == ["wiki_read_x", "wiki_write_x"]
        assert sentence(await client.call_tool("wiki_read_x", {})) == "x did read_x"
        with pytest.raises(MCPError, match="Unknown tool: read_x"):
            await client.call_tool("read_x", {})
    [call] = upstream.calls()
    assert (call.body["params"]["name"], call.headers["mcp-name"]) == ("read_x", "read_x")


async def test_where_two_upstreams_have_a_name_the_first_has_the_calls() -> None:
    listed = says({"tools": [tool("read")]})
    async with composed(HandMade("x", listed=listed), HandMade("y", listed=listed)) as client:
        assert await names(client) == ["read"]
        assert sentence(await client.call_tool("read", {})) == "x did read"


@ERAS
@pytest.mark.parametrize("status", [200, 400, 404])
async def test_an_error_of_the_upstream_is_passed_on_as_it_is(era: Any, status: int) -> None:
    answer = fails(-32042, "the wiki is being painted", {"colour": "green"}, status)
    async with composed(HandMade("x", called=answer), mode=era) as client:
        with pytest.raises(MCPError) as caught:
            await client.call_tool("read_x", {})
    error = caught.value.error
    assert (error.code, error.message, error.data) == (-32042, "the wiki is being painted", {"colour": "green"})


@ERAS
async def test_a_refusal_and_a_result_of_the_upstream_are_passed_on_as_they_are(era: Any) -> None:
    refusal = {**text("no such page"), "isError": True, "structuredContent": {"error": {"code": "not_found"}}}
    rich = {
        "content": [{"type": "text", "text": "seen", "annotations": {"priority": 0.5}}],
        "structuredContent": {"rows": [1, 2], "more": None},
        "_meta": {"com.example/rows": 2},
    }
    upstream = HandMade("x", called=says(refusal))
    async with composed(upstream, mode=era) as client:
        refused = await client.call_tool("read_x", {})
        upstream.called = says(rich)
        seen = await client.call_tool("read_x", {})
    assert refused.is_error
    assert (sentence(refused), refused.structured_content) == ("no such page", refusal["structuredContent"])
    dumped = seen.model_dump(by_alias=True, mode="json", exclude_unset=True)
    assert (dumped["content"], seen.structured_content, dumped["_meta"]["com.example/rows"]) == (
        rich["content"],
        rich["structuredContent"],
        2,
    )


async def test_a_question_of_the_upstream_reaches_the_human_and_the_answer_comes_back() -> None:
    async def closing(asked: dict[str, Any]) -> Response:
        params = CallToolRequestParams.model_validate(asked["params"])
        if not params.input_responses:
            schema = {"type": "object", "properties": {"sure": {"type": "boolean"}}}
            question = {"method": "elicitation/create", "params": {"message": "Sure?", "requestedSchema": schema}}
            wanted = {"resultType": "input_required", "inputRequests": {"q": question}, "requestState": "s-1"}
            return await says(wanted)(asked)
        return await says(text(f"{asked['params']['inputResponses']['q']} {asked['params']['requestState']}"))(asked)

    async def human(context: Any, params: ElicitRequestParams) -> ElicitResult:
        assert params.message == "Sure?"
        return ElicitResult(action="accept", content={"sure": True})

    async with (
        serving_app(HandMade("x", called=closing)) as origin,
        platform_over(*over(origin)) as url,
        Client(url, elicitation_callback=human) as client,
    ):
        assert "'sure': True" in (told := sentence(await client.call_tool("write_x", {})))
        assert told.endswith("s-1")


@pytest.mark.parametrize(
    ("broke", "code"),
    [
        pytest.param(httpx.ConnectError("refused"), "backend_unavailable", id="refused"),
        pytest.param(httpx.ConnectTimeout("no handshake"), "backend_unavailable", id="no handshake"),
        pytest.param(httpx.PoolTimeout("none is free"), "backend_unavailable", id="no connection free"),
        pytest.param(httpx.ReadError("reset"), "outcome_unknown", id="reset"),
        pytest.param(httpx.ReadTimeout("silence"), "outcome_unknown", id="silence"),
        pytest.param(httpx.WriteError("reset"), "outcome_unknown", id="reset while sending"),
        pytest.param(httpx.RemoteProtocolError("closed"), "outcome_unknown", id="closed"),
    ],
)
async def test_a_write_that_never_left_may_be_repeated_and_one_that_did_may_not(
    broke: httpx.TransportError, code: str
) -> None:
    upstream = HandMade("x")

    async def breaking(request: httpx.Request) -> httpx.Response:
        if request.headers["mcp-method"] == "tools/call":
            raise broke
        return await httpx.ASGITransport(upstream).handle_async_request(request)

    server = platform(*over("http://x.example"), transport=lambda: httpx.MockTransport(breaking))
    async with Client(server) as client:
        wrote = error_of(await client.call_tool("write_x", {"idempotency_key": "order-7"}))
        read = error_of(await client.call_tool("read_x", {}))
    assert wrote["code"] == code
    assert wrote.get("idempotency_key") == "order-7"
    assert read["code"] == "backend_unavailable"


async def test_what_a_strangers_server_says_comes_without_hidden_characters_and_marked_as_a_strangers() -> None:
    async with composed(HandMade("x", called=says(text("all\u200b \u202ewell")))) as client:
        answer = await client.call_tool("read_x", {})
    assert sentence(answer) == "all well"
    assert (answer.meta or {})["dev.backoffice/provenance"] == {"server": "upstream-1", "trusted": False}
    failing = fails(-32000, "no\u200bthing \x1b[2Jhere", {"why": "\u202eno"})
    async with composed(HandMade("x", called=failing)) as client:
        with pytest.raises(MCPError) as raised:
            await client.call_tool("read_x", {})
    assert (raised.value.error.message, raised.value.error.data) == ("nothing here", {"why": "no"})


async def test_the_record_of_a_strangers_tool_names_it_as_it_was_shown() -> None:
    audit, upstream = Records(), HandMade("x")
    async with serving_app(upstream) as origin, platform_over(*over(origin), sink=audit) as url, Client(url) as client:
        shown = {tool.name: pinned(tool) for tool in (await client.list_tools()).tools}
        await client.call_tool("read_x", {})
    assert audit.told("tool", "tool_pin") == [("read_x", shown["read_x"])]
