"""What HubSpot is asked about the conversations of a ticket: their messages, who last wrote in them, and an answer."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any

from backoffice_customer.backends.hubspot import threads
from backoffice_customer.backends.hubspot.access import THREADS
from backoffice_customer.models import Comment
from backoffice_shared.http.client import BackendClient, Written, path
from backoffice_shared.paging import Chunk


class Conversations:
    """`ticket` is the id of the one whose conversations are meant."""

    def __init__(self, http: BackendClient) -> None:
        self._http = http

    async def of(self, ticket: str, *, fresh_for: float = 15) -> list[threads.Thread]:
        return await self._http.read(
            "threads.list",
            THREADS,
            params={"associatedTicketId": ticket},
            into=threads.threads,
            fresh_for=fresh_for,
            tags=(f"ticket:{ticket}",),
        )

    async def comments(
        self, ticket: str, thread: str, told: Mapping[str, Any], cursor: str | None, limit: int
    ) -> Chunk[Comment]:
        return await self._http.read(
            "threads.messages",
            THREADS + path(thread, "messages"),
            params={"limit": limit, "sort": "-createdAt", **({} if cursor is None else {"after": cursor})},
            into=partial(threads.messages, **told),
            fresh_for=15,
            tags=(f"ticket:{ticket}",),
        )

    async def said(self, ticket: str, thread: threads.Thread, *, fresh_for: float = 0) -> list[Any]:
        """The newest messages of a thread, as HubSpot has them."""
        return await self._http.read(
            "threads.messages",
            THREADS + path(thread.id, "messages"),
            params={"limit": 100, "sort": "-createdAt"},
            into=threads.conversation,
            fresh_for=fresh_for,
            tags=(f"ticket:{ticket}",),
        )

    async def writer(self, ticket: str) -> threads.Writer | None:
        """Who a reply would go to."""
        found = await self.of(ticket)
        return threads.writer(await self.said(ticket, found[0], fresh_for=15)) if found else None

    async def sent(
        self, ticket: str, among: Sequence[threads.Thread], body: str, since: datetime
    ) -> threads.Answer | None:
        """The answer with these words that was sent then or later."""
        for thread in among:
            said = await self.said(ticket, thread)
            for place, message in enumerate(said):
                if threads.was_sent(message, since) and threads.has_words(await self._whole(thread, message), body):
                    return threads.answered(message, is_last=place == 0)
        return None

    async def _whole(self, thread: threads.Thread, message: Any) -> Any:
        if not threads.is_truncated(message):
            return message
        return await self._http.read(
            "threads.original",
            THREADS + path(thread.id, "messages", message["id"], "original-content"),
            into=threads.content,
        )

    async def send(
        self, thread: threads.Thread, message: Mapping[str, Any], touches: Iterable[str]
    ) -> Written[threads.Answer]:
        return await self._http.write(
            "threads.send",
            THREADS + path(thread.id, "messages"),
            json=message,
            into=threads.answered,
            twice="looked up",
            touches=touches,
        )
