"""A client whose every call must leave one audit record, and whose answers must hold no planted secret."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from mcp.client import Client
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult
from tests.canaries import WATCH
from tests.foundation import Records


@dataclass(kw_only=True)
class WatchedClient(Client):
    """`audit` is its server's. While that is full nothing happens, and nothing is recorded."""

    audit: Records

    async def call_tool(self, *args: Any, **kwargs: Any) -> CallToolResult:
        self.audit.calls += not self.audit.full
        try:
            result = await super().call_tool(*args, **kwargs)
        except MCPError as error:
            WATCH.saw("an error", error.error.model_dump_json())
            raise
        WATCH.saw("a result", result.model_dump_json())
        return result
