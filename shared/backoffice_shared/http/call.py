"""What the layers need to know about a request beyond its bytes. It rides in the request's extensions."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import httpx

_KEY = "backoffice"
_FORGET = "backoffice.forget"


@dataclass(frozen=True, slots=True)
class Call:
    """One adapter call.

    `operation` names it in spans and metrics and, up to the first dot, the breaker it falls under.
    `reads` says that repeating it is harmless. `fresh_for` is how many seconds its answer may be reused.
    `tags` are the references ("ticket:4711") that a read depends on and that a write changes.
    `key` is the idempotency key that went out with a write, when the vendor honours one; `harmless`: a write that may be
    carried out twice, since the second time changes nothing. `partition` is whose
    answers these are: one credential's are never given to another's calls, nor one caller's where they depend on it.
    `hedge`: a second attempt beside one that is late, which is of use only if it can leave at once.
    """

    operation: str
    reads: bool
    fresh_for: float = 0.0
    tags: frozenset[str] = frozenset()
    key: str | None = None
    harmless: bool = False
    partition: str = ""
    hedge: bool = False

    @property
    def group(self) -> str:
        return self.operation.partition(".")[0]

    @property
    def repeatable(self) -> bool:
        return self.reads or self.key is not None or self.harmless


def forgettable(response: httpx.Response, forget: Callable[[], object]) -> httpx.Response:
    """Note how this answer is dropped from where it is kept."""
    response.extensions[_FORGET] = forget
    return response


def forget(response: httpx.Response) -> None:
    """This answer is of no use: nobody shall be given it again."""
    response.extensions.get(_FORGET, _kept_nowhere)()


def _kept_nowhere() -> None:
    pass


def again(request: httpx.Request, call: Call) -> httpx.Request:
    """The same request, to be sent beside the first. Made before that one leaves: later it would have the credential."""
    copy = httpx.Request(request.method, request.url, headers=request.headers, content=request.content)
    copy.extensions["timeout"] = request.extensions.get("timeout", {})
    return attach(copy, call)


def attach(request: httpx.Request, call: Call) -> httpx.Request:
    request.extensions[_KEY] = call
    return request


def call_of(request: httpx.Request) -> Call:
    return request.extensions[_KEY]
