"""Stripe's API over the fictional company: who may ask, idempotency, and what answers.

Sources: https://docs.stripe.com/api/authentication, https://docs.stripe.com/keys/restricted-api-keys,
https://docs.stripe.com/api/idempotent_requests, https://docs.stripe.com/api/request_ids
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import gc
import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from itertools import count

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice_billing.backends.stripe.sandbox import creditnotes, customers, invoices, payments, refusals
from backoffice_billing.backends.stripe.sandbox.account import ACCOUNT, Account, utc_now
from backoffice_billing.backends.stripe.sandbox.asking import asked
from backoffice_billing.backends.stripe.sandbox.endpoints import Endpoint, Searches
from backoffice_billing.backends.stripe.sandbox.expanding import expanded
from backoffice_billing.backends.stripe.sandbox.refusals import Refused
from backoffice_billing.backends.stripe.sandbox.seed import seed
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

API_KEY = "sk_test_sandbox_stripe"
RESTRICTED_KEY = "rk_test_sandbox_stripe"
"""It may read everything, and write nothing."""

_KEPT = 86_400
_LONGEST_KEY = 255
_PERMISSIONS = {
    "balance_transactions": "balance",
    "charges": "charge",
    "credit_notes": "credit_note",
    "customers": "customer",
    "disputes": "dispute",
    "invoiceitems": "invoice",
    "invoice_payments": "invoice",
    "invoices": "invoice",
    "payment_intents": "payment_intent",
    "payment_methods": "payment_method",
    "products": "product",
    "refunds": "charge",
    "subscriptions": "subscription",
}


class Books:
    """The account, made when it is first asked for."""

    def __init__(self, company: Company, now: Callable[[], datetime], settles_after: int) -> None:
        self._company = company
        self._now = now
        self._settles_after = settles_after

    @cached_property
    def account(self) -> Account:
        watched = gc.isenabled()
        gc.disable()  # of a million records none is garbage, and looking for it takes half of the time
        try:
            return seed(Account(self._now, settles_after=self._settles_after), self._company)
        finally:
            if watched:
                gc.enable()


def stripe_sandbox(
    company: Company, *, now: Callable[[], datetime] = utc_now, settles_after: int = 3600
) -> VendorSandbox:
    """`now` is the time that is written on what is new, and by which idempotency keys are forgotten. What is pending
    settles after so many seconds."""
    books = Books(company, now, settles_after)

    def searches() -> bool:
        return sandbox.faults.stale_search

    app = Starlette(
        routes=_Api(books, searches).routes(), exception_handlers={404: _no_route, 405: _no_route, Refused: _refused}
    )
    app.state.books = books
    sandbox = VendorSandbox(
        name="stripe",
        title="Stripe",
        app=app,
        credentials={"api_key": API_KEY},
        throttled=refusals.throttled,
        unavailable=refusals.unavailable,
    )
    return sandbox


def account_of(sandbox: VendorSandbox) -> Account:
    """What is in the account, to look at."""
    assert isinstance(sandbox.app, Starlette)  # noqa: S101 - it is made above
    books = sandbox.app.state.books
    assert isinstance(books, Books)  # noqa: S101
    return books.account


async def _refused(_request: Request, refused: Exception) -> Response:
    assert isinstance(refused, Refused)  # noqa: S101 - it is registered for nothing else
    return refused.answer


async def _no_route(request: Request, _raised: Exception) -> Response:
    return refusals.no_such_url(request.method, request.url.path).answer


@dataclass(frozen=True, slots=True)
class _Kept:
    """The first answer to a key. It is None while that is still made."""

    asked: str
    at: float
    request: str
    status: int = 0
    body: bytes | None = None


class _Api:
    def __init__(self, books: Books, searches: Searches) -> None:
        self._books = books
        self._kept: dict[str, _Kept] = {}
        self._requests = count(1)
        self._endpoints = [
            *customers.endpoints(searches),
            *invoices.endpoints(searches),
            *creditnotes.endpoints(),
            *payments.endpoints(searches),
        ]

    def routes(self) -> list[Route]:
        return [Route(f"/v1/{each.path}", self._answering(each), methods=[each.method]) for each in self._endpoints]

    def _answering(self, endpoint: Endpoint) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            _check(request, endpoint)
            if request.method != "POST" or "idempotency-key" not in request.headers:
                return self._marked(await self._answer(request, endpoint), request)
            return self._marked(await self._once(request, endpoint), request)

        return answer

    async def _answer(self, request: Request, endpoint: Endpoint) -> Response:
        encoded = request.url.query if request.method == "GET" else (await request.body()).decode()
        account = self._books.account
        account.tick()
        wanted = asked(encoded, endpoint.known)
        answer = endpoint.answer(account, wanted, *request.path_params.values())
        return JSONResponse(expanded(account, answer, wanted.expand()))

    async def _once(self, request: Request, endpoint: Endpoint) -> Response:
        """What was first answered to this key, if it was: a refusal too, unless it came before anything was begun."""
        key, now = request.headers["idempotency-key"], self._books.account.now()
        if len(key) > _LONGEST_KEY:
            raise refusals.malformed(f"Idempotency keys can be up to {_LONGEST_KEY} characters long.")
        fingerprint = hashlib.sha256(
            f"{request.method} {request.url.path}\n".encode() + await request.body()
        ).hexdigest()
        known = self._kept.get(key)
        if known is not None and (known.body is None or now - known.at < _KEPT):
            return _again(known, key, fingerprint)
        self._kept[key] = _Kept(fingerprint, now, f"req_{next(self._requests):014d}")
        try:
            await asyncio.sleep(0)  # others may come meanwhile, as they do at Stripe
            answer = await self._answer(request, endpoint)
        except Refused as refused:
            if not refused.kept:
                del self._kept[key]
                raise
            answer = refused.answer
        except BaseException:
            del self._kept[key]
            raise
        begun = self._kept[key]
        self._kept[key] = _Kept(fingerprint, now, begun.request, answer.status_code, bytes(answer.body))
        return answer

    def _marked(self, answer: Response, request: Request) -> Response:
        answer.headers.setdefault("request-id", f"req_{next(self._requests):014d}")
        answer.headers["stripe-version"] = request.headers.get("stripe-version", "2026-10-28.endive")
        if key := request.headers.get("idempotency-key"):
            answer.headers["idempotency-key"] = key
        return answer


def _again(known: _Kept, key: str, fingerprint: str) -> Response:
    if known.asked != fingerprint:
        raise refusals.other_parameters(key)
    if known.body is None:
        raise refusals.in_use(key)
    headers = {"idempotent-replayed": "true", "original-request": known.request}
    return Response(known.body, known.status, headers, media_type="application/json")


# ------------------------------------------------------------------------------------------------------- who may ask


def _check(request: Request, endpoint: Endpoint) -> None:
    """
    Raises:
        Refused: there is no key, or a wrong one, or one that may not do this.
    """
    key = _key(request.headers.get("authorization", ""))
    if not key:
        raise refusals.without_key()
    if key not in (API_KEY, RESTRICTED_KEY):
        raise refusals.wrong_key(key)
    named = request.headers.get("stripe-account", ACCOUNT)
    if named != ACCOUNT:
        raise refusals.wrong_account(named)
    if key == RESTRICTED_KEY and endpoint.method == "POST":
        family = endpoint.path.partition("/")[0]
        raise refusals.forbidden(f"rak_{_PERMISSIONS.get(family, family)}_write")


def _key(authorization: str) -> str:
    """As a bearer's, or as the name in Basic authentication."""
    scheme, _, secret = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return secret.strip()
    if scheme.lower() == "basic":
        try:
            return base64.b64decode(secret).decode().partition(":")[0]
        except (binascii.Error, UnicodeDecodeError):
            return ""
    return ""
