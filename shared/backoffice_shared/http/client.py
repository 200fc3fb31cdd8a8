"""The stack an adapter speaks through, in order. This is the one place where the order is written.

    adapter → translated → cached → coalesced → retrying → hedged → guarded → paced → traced → authorized → network

translated   outermost, so that what every inner layer lets through becomes one of our errors
cached       before anything that costs
coalesced    only for what the cache did not have
retrying     around everything that belongs to an attempt; the only layer that repeats what failed
hedged       within one attempt, so that a hedge is not retried; around the next two, which must see both of its requests
guarded      counts attempts, and refuses before we wait for a turn
paced        waits for a turn, but not with a hedge
traced       sees every attempt, without the wait
authorized   reads the secret last, so that nothing above ever holds one
network      the wire
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Generic, Literal, TypeVar
from urllib.parse import quote

import httpx

from backoffice_shared.attempt import uncertain_since
from backoffice_shared.backend import Backend
from backoffice_shared.clock import SYSTEM_CLOCK, Clock
from backoffice_shared.credentials.oauth import ClientCredentials
from backoffice_shared.credentials.refreshing import ByWhatThereIs, RefreshTokens
from backoffice_shared.credentials.source import Credential, CredentialSource, Replaceable
from backoffice_shared.errors import BackofficeError, InvalidInput, MalformedAnswer, OutcomeUnknown
from backoffice_shared.http.authorized import Authorized
from backoffice_shared.http.cached import Cached
from backoffice_shared.http.call import Call, attach, forget
from backoffice_shared.http.coalesced import Coalesced
from backoffice_shared.http.guarded import Guarded
from backoffice_shared.http.health import Health
from backoffice_shared.http.hedged import Hedged
from backoffice_shared.http.latency import Latencies
from backoffice_shared.http.network import Network
from backoffice_shared.http.paced import Paced
from backoffice_shared.http.retrying import RetryBudget, Retrying
from backoffice_shared.http.tokens import assertion_exchange, refresh_exchange, token_exchange
from backoffice_shared.http.traced import Traced
from backoffice_shared.http.translated import Translated
from backoffice_shared.jsonvalues import canonical, parse
from backoffice_shared.principal import principal
from backoffice_shared.sources import must_see
from backoffice_shared.state.shelf import Shelf
from backoffice_shared.state.turns import Turns

T = TypeVar("T")

Params = Mapping[str, str | int | bool | list[str]]
Form = Mapping[str, str | list[str]]

Twice = Literal["unsafe", "looked up", "harmless"]
"""What carrying a write out twice would be, where the vendor knows no keys. "looked up": the caller of `write` has seen
that an earlier attempt was not carried out (`once.py`)."""

_SKEW = timedelta(minutes=1)  # that clocks may differ

# What a translation raises when the wire is not what the vendor's documentation says.
_MISSHAPEN = (KeyError, IndexError, TypeError, ArithmeticError, ValueError, AttributeError, RecursionError)


@dataclass(frozen=True)
class Written(Generic[T]):
    """What a write gave. `replayed`: the vendor had seen its key before, and did nothing again."""

    value: T
    replayed: bool


class BackendClient:
    """What an adapter holds: `read` and `write`, each giving our words (`into`) for the vendor's answer."""

    def __init__(
        self,
        backend: Backend,
        base_url: str,
        credentials: CredentialSource,
        stack: httpx.AsyncBaseTransport,
        health: Callable[[], Health],
        forget: Callable[[Iterable[str]], Awaitable[None]],
        options: Mapping[str, str] | None = None,
    ) -> None:
        """`options` are the vendor's own settings, by the names that `Backend` gives them."""
        self.backend = backend
        self.options = {**backend.optional, **(options or {})}
        self._headers = {name: said for name, text in backend.headers.items() if (said := _filled(text, self.options))}
        self._base_url = base_url.rstrip("/")
        self._credentials = credentials
        self._stack = stack
        self._health = health
        self._forget = forget

    async def read(
        self,
        operation: str,
        path: str,
        *,
        into: Callable[[Any], T],
        method: str = "GET",
        params: Params | None = None,
        json: object = None,
        fresh_for: float = 0.0,
        tags: Iterable[str] = (),
        personal: bool = False,
        scoped: bool = False,
    ) -> T:
        """Ask. `fresh_for` is in seconds; `tags` name what the answer is about, so that a write can drop it.

        `personal`: the answer depends on who calls, so that nobody else is given it. `scoped`: the adapter keeps to the
        parts that the caller may see (`Principal.parts`); any other read is refused to who may see only parts.

        Raises:
            BackofficeError: the caller may not see this vendor's data; or the vendor refused, failed, or answered
                something misshapen.
        """
        must_see(self.backend.name, self.backend.title, whole=not scoped)
        whose = _partition(await self._credentials.read(self.backend.name), personal=personal)
        call = Call(operation, reads=True, fresh_for=fresh_for, tags=frozenset(tags), partition=whose)
        return self._translated(call, await self._send(call, method, path, params, json), into)

    async def write(
        self,
        operation: str,
        path: str,
        *,
        into: Callable[[Any], T],
        method: str = "POST",
        params: Params | None = None,
        json: object = None,
        form: Form | None = None,
        key: str | None = None,
        twice: Twice = "unsafe",
        touches: Iterable[str] = (),
    ) -> Written[T]:
        """Change something, with a body of JSON or, where the vendor wants that, of a form. `key` makes it repeatable where
        the vendor honours one; `touches` drops cached answers.

        Raises:
            OutcomeUnknown: it was sent, and no clear answer came.
            BackofficeError: as for `read`.
        """
        must_see(self.backend.name, self.backend.title, whole=True)
        call = Call(
            operation,
            reads=False,
            tags=frozenset(touches),
            key=key if self.backend.knows_keys else None,
            harmless=twice == "harmless",
        )
        if twice == "unsafe":
            self._check_repetition(call)
        response = await self._send(call, method, path, params, json, form)
        return Written(self._translated(call, response, into), self.backend.replayed(response))

    def _check_repetition(self, call: Call) -> None:
        """What an earlier call may have done is done again only while the vendor would know it for the same."""
        since = uncertain_since()
        if since is None or (
            call.key and datetime.now(UTC) - since < timedelta(seconds=self.backend.key_lasts) - _SKEW
        ):
            return
        unknown = OutcomeUnknown(
            self.backend.title,
            f"an earlier call with this idempotency_key, at {since:%Y-%m-%d %H:%M} UTC, may have been carried out, and"
            " would not be known for the same any more: nothing was sent",
            hint="Look first whether it was. If not, use a new key",
        )
        unknown.forgotten = True
        raise unknown

    async def _send(
        self, call: Call, method: str, path: str, params: Params | None, json: object, form: Form | None = None
    ) -> httpx.Response:
        headers = {"Accept": "application/json", **self._headers}
        if call.key is not None and self.backend.idempotency_header is not None:
            headers[self.backend.idempotency_header] = call.key
        if call.key is not None and self.backend.idempotency_parameter is not None:
            params = {**(params or {}), self.backend.idempotency_parameter: call.key}
        body: dict[str, Any] = {"json": json} if form is None else {"data": form}
        request = httpx.Request(method, self._base_url + path, params=params, headers=headers, **body)
        return await self._stack.handle_async_request(attach(request, call))

    def _translated(self, call: Call, response: httpx.Response, into: Callable[[Any], T]) -> T:
        try:
            return into(parse(response.content) if response.content else None)
        except _MISSHAPEN as error:
            forget(response)
            if not call.reads:
                raise OutcomeUnknown(
                    self.backend.title,
                    f"was sent {call.operation} and answered in a form that we do not understand: it may or may not have been carried out",
                    idempotency_key=call.key,
                ) from error
            raise MalformedAnswer(
                self.backend.title, f"answered {call.operation} in a form that we do not understand"
            ) from error

    async def forget(self, tags: Iterable[str]) -> None:
        """Drop the answers that are about these: something was changed there without us."""
        await self._forget(tags)

    async def health(self) -> Health:
        try:
            credential = await self._credentials.read(self.backend.name)
        except BackofficeError:
            return replace(self._health(), credential=False)
        usable = any(fields <= credential.keys() for fields in self.backend.credentials)
        return replace(self._health(), credential=usable)

    async def aclose(self) -> None:
        await self._stack.aclose()


def _partition(credential: Credential, *, personal: bool) -> str:
    """Whose answers a read gives: this credential's, by what it is rather than by what its source calls it."""
    secret = canonical([credential.identity, sorted(credential.items()), principal().key if personal else ""])
    return hashlib.sha256(secret.encode()).hexdigest()


def _filled(text: str, options: Mapping[str, str]) -> str:
    """With the options it names, and printable; the `base_url` of an operator's own may leave some of them out."""
    filled = text.format_map(defaultdict(str, options))
    if not filled.isprintable() or not filled.isascii():
        raise InvalidInput("", f"{filled!r} cannot be sent in a header")
    return filled


def path(*segments: str) -> str:
    """A URL path of which no segment can leave its place, whatever an id holds: `path("contacts", id)`."""
    if any(segment in ("", ".", "..") for segment in segments):
        raise InvalidInput("", "an id cannot be empty or only dots")
    return "".join("/" + quote(segment, safe="") for segment in segments)


def connect(
    backend: Backend,
    wire: httpx.AsyncBaseTransport,
    credentials: CredentialSource,
    *,
    base_url: str,
    options: Mapping[str, str] | None = None,
    turns: Turns | None = None,
    shelf: Shelf | None = None,
    calm: Callable[[], bool] = lambda: True,
    clock: Clock = SYSTEM_CLOCK,
) -> BackendClient:
    """Assemble the stack for one vendor over `wire`.

    `turns` and `shelf` are shared with other replicas, where there are any. `calm`: this process has time for hedges.
    """
    if (endpoint := backend.token_endpoint) is not None:
        scope = _filled(endpoint.scope, {**backend.optional, **(options or {})})
        backend = replace(backend, token_endpoint=replace(endpoint, scope=scope))
    latencies = Latencies(clock)
    budget = RetryBudget(backend.name)
    network = Network(wire, backend.title)
    # A passing fault of a token endpoint is nobody's business, as far as asking again is harmless.
    tokens = _tokens(backend, base_url, credentials, Retrying(network, backend, budget=budget, clock=clock), clock)
    stack: httpx.AsyncBaseTransport = Authorized(network, backend, tokens)
    stack = Traced(stack, backend, latencies=latencies, clock=clock)
    stack = Paced(stack, backend, turns=turns, clock=clock)
    stack = guarded = Guarded(stack, backend, clock=clock)
    stack = Hedged(stack, backend, latencies, steady=lambda call: calm() and guarded.closed(call.group), clock=clock)
    stack = Retrying(stack, backend, budget=budget, latencies=latencies, clock=clock)
    stack = Coalesced(stack)
    stack = cached = Cached(stack, backend, shelf=shelf, clock=clock)
    stack = Translated(stack, backend)
    return BackendClient(backend, base_url, credentials, stack, guarded.health, cached.forget, options)


def _tokens(
    backend: Backend, base_url: str, credentials: CredentialSource, network: httpx.AsyncBaseTransport, clock: Clock
) -> CredentialSource:
    """What the vendor wants to be shown: the secret itself, or a token that it is exchanged for."""
    if backend.token_endpoint is None:
        return credentials
    exchange = token_exchange(backend, base_url, network)
    assertion = assertion_exchange(backend, base_url, network)
    alone = ClientCredentials(credentials, exchange, assertion, clock=clock)
    # Where the next refresh token cannot be kept, only an access token will do.
    renewed = (
        RefreshTokens(credentials, refresh_exchange(backend, base_url, network), clock=clock)
        if isinstance(credentials, Replaceable)
        else credentials
    )
    match backend.token_endpoint.grant:
        case "client_credentials":
            return alone
        case "refresh_token":
            return renewed
        case "either":
            return ByWhatThereIs(credentials, alone, renewed)
