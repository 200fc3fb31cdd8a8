"""An upstream that is down, hung or out of its mind is alone in it: the others are as they were, and it may come back."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, suppress
from typing import Any

import httpx
import pytest
from mcp.client import Client
from mcp.client.subscriptions import ToolsListChanged
from mcp.shared.exceptions import MCPError
from starlette.responses import Response, StreamingResponse
from tests.e2e.running import eventually, over, platform, platform_over, serving_app
from tests.platform.handmade import (
    Answer,
    HandMade,
    Hung,
    composed,
    cut,
    error_of,
    fails,
    names,
    raw,
    says,
    sentence,
    text,
    tool,
)

pytestmark = pytest.mark.anyio

READY = b'{"jsonrpc":"2.0","id":1,"result":{}}'
NONSENSE: dict[str, Answer] = {
    "garbage": raw(b"\x00\xff<html>"),
    "nothing": raw(b""),
    "half of the JSON": raw(b'{"jsonrpc": "2.0", "id": 1, "result": {"content": ['),
    "another shape": raw(b'{"result": "none"}'),
    "a list": raw(b"[1, 2]"),
    "HTTP 500": raw(b"Internal Server Error", "text/plain", 500),
    "HTTP 500 in JSON": raw(b'{"detail": "Internal Server Error"}', status=500),
    "a redirect": raw(b"", status=307, location="http://127.0.0.1:1/"),
    "events that break off": cut(b'event: message\ndata: {"jsonrpc": "2.0", "id"'),
    "events without an answer": raw(
        b'data: {"jsonrpc":"2.0","method":"notifications/message"}\n\n', "text/event-stream"
    ),
    "events of garbage": raw(b"data: <html>\n\n", "text/event-stream"),
    "JSON that breaks off": cut(READY[:20], "application/json"),
    "an error whose code is a word": fails("oops", "I am not well"),
    "an error whose code is null": fails(None, "I am not well"),
    "compressed garbage": raw(b"garbage", content_encoding="gzip"),
    "JSON too deep to read": raw(b"[" * 200_000),
}


# Down, and back


def port_of(origin: str) -> int:
    return int(origin.rpartition(":")[2])


async def test_an_upstream_that_dies_keeps_its_place_and_works_again_when_it_is_back() -> None:
    left, right = HandMade("left"), HandMade("right")
    async with serving_app(left) as at_left, AsyncExitStack() as life:
        at_right = await life.enter_async_context(serving_app(right))
        async with platform_over(*over(at_left, at_right)) as url, Client(url) as client:
            await life.aclose()
            died = await client.call_tool("read_right", {})
            told = "upstream-2: cannot be reached. The other tools work. Try again in a moment, or go on without it."
            assert sentence(died) == told
            assert error_of(died) == {
                "code": "backend_unavailable",
                "message": told,
                "retryable": True,
                "source": "upstream-2",
            }
            assert await names(client) == ["read_left", "write_left", "read_right", "write_right"]
            assert sentence(await client.call_tool("read_left", {})) == "left did read_left"
            async with serving_app(right, port=port_of(at_right)):
                assert sentence(await client.call_tool("read_right", {})) == "right did read_right"


async def test_an_upstream_that_was_down_at_the_start_appears_and_subscribers_are_told() -> None:
    with socket.socket() as reserved:
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
    left, right = HandMade("left"), HandMade("right")
    async with (
        serving_app(left) as at_left,
        platform_over(*over(at_left, f"http://127.0.0.1:{port}")) as url,
        Client(url) as client,
        client.listen(tools_list_changed=True) as changes,
    ):
        assert await names(client) == ["read_left", "write_left"]
        async with serving_app(right, port=port):
            assert await anext(changes) == ToolsListChanged()
            assert await names(client) == ["read_left", "write_left", "read_right", "write_right"]
            assert sentence(await client.call_tool("read_right", {})) == "right did read_right"


async def test_calls_to_an_upstream_that_cannot_be_reached_are_soon_refused_without_asking_it() -> None:
    left, right = HandMade("left"), HandMade("right")
    async with serving_app(left) as at_left, AsyncExitStack() as life:
        at_right = await life.enter_async_context(serving_app(right))
        async with platform_over(*over(at_left, at_right)) as url, Client(url) as client:
            await life.aclose()
            codes = [error_of(await client.call_tool("read_right", {}))["code"] for _ in range(6)]
            assert codes == ["backend_unavailable"] * 5 + ["circuit_open"]
            assert sentence(await client.call_tool("read_left", {})) == "left did read_left"


async def test_bad_answers_are_no_failed_connections_five_of_which_would_be_enough() -> None:
    async with composed(HandMade("x", called=raw(b"", status=500))) as client:
        codes = [error_of(await client.call_tool("read_x", {}))["code"] for _ in range(8)]
    assert codes == ["backend_unavailable"] * 8


async def test_callers_in_a_hurry_do_not_close_an_upstream_to_the_others() -> None:
    hung = Hung()

    async def called(asked: dict[str, Any]) -> Response:
        return await (hung if asked["params"]["name"] == "read_x" else says(text("done")))(asked)

    async with composed(HandMade("x", called=called)) as client:
        hurried: Any = {"dev.backoffice/deadlineMs": 100}
        await asyncio.gather(*(client.call_tool("read_x", {}, meta=hurried) for _ in range(30)))
        assert sentence(await client.call_tool("write_x", {})) == "done"


async def test_an_upstream_that_fails_every_call_is_left_alone_although_it_lists_its_tools() -> None:
    upstream = HandMade("x", called=raw(b"", status=500))
    async with composed(upstream) as client:
        for _ in range(25):
            asked = len(upstream.asked)
            if error_of(await client.call_tool("read_x", {}))["code"] == "circuit_open":
                return
            await eventually(lambda asked=asked: len(upstream.asked) == asked + 2)
    raise AssertionError("25 calls have failed, and it is still asked")


@pytest.mark.parametrize("answer", [raw(b"", status=500), fails(-32602, "Unknown tool: read_x")])
async def test_a_call_that_goes_wrong_asks_for_a_new_list(answer: Answer) -> None:
    upstream = HandMade("x", called=answer)
    async with composed(upstream) as client, client.listen(tools_list_changed=True) as changes:
        assert await names(client) == ["read_x", "write_x"]
        upstream.listed = says({"tools": [tool("read_y")]})
        with suppress(MCPError):
            await client.call_tool("read_x", {})
        assert await anext(changes) == ToolsListChanged()
        assert await names(client) == ["read_y"]


async def test_however_long_an_upstream_was_ill_it_is_asked_again() -> None:
    failures = 1_100  # less than five hours, at one in fifteen seconds
    listed, well = asyncio.Event(), [True, False]

    async def upstream(request: httpx.Request) -> httpx.Response:
        asked = json.loads(request.content)
        answer: Answer = fails(-32000, "ill")
        if asked["method"] == "tools/list":
            listed.set()
            if well[0]:
                answer = says({"tools": [tool("read_x"), *([tool("read_y")] if well[1] else [])]})
        return httpx.Response(200, content=bytes((await answer(asked)).body))

    server = platform(*over("http://x.example"), transport=lambda: httpx.MockTransport(upstream))
    async with Client(server) as client, client.listen(tools_list_changed=True) as changes:
        for well[0], well[1] in [*[(False, False)] * failures, (True, True)]:
            listed.clear()
            with pytest.raises(MCPError, match="ill"):
                await client.call_tool("read_x", {})
            async with asyncio.timeout(3):
                await listed.wait()
        assert await anext(changes) == ToolsListChanged()
        assert await names(client) == ["read_x", "read_y"]


# Out of its mind


@pytest.mark.parametrize("answer", [pytest.param(answer, id=name) for name, answer in NONSENSE.items()])
async def test_an_answer_that_is_none_is_a_refusal_and_a_write_may_have_been_done(answer: Answer) -> None:
    left, right = HandMade("left"), HandMade("right", called=answer)
    async with composed(left, right) as client:
        read = error_of(await client.call_tool("read_right", {}))
        wrote = error_of(await client.call_tool("write_right", {"idempotency_key": "order-7"}))
        assert (read["code"], read["source"]) == ("backend_unavailable", "upstream-2")
        assert (wrote["code"], wrote["source"], wrote["idempotency_key"]) == (
            "outcome_unknown",
            "upstream-2",
            "order-7",
        )
        assert "may or may not have been carried out" in wrote["message"]
        assert len(right.calls()) == 2, "neither was repeated"
        assert sentence(await client.call_tool("read_left", {})) == "left did read_left"


async def test_progress_without_a_number_does_not_break_the_call() -> None:
    events = b'data: {"jsonrpc":"2.0","method":"notifications/progress","params":{}}\n\n'

    async def answer(asked: dict[str, Any]) -> Response:
        good = await says(text("done"))(asked)
        return Response(events + b"data: " + bytes(good.body) + b"\n\n", media_type="text/event-stream")

    async def told(progress: float, total: float | None, message: str | None) -> None:
        raise AssertionError(f"{progress} of {total}: {message}")

    async with (
        serving_app(HandMade("x", called=answer)) as origin,
        platform_over(*over(origin)) as url,
        Client(url) as client,
    ):
        assert sentence(await client.call_tool("read_x", {}, progress_callback=told)) == "done"


UNLISTED = {
    **NONSENSE,
    "tools that are none": says({"tools": "none"}),
    "an error": fails(-32000, "not today"),
    "no tools at all": fails(-32601, "no such method", status=404),
}


async def test_a_list_that_is_none_keeps_nobody_from_starting_and_is_asked_for_again() -> None:
    sane = HandMade("sane")
    insane = [HandMade(f"x{number}", listed=answer) for number, answer in enumerate(UNLISTED.values())]
    async with composed(sane, *insane) as client, client.listen(tools_list_changed=True) as changes:
        assert await names(client) == ["read_sane", "write_sane"]
        for upstream in insane:
            upstream.listed = None
        while len(await names(client)) < 2 * (1 + len(insane)):
            assert await anext(changes) == ToolsListChanged()


@pytest.mark.parametrize(
    "bad",
    [
        {"description": "nameless"},
        {**tool("bad"), "name": "bad\n\u202ename"},
        {**tool("bad"), "name": "x" * 129},
        {**tool("bad"), "description": "x" * 8_001},
        {**tool("bad"), "inputSchema": {"type": "object", "properties": {"a": {"x-mcp-header": "X\r\nEvil: 1"}}}},
    ],
)
async def test_one_bad_tool_costs_itself_and_not_the_list(bad: dict[str, Any]) -> None:
    upstream = HandMade("x", listed=says({"tools": [bad, tool("read_x")]}))
    async with composed(upstream) as client:
        assert await names(client) == ["read_x"]


@pytest.mark.parametrize("mode", ["auto", "legacy"])
async def test_what_one_era_cannot_read_is_kept_from_it(mode: Any) -> None:
    odd = {**tool("read_x"), "description": "half \ud800 char", "outputSchema": {"type": "array"}}

    async def listed(asked: dict[str, Any]) -> Response:
        body = {"jsonrpc": "2.0", "id": asked["id"], "result": {"tools": [odd]}}
        return Response(json.dumps(body), media_type="application/json")

    async with (
        serving_app(HandMade("x", listed=listed)) as origin,
        platform_over(*over(origin)) as url,
        Client(url, mode=mode) as client,
    ):
        (only,) = (await client.list_tools()).tools
        assert (only.description, only.output_schema) == ("half ? char", None)


async def test_a_result_that_no_model_could_use_is_refused_with_what_to_do() -> None:
    upstream = HandMade("x", called=says(text("x" * 300_000)))
    async with composed(upstream) as client:
        refused = error_of(await client.call_tool("read_x", {}))
    assert refused["code"] == "too_large"
    assert "Ask for less" in refused["message"]


async def test_events_without_end_are_not_kept() -> None:
    async def endless(asked: dict[str, Any]) -> Response:
        async def one_line() -> AsyncIterator[bytes]:
            yield b"data: "
            while True:
                yield b"x" * 65_536
                await asyncio.sleep(0)  # so that the server can see its caller go

        return StreamingResponse(one_line(), media_type="text/event-stream")

    async with (
        serving_app(HandMade("x", called=endless)) as origin,
        platform_over(*over(origin)) as url,
        Client(url) as client,
    ):
        assert error_of(await client.call_tool("read_x", {}))["code"] == "too_large"


@pytest.mark.parametrize("status", [401, 403, 404, 421])
@pytest.mark.parametrize(
    ("body", "kind"), [(b"go away", "text/plain"), (b'{"error": "invalid_token"}', "application/json")]
)
async def test_an_upstream_that_does_not_let_us_in_did_nothing(status: int, body: bytes, kind: str) -> None:
    upstream = HandMade("x", called=raw(body, kind, status))
    async with composed(upstream) as client:
        wrote = error_of(await client.call_tool("write_x", {"idempotency_key": "order-7"}))
    assert wrote["code"] == "backend_unavailable"
    assert f"it answered {status}" in wrote["message"]


async def test_a_name_that_is_listed_twice_is_one_tool() -> None:
    upstream = HandMade("x", listed=says({"tools": [tool("read_x"), tool("read_x"), tool("read_y")]}))
    async with composed(upstream) as client:
        assert await names(client) == ["read_x", "read_y"]
        assert sentence(await client.call_tool("read_x", {})) == "x did read_x"


async def test_a_list_of_several_pages_is_read_to_its_end() -> None:
    async def listed(asked: dict[str, Any]) -> Response:
        page = int(asked["params"].get("cursor", "0"))
        more = {"nextCursor": str(page + 1)} if page < 2 else {}
        return await says({"tools": [tool(f"read_{page}")], **more})(asked)

    upstream = HandMade("x", listed=listed)
    async with composed(upstream) as client:
        assert await names(client) == ["read_0", "read_1", "read_2"]


async def test_a_list_without_end_keeps_nobody_from_starting() -> None:
    async def listed(asked: dict[str, Any]) -> Response:
        page = int(asked["params"].get("cursor", "0"))
        return await says({"tools": [tool("read_right")], "nextCursor": str(page + 1)})(asked)

    left, right = HandMade("left"), HandMade("right", listed=listed)
    async with asyncio.timeout(2), composed(left, right) as client:
        assert sentence(await client.call_tool("read_left", {})) == "left did read_left"


# Hung


async def test_a_hung_upstream_holds_up_nobody_else() -> None:
    hung = Hung()
    left, right = HandMade("left"), HandMade("right", called=hung)
    done: list[str] = []
    async with composed(left, right) as client:

        async def call(name: str) -> None:
            await client.call_tool(name, {})
            done.append(name)

        async with asyncio.TaskGroup() as calls:
            for _ in range(10):
                calls.create_task(call("read_right"))
            await eventually(lambda: hung.waiting == 10)
            for _ in range(20):
                await call("read_left")
            assert len(await names(client)) == 4
            assert hung.waiting == 10
            hung.let_go.set()
    assert done == ["read_left"] * 20 + ["read_right"] * 10


async def test_a_hung_upstream_is_given_up_after_its_timeout_and_sees_its_caller_go() -> None:
    hung = Hung()
    async with composed(HandMade("x", called=hung), timeout=0.2) as client:
        refused = await client.call_tool("read_x", {})
        assert sentence(refused).startswith("upstream-1: no answer within 0.2 s. ")
        assert error_of(refused)["code"] == "backend_unavailable"
        await eventually(lambda: hung.waiting == 0)


async def test_a_list_that_hangs_does_not_hold_up_the_start() -> None:
    hung = Hung()
    left, right = HandMade("left"), HandMade("right", listed=hung)
    async with composed(left, right) as client:
        assert sentence(await client.call_tool("read_left", {})) == "left did read_left"
        asked = len(right.asked)
        hung.let_go.set()
        assert (asked, hung.waiting) == (1, 1), "its first request is still open"
