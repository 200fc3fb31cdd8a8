"""An answer that is kept: in this process, or on the shelf that all replicas share."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

import httpx
from pydantic import AwareDatetime, BaseModel, Field, ValidationError

from backoffice_shared.http.call import call_of

STALE_IF_ERROR = 300.0  # seconds


@dataclass(frozen=True, slots=True)
class Kept:
    """`at` is on this process's clock, `as_of` on everybody's: when it was fetched. `tags` are as `tag_names` has them."""

    status: int
    headers: list[tuple[bytes, bytes]]
    content: bytes
    tags: frozenset[str]
    at: float
    as_of: datetime
    fresh_for: float

    @property
    def ages_until(self) -> float:
        """The age in seconds up to which it is given while a new one is fetched behind it."""
        return 2 * self.fresh_for

    def stands_in(self, age: float) -> bool:
        """For a failure: an old answer does, not an old refusal."""
        return self.status < 400 and age <= self.ages_until + STALE_IF_ERROR

    def response(self, request: httpx.Request) -> httpx.Response:
        return httpx.Response(self.status, headers=self.headers, content=self.content, request=request)


def cache_key(request: httpx.Request) -> str:
    """The same for the same question of the same credential, and caller where it matters. It shows nothing of either."""
    parts = (call_of(request).partition, request.method, str(request.url))
    return hashlib.sha256("\0".join(parts).encode() + b"\0" + request.content).hexdigest()


def tag_names(vendor: str, tags: Iterable[str]) -> frozenset[str]:
    """Tags as they are kept: a vendor's own, and without showing what an adapter put into them."""
    return frozenset(f"{vendor}:{hashlib.sha256(tag.encode()).hexdigest()[:32]}" for tag in tags)


class _Label(BaseModel):
    """What stands on the shelf before the content. Cookies and other headers do not: only what kind of content it is."""

    status: Annotated[int, Field(ge=200, lt=300)]
    content_type: str
    tags: list[str]
    as_of: AwareDatetime
    fresh_for: Annotated[float, Field(gt=0, allow_inf_nan=False)]


def packed(kept: Kept) -> bytes:
    content_type = httpx.Headers(kept.headers).get("content-type", "")
    label = _Label(
        status=kept.status,
        content_type=content_type,
        tags=sorted(kept.tags),
        as_of=kept.as_of,
        fresh_for=kept.fresh_for,
    )
    return label.model_dump_json().encode() + b"\n" + kept.content


def unpacked(content: bytes, now: float) -> Kept | None:
    """What was `packed` by this or another replica; None for anything else. `now` is on this process's clock."""
    head, _, body = content.partition(b"\n")
    try:
        label = _Label.model_validate_json(head)
    except ValidationError:
        return None
    age = max(0.0, (datetime.now(UTC) - label.as_of).total_seconds())  # clocks of replicas differ a little
    headers = [(b"content-type", label.content_type.encode("latin-1", "replace"))] if label.content_type else []
    return Kept(label.status, headers, body, frozenset(label.tags), now - age, label.as_of, label.fresh_for)
