"""Which tools get through: a bound that an operator sets, an agent's policy narrows, and a request narrows once more.

Gates only ever close further. What one of them keeps out, no other lets in.
"""

from __future__ import annotations

from dataclasses import dataclass

from starlette.datastructures import Headers

from backoffice_shared.mcp.tool import ToolFacts
from backoffice_shared.settings import Settings


@dataclass(frozen=True, slots=True)
class Gate:
    """Empty `toolsets` and `tools` let everything through; otherwise either of them does."""

    toolsets: frozenset[str] = frozenset()
    tools: frozenset[str] = frozenset()
    exclude_tools: frozenset[str] = frozenset()
    read_only: bool = False
    no_destructive: bool = False

    def refuses(self, tool: ToolFacts) -> str | None:
        """Why the tool does not get through; None when it does."""
        if tool.name in self.exclude_tools:
            return "exclude_tools"
        if self.read_only and not tool.reads:
            return "read_only"
        if self.no_destructive and tool.destructive:
            return "no_destructive"
        if (self.toolsets or self.tools) and tool.toolset not in self.toolsets and tool.name not in self.tools:
            return "toolsets"
        return None


OPEN = Gate()


def operators_gate(settings: Settings) -> Gate:
    return Gate(
        frozenset(settings.toolsets),
        frozenset(settings.tools),
        frozenset(settings.exclude_tools),
        settings.read_only,
        settings.no_destructive,
    )


def requested_gate(headers: Headers) -> Gate:
    """What a request asks to be spared: `Backoffice-Toolsets`, `-Tools`, `-Exclude-Tools`, `-Read-Only`, `-No-Destructive`.

    A header that is sent twice counts as one with both values.
    """
    if not any(name in headers for name in _HEADERS):
        return OPEN
    toolsets, tools, exclude, read_only, no_destructive = (",".join(headers.getlist(name)) for name in _HEADERS)
    return Gate(_listed(toolsets), _listed(tools), _listed(exclude), _said(read_only), _said(no_destructive))


_HEADERS = (
    "backoffice-toolsets",
    "backoffice-tools",
    "backoffice-exclude-tools",
    "backoffice-read-only",
    "backoffice-no-destructive",
)


def _listed(value: str) -> frozenset[str]:
    return frozenset(entry.strip() for entry in value.split(",") if entry.strip())


def _said(value: str) -> bool:
    """Anything but a clear no narrows."""
    return any(word.lower() not in ("0", "false", "no") for word in _listed(value))
