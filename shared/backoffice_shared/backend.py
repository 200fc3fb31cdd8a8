"""What differs between vendors: data, and two small functions. A vendor's adapter fills one of these in."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx

from backoffice_shared.credentials.source import Credential
from backoffice_shared.jsonvalues import obj, parse


@dataclass(frozen=True, slots=True)
class Failure:
    """A vendor's refusal. `status` is the HTTP status, or the one it amounts to where a vendor says 200 to everything."""

    status: int
    sentence: str
    retry_after: float | None = None


@dataclass(frozen=True, slots=True)
class Allowance:
    """What the vendor says is left of its limit: `remaining` requests for the next `seconds`."""

    remaining: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Rate:
    """The vendor's published limit: `requests` per `seconds`, of which `burst` may come at once."""

    requests: float
    seconds: float
    burst: float


@dataclass(frozen=True, slots=True)
class TokenEndpoint:
    """Where `client_id` and `client_secret` are exchanged for an access token, alone (RFC 6749 §4.4) or with a refresh
    token that each exchange replaces (§6); "either", as the secret has one or not.

    `path` is one at the vendor's `base_url`, or a whole URL. `scope` may hold the vendor's options (`{scopes}`). The request is a form, as the RFC has it, or JSON where the
    vendor wants that.

    `client` is how a refresh shows the client's own secret: every server should take Basic (§2.3.1), some take it only
    in the form.

    A `private_key` in place of the `client_secret` signs an assertion (RFC 7523 §2.1) that `client_id` acts for
    `username`; `audience` is for whom, the base URL when empty.
    """

    path: str
    scope: str = ""
    json: bool = False
    grant: Literal["client_credentials", "refresh_token", "either"] = "client_credentials"
    client: Literal["basic", "form"] = "basic"
    audience: str = ""


def by_status(response: httpx.Response) -> Failure | None:
    """The failure of a vendor that means what its status says, and `Retry-After` in seconds."""
    if response.status_code < 400:
        return None
    sentence = f"answered {response.status_code} {response.reason_phrase}".rstrip()
    return Failure(response.status_code, sentence, seconds(response.headers.get("retry-after")))


def seconds(value: object) -> float | None:
    """A number of seconds, or of requests, as vendors write them into headers; None for what is none."""
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and number >= 0 else None


def wire_of(response: httpx.Response) -> dict[str, Any]:
    """The JSON object in an answer; empty when there is none."""
    try:
        return obj(parse(response.content))
    except (ValueError, RecursionError):
        return {}


def no_allowance(_response: httpx.Response) -> Allowance | None:
    return None


def never_replayed(_response: httpx.Response) -> bool:
    return False


def bearer(request: httpx.Request, credential: Credential) -> None:
    request.headers["Authorization"] = f"Bearer {credential['access_token']}"


@dataclass(frozen=True)
class Backend:
    """One vendor API, as the outbound stack needs to know it.

    `name` is what ids and `sources[]` carry, `title` what sentences say. `base_url` may hold `{option}`s
    (`https://{subdomain}.zendesk.com`), which `options` names; `optional` are further ones, with their defaults, for the
    adapter to read. `headers` may hold options too (`{"xero-tenant-id": "{tenant}"}`); one that comes out empty is not
    sent. An idempotency key travels in `idempotency_header` or in the query parameter
    `idempotency_parameter`. `credentials` lists the sets of secret
    fields that each suffice, best first. `key_lasts` is for how many seconds the vendor remembers an idempotency key.
    """

    name: str
    title: str
    base_url: str
    credentials: tuple[frozenset[str], ...]
    options: tuple[str, ...] = ()
    optional: Mapping[str, str] = field(default_factory=dict[str, str])
    authorize: Callable[[httpx.Request, Credential], None] = bearer
    failure: Callable[[httpx.Response], Failure | None] = by_status
    allowance: Callable[[httpx.Response], Allowance | None] = no_allowance
    token_endpoint: TokenEndpoint | None = None
    rate: Rate = Rate(requests=100, seconds=10, burst=20)
    headers: Mapping[str, str] = field(default_factory=dict[str, str])
    idempotency_header: str | None = None
    idempotency_parameter: str | None = None
    key_lasts: float = 86_400.0
    replayed: Callable[[httpx.Response], bool] = never_replayed
    timeout: float = 10.0

    @property
    def knows_keys(self) -> bool:
        return self.idempotency_header is not None or self.idempotency_parameter is not None
