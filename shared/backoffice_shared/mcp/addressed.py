"""Resources that are what a tool answers, each at an address of its own: `ticket://zendesk:ticket:4711`.

Reading one is a call of the tool: the same policies decide about it, the same audit records it, the same data is masked.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mcp.server import MCPServer
from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ResourceError, ResourceNotFoundError
from mcp_types import CallToolRequestParams, CallToolResult, InputRequiredResult, TextContent

from backoffice_shared.jsonvalues import compact, obj
from backoffice_shared.mcp.access import Access
from backoffice_shared.mcp.policy import Ctx, Policy, compose
from backoffice_shared.mcp.strict import StrictTool
from backoffice_shared.mcp.tool import Arguments, ToolFacts, ToolSpec
from backoffice_shared.principal import principal

Running = Context[Any, Any]


@dataclass(frozen=True, slots=True)
class Addressed:
    """At `{scheme}://{id}`, and with `?section=` where there are `sections`.

    `arguments` makes a call of `tool` of the id and the section, `render` text of what it answers.
    """

    scheme: str
    description: str
    tool: str
    arguments: Callable[[str, str], Arguments]
    render: Callable[[dict[str, Any]], str] = compact
    mime_type: str = "application/json"
    sections: bool = False


def serve_addressed(server: MCPServer[Any], resource: Addressed, tool: StrictTool, policies: Sequence[Policy]) -> None:
    async def answer(ctx: Running, identity: str, section: str) -> str:
        call = CallToolRequestParams(name=resource.tool, arguments=dict(resource.arguments(identity, section)))

        async def carried_out(_ctx: Ctx) -> CallToolResult | InputRequiredResult:
            return await tool.run(call.arguments or {}, ctx)

        return _text(resource, await compose(policies, call, carried_out)(ctx.request_context))

    async def whole(ctx: Running, id: str) -> str:  # noqa: A002 - as the address calls it
        return await answer(ctx, id, "")

    async def part(ctx: Running, id: str, section: str = "") -> str:  # noqa: A002
        return await answer(ctx, id, section)

    serve = server.resource(
        f"{resource.scheme}://{{+id}}{'{?section}' if resource.sections else ''}",
        name=resource.scheme,
        description=resource.description,
        mime_type=resource.mime_type,
    )
    serve(part if resource.sections else whole)


def _text(resource: Addressed, result: object) -> str:
    if not isinstance(result, CallToolResult):
        raise ResourceError("this needs an answer first, which only the tool can ask for")
    content = obj(result.structured_content)
    if not result.is_error:
        return resource.render(content)
    sentence = "\n".join(block.text for block in result.content if isinstance(block, TextContent))
    if obj(content.get("error")).get("code") in ("not_found", "invalid_input"):
        raise ResourceNotFoundError(sentence)
    raise ResourceError(sentence)


@dataclass(frozen=True, slots=True)
class Page:
    """What stands at one fixed address, for whoever may use `tool`. `render` makes it of what the tools work with."""

    uri: str
    name: str
    description: str
    tool: str
    render: Callable[[Any], str]
    mime_type: str = "text/markdown"


def serve_page(
    server: MCPServer[Any],
    page: Page,
    facts: Callable[[str], ToolFacts | None],
    access: Access,
    assembled: Callable[[], object],
) -> None:
    async def read() -> str:
        known = facts(page.tool)
        if known is None or not access.shows(access.identified(principal()), known):
            raise ResourceNotFoundError(f"there is no {page.uri} for you")
        return page.render(assembled())

    serve = server.resource(page.uri, name=page.name, description=page.description, mime_type=page.mime_type)
    serve(read)


def serve_schemas(
    server: MCPServer[Any],
    specs: Mapping[str, ToolSpec],
    facts: Callable[[str], ToolFacts | None],
    access: Access,
) -> None:
    """`schema://{tool}`: the whole schema of what a tool answers. tools/list has only an outline of it."""

    async def schema(tool: str) -> str:
        known = facts(tool)
        if known is None or not access.shows(access.identified(principal()), known):
            raise ResourceNotFoundError(f"there is no tool {tool[:64]!r}")
        return compact(specs[tool].answers.model_json_schema(mode="serialization"))

    serve = server.resource(
        "schema://{tool}",
        name="schema",
        description="The whole JSON Schema of what a tool answers.",
        mime_type="application/json",
    )
    serve(schema)
