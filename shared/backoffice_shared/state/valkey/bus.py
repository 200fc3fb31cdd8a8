"""Tells MCP clients that a list has changed, whichever replica they listen to."""

from __future__ import annotations

from collections.abc import Callable

from mcp.server.subscriptions import InMemorySubscriptionBus
from mcp.shared.subscriptions import (
    PromptsListChanged,
    ResourcesListChanged,
    ServerEvent,
    ToolsListChanged,
    event_from_wire,
    event_to_notification,
)

from backoffice_shared.jsonvalues import obj, parse
from backoffice_shared.state.valkey.channel import Channel

_ANY_LIST = (ToolsListChanged(), PromptsListChanged(), ResourcesListChanged())


class ValkeyBus:
    """A `SubscriptionBus` of the SDK. Who listens here hears at once; who listens elsewhere, when the store is there."""

    def __init__(self, channel: Channel) -> None:
        self._here = InMemorySubscriptionBus()
        self._channel = channel
        channel.hear(self._heard)

    async def publish(self, event: ServerEvent) -> None:
        await self._here.publish(event)
        await self._channel.say(event_to_notification(event, {}).model_dump_json(by_alias=True).encode())

    def subscribe(self, listener: Callable[[ServerEvent], None]) -> Callable[[], None]:
        return self._here.subscribe(listener)

    async def _heard(self, message: bytes | None) -> None:
        for event in _ANY_LIST if message is None else _events(message):
            await self._here.publish(event)


def _events(message: bytes) -> list[ServerEvent]:
    """None for what is no event: anybody may have said it."""
    try:
        said = obj(parse(message))
    except (ValueError, RecursionError):
        return []
    event = event_from_wire(str(said.get("method")), obj(said.get("params")))
    return [] if event is None else [event]
