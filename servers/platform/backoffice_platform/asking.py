"""What `backoffice tools` and `backoffice call` do: one MCP request to a running server, and its answer in print."""

from __future__ import annotations

import asyncio
import difflib
import json
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any, TypeVar
from urllib.parse import urlsplit

import click
from mcp.shared.exceptions import MCPError

from backoffice_platform.wire import UpstreamFailed, WireClient
from backoffice_shared.errors import InvalidInput
from backoffice_shared.http.network import wire
from backoffice_shared.jsonvalues import arr, compact, obj, parse

T = TypeVar("T")

Ask = Callable[..., Awaitable[dict[str, Any]]]
"""One request to the server, as `WireClient.request` has it."""

_TIMEOUT = 60.0


def tools(url: str, token: str, names: Sequence[str], *, schema: bool) -> None:
    """Print the tools, or those named. `token` proves who asks, where somebody has to."""
    offered = _put(url, token, _tools)
    for name in names:
        _known(name, offered)
    chosen = [tool for name, tool in offered.items() if not names or name in names]
    if schema:
        click.echo(json.dumps([{n: tool.get(n) for n in _SHOWN} for tool in chosen], indent=2, ensure_ascii=False))
        return
    width = max((len(tool["name"]) for tool in chosen), default=0)
    for tool in chosen:
        kind = "read " if obj(tool.get("annotations")).get("readOnlyHint") else "write"
        summary = next(iter(str(tool.get("description") or "").splitlines()), "")
        click.echo(f"{tool['name']:{width}}  {kind}  {_printable(summary)}")


def call(url: str, token: str, tool: str, arguments: Sequence[str], *, compact_output: bool) -> int:
    """Call the tool and print what it says. 0 when it answered, 1 when it refused."""

    async def made(ask: Ask) -> dict[str, Any]:
        offered = await _tools(ask)
        schema = obj(_known(tool, offered).get("inputSchema"))
        given = _parsed(arguments, obj(schema.get("properties")))
        params = {"name": tool, "arguments": given}
        return await ask("tools/call", params, schema=schema)

    result = _put(url, token, made)
    if result.get("isError"):
        click.echo(_text(result), err=True)
        return 1
    answer = result.get("structuredContent")
    click.echo(_text(result) if answer is None else compact(answer) if compact_output else _pretty(answer))
    return 0


def _put(url: str, token: str, question: Callable[[Ask], Awaitable[T]]) -> T:
    """Put one question to the server at `url`.

    Raises:
        InvalidInput: there is no MCP server, or it refuses the question.
    """
    try:
        scheme = urlsplit(url).scheme
    except ValueError:
        scheme = ""
    if scheme not in ("http", "https"):
        raise InvalidInput("", f"--url: {url!r} is not an http(s) URL")

    async def asked() -> T:
        client = WireClient(url, wire())
        try:
            authorization = f"Bearer {token}" if token else None
            return await question(partial(client.request, timeout=_TIMEOUT, authorization=authorization))
        except UpstreamFailed as error:
            raise InvalidInput("", f"{url}: {error}", hint=_hint(error)) from None
        except MCPError as error:
            raise InvalidInput("", error.error.message) from None
        finally:
            await client.aclose()

    return asyncio.run(asked())


def _hint(error: UpstreamFailed) -> str:
    if error.status in (401, 403):
        return "Set BACKOFFICE_TOKEN to an API key (backoffice keys make) or an access token that is good there"
    if error.sent:
        return "What was asked for may or may not have been done: repeat a change only with its idempotency_key"
    return "backoffice up --sandbox starts a server"


async def _tools(ask: Ask) -> dict[str, dict[str, Any]]:
    listed = await ask("tools/list", {})
    return {str(tool["name"]): tool for tool in map(obj, arr(listed.get("tools")))}


def _known(name: str, offered: dict[str, dict[str, Any]]) -> dict[str, Any]:
    if name in offered:
        return offered[name]
    near = difflib.get_close_matches(name, offered, n=1)
    hint = f"Did you mean {near[0]}?" if near else "backoffice tools lists those there are"
    raise InvalidInput("", f"there is no tool {name!r}", hint=hint)


def _parsed(arguments: Sequence[str], properties: dict[str, Any]) -> dict[str, Any]:
    """KEY=VALUE as the tool wants them: text stays text, everything else is read as JSON."""
    given: dict[str, Any] = {}
    for argument in arguments:
        name, equals, value = argument.partition("=")
        if not equals:
            raise InvalidInput("", f"{argument!r} is not KEY=VALUE")
        schema = obj(properties.get(name))
        if schema.get("type") == "string" or ("enum" in schema and value in arr(schema["enum"])):
            given[name] = value
            continue
        try:
            given[name] = parse(value.encode())
        except ValueError:
            given[name] = [value] if schema.get("type") == "array" else value
    return given


def _text(result: dict[str, Any]) -> str:
    return _printable("\n".join(str(obj(block).get("text", "")) for block in arr(result.get("content"))))


def _printable(text: str) -> str:
    """Without what would steer a terminal: the text may be anybody's."""
    return "".join(character for character in text if character.isprintable() or character == "\n")


def _pretty(answer: object) -> str:
    return json.dumps(answer, indent=2, ensure_ascii=False)


_SHOWN = ("name", "description", "inputSchema")
