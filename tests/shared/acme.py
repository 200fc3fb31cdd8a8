"""A vendor of our own making, and transports that answer for it as a test says."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import cast

import httpx
import respx
from pydantic import SecretStr

from backoffice_shared.backend import Allowance, Backend, Failure, seconds
from backoffice_shared.credentials.source import Credential
from backoffice_shared.http.call import Call, attach

URL = "https://acme.example"

Step = httpx.Response | Exception | type[Exception]


def refused(response: httpx.Response) -> Failure | None:
    """Acme says what is wrong in its body, and how long to wait in a header."""
    if response.status_code < 400:
        return None
    wait = seconds(response.headers.get("Retry-After"))
    return Failure(response.status_code, response.text or "no reason given", wait)


def left(response: httpx.Response) -> Allowance | None:
    """`X-Left: 3/10` is three requests for the next ten seconds."""
    remaining, slash, span = response.headers.get("X-Left", "").partition("/")
    return Allowance(float(remaining), float(span)) if slash else None


ACME = Backend(
    name="acme",
    title="Acme",
    base_url=URL,
    credentials=(frozenset({"access_token"}),),
    failure=refused,
    allowance=left,
    idempotency_header="Idempotency-Key",
)


def read(
    path: str = "/things/1",
    *,
    operation: str = "things.get",
    fresh_for: float = 0.0,
    tags: Iterable[str] = (),
    partition: str = "v1",
) -> httpx.Request:
    call = Call(operation, reads=True, fresh_for=fresh_for, tags=frozenset(tags), partition=partition)
    return attach(httpx.Request("GET", URL + path), call)


def write(
    path: str = "/things", *, operation: str = "things.add", key: str | None = None, tags: Iterable[str] = ()
) -> httpx.Request:
    call = Call(operation, reads=False, tags=frozenset(tags), key=key)
    return attach(httpx.Request("POST", URL + path, json={"name": "Anvil"}), call)


def scripted(*steps: Step) -> tuple[respx.Route, httpx.AsyncBaseTransport]:
    """Takes one step for each request, in turn. The route counts them."""
    router = respx.MockRouter(assert_all_called=False)
    route = router.route().mock(side_effect=list(steps))
    return route, httpx.MockTransport(router.async_handler)


def requests(route: respx.Route) -> list[httpx.Request]:
    """What came, in order."""
    return [call.request for call in cast("list[respx.models.Call]", route.calls)]


def always(answer: httpx.Response | type[Exception]) -> tuple[respx.Route, httpx.AsyncBaseTransport]:
    router = respx.MockRouter(assert_all_called=False)
    route = router.route()
    route.mock(return_value=answer) if isinstance(answer, httpx.Response) else route.mock(side_effect=answer)
    return route, httpx.MockTransport(router.async_handler)


class Held(httpx.AsyncBaseTransport):
    """Answers no request until the test does, with `answer(n)`: the n-th one that came."""

    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self.cancelled = 0
        self._answers: list[asyncio.Future[httpx.Response]] = []

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        self._answers.append(future := asyncio.get_running_loop().create_future())
        try:
            return await future
        except asyncio.CancelledError:
            self.cancelled += 1
            raise

    def answer(self, number: int, response: httpx.Response | Exception) -> None:
        if isinstance(response, Exception):
            self._answers[number].set_exception(response)
        else:
            self._answers[number].set_result(response)


class Secrets:
    """A credential source whose secret a test may change; refreshing takes what `then` holds."""

    def __init__(self, fields: Mapping[str, str], *, version: str = "v1", then: Credential | None = None) -> None:
        self.current = credential(version, fields)
        self._then = then
        self.asked: Counter[str] = Counter()

    async def read(self, vendor: str) -> Credential:
        self.asked[f"read {vendor}"] += 1
        return self.current

    async def refresh(self, vendor: str, *, rejected: str) -> Credential:
        self.asked[f"refresh {vendor}"] += 1
        if self._then is not None and self.current.version == rejected:
            self.current = self._then
        return self.current


def credential(version: str, fields: Mapping[str, str]) -> Credential:
    return Credential({name: SecretStr(value) for name, value in fields.items()}, version)
