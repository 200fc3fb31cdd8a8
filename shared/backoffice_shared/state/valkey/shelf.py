"""Cached answers that all replicas share. They are customers' data: sealed, kept ten minutes at most, never logged.

A tag keeps the time at which it was last forgotten, by the store's clock. An answer keeps the time at which its slot
was looked at, before it was fetched. It is out of date when a tag of it was forgotten at that time or later.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable

from backoffice_shared.errors import BackendUnavailable
from backoffice_shared.jsonvalues import arr, parse
from backoffice_shared.state.shelf import Slot
from backoffice_shared.state.valkey.channel import Channel
from backoffice_shared.state.valkey.sealed import Seal
from backoffice_shared.state.valkey.store import Script, Store

LONGEST = 600.0  # seconds that an answer is kept
LARGEST = 1_000_000  # bytes
REMEMBER = 2 * LONGEST  # seconds that a tag stays forgotten: longer than any fetch and any answer take together
MOST_PENDING = 1_000  # tags forgotten while the store was away
EVERYTHING = ""  # a tag that every answer has

_MESSAGE = "forgotten"

_FORGOTTEN = """
local function forgotten(tags, since)
    for _, tag in ipairs(tags) do
        if tonumber(redis.call('GET', tag) or 0) >= tonumber(since) then return true end
    end
    return false
end
"""

_GET = Script(f"""{_FORGOTTEN}
local time = redis.call('TIME')
local now = string.format('%.0f', time[1] * 1000000 + time[2])
local kept = redis.call('HMGET', KEYS[1], 'since', 'content', 'tags')
if not kept[1] or forgotten(cjson.decode(kept[3]), kept[1]) then return {{now, false}} end
return {{now, kept[2]}}
""")

# The keys of tags come last, and are kept with the answer.
_PUT = Script(f"""{_FORGOTTEN}
local tags = {{unpack(KEYS, 2)}}
if forgotten(tags, ARGV[1]) then return end
redis.call('HSET', KEYS[1], 'since', ARGV[1], 'content', ARGV[2], 'tags', cjson.encode(tags))
redis.call('PEXPIRE', KEYS[1], ARGV[3])
""")

_FORGET = Script("""
local time = redis.call('TIME')
for _, key in ipairs(KEYS) do
    redis.call('SET', key, string.format('%.0f', time[1] * 1000000 + time[2]), 'PX', ARGV[1])
end
""")


class ValkeyShelf:
    def __init__(self, store: Store, channel: Channel, seal: Seal) -> None:
        self._store = store
        self._channel = channel
        self._seal = seal
        self._pending: set[str] = set()
        self._listeners: dict[object, Callable[[frozenset[str] | None], None]] = {}
        channel.hear(self._heard)

    async def get(self, key: str) -> Slot:
        try:
            await self._forget_pending()
            since, sealed = await self._store.run(_GET, [self._place(key)])
        except BackendUnavailable:
            return Slot(key)
        return Slot(key, None if sealed is None else self._seal.open(sealed, key), int(since))

    async def put(self, slot: Slot, content: bytes, *, seconds: float, tags: Iterable[str]) -> None:
        if slot.since is None or len(content) > LARGEST or seconds <= 0:
            return
        keys = [self._place(slot.key), *(self._tag_place(tag) for tag in (EVERYTHING, *tags))]
        keep = str(round(min(seconds, LONGEST) * 1000))
        try:
            await self._store.run(_PUT, keys, [str(slot.since), self._seal.close(content, slot.key), keep])
        except BackendUnavailable:
            pass

    async def forget(self, tags: Iterable[str]) -> None:
        """What cannot be forgotten now is before anything is looked at again."""
        forgotten = frozenset(tags)
        self._pending |= forgotten
        if len(self._pending) > MOST_PENDING:
            self._pending = {EVERYTHING}
        try:
            await self._forget_pending()
        except BackendUnavailable:
            return
        message = json.dumps(sorted(forgotten)).encode()
        await self._channel.say(self._seal.close(message, _MESSAGE))

    def on_forgotten(self, listener: Callable[[frozenset[str] | None], None]) -> Callable[[], None]:
        token = object()
        self._listeners[token] = listener

        def ended() -> None:
            self._listeners.pop(token, None)

        return ended

    async def _forget_pending(self) -> None:
        if pending := self._pending:
            self._pending = set()
            try:
                places = [self._tag_place(tag) for tag in pending]
                await self._store.run(_FORGET, places, [str(round(REMEMBER * 1000))])
            except BaseException:
                self._pending |= pending
                raise

    async def _heard(self, message: bytes | None) -> None:
        opened = None if message is None else self._seal.open(message, _MESSAGE)
        if message is not None and opened is None:
            return
        tags = None if opened is None else frozenset(str(tag) for tag in arr(parse(opened)))
        for listener in list(self._listeners.values()):
            listener(tags)

    def _place(self, key: str) -> str:
        return f"answer:{self._seal.name(key)}"

    def _tag_place(self, tag: str) -> str:
        return f"tag:{self._seal.name(tag)}"
