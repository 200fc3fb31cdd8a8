"""QuickBooks' wire over the fictional American company."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backoffice_billing.backends.quickbooks.sandbox import asked
from backoffice_billing.backends.quickbooks.sandbox.company_file import CompanyFile
from backoffice_billing.backends.quickbooks.sandbox.grammar import MOST, Query, read
from backoffice_billing.backends.quickbooks.sandbox.records import (
    ACCOUNTS,
    HOME,
    KINDS,
    PARENTS,
    Customer,
    Kind,
    Txn,
    amount,
    customer_written,
    full_name,
    written,
)
from backoffice_billing.backends.quickbooks.sandbox.refusals import (
    Refused,
    gateway,
    not_found,
    throttled,
    too_long,
    unavailable,
)
from backoffice_billing.backends.quickbooks.sandbox.reports import report
from backoffice_billing.backends.quickbooks.sandbox.seeding import CLEARING_ID, seed
from backoffice_billing.backends.quickbooks.sandbox.tokens import ACCESS_TOKEN, PATH, Tokens
from backoffice_shared.jsonvalues import arr, obj, parse
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

REALM = "9341450000000001"
REMEMBERS = timedelta(days=1)
"""For so long the sandbox knows a `requestid`; Intuit does not say for how long it does."""

_BY_PATH: dict[str, Kind] = {kind.lower(): kind for kind in KINDS}


def quickbooks_sandbox(company: Company, *, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> VendorSandbox:
    """`now` says when records are made and tokens expire."""
    api = _Api(company, now)
    app = Starlette(
        routes=[
            Route(PATH, api.tokens.grant, methods=["POST"]),
            Route("/v3/company/{realm}/query", api.guarded(api.query), methods=["GET", "POST"]),
            Route("/v3/company/{realm}/reports/{name}", api.guarded(api.report), methods=["GET"]),
            Route("/v3/company/{realm}/{kind}", api.guarded(api.write), methods=["POST"]),
            Route("/v3/company/{realm}/{kind}/{native}", api.guarded(api.get), methods=["GET"]),
            Route("/v3/company/{realm}/{kind}/{native}/send", api.guarded(api.send), methods=["POST"]),
        ],
        exception_handlers={HTTPException: _no_route},
    )
    app.state.quickbooks = api
    return VendorSandbox(
        name="quickbooks",
        title="QuickBooks",
        app=app,
        credentials={"access_token": ACCESS_TOKEN},
        throttled=lambda _seconds: throttled(),
        unavailable=unavailable,
        options={
            "realm": REALM,
            "minor_version": "75",
            "sales_item": "1",
            "deposit_account": CLEARING_ID,
            "posts": "stripe",
        },
    )


def file_of(sandbox: VendorSandbox) -> CompanyFile:
    """What is in its books."""
    return _api(sandbox).file


def forget_requests(sandbox: VendorSandbox) -> None:
    """As if every `requestid` had been too long ago."""
    _api(sandbox).answered.clear()


def _api(sandbox: VendorSandbox) -> _Api:
    app: Any = sandbox.app
    return app.state.quickbooks


def _no_route(_request: Request, error: Exception) -> Response:
    status = error.status_code if isinstance(error, HTTPException) else 404
    return gateway(status, "3202", "ResourceNotFound", "There is no such resource.", "SERVICE")


Handler = Callable[[Request], Awaitable[Response]]


@dataclass(frozen=True, slots=True)
class _Answered:
    at: datetime
    status: int
    body: bytes


class _Api:
    def __init__(self, company: Company, now: Callable[[], datetime]) -> None:
        self._company = company
        self._now = now
        self._requests = 0
        self.tokens = Tokens(now)
        self.answered: dict[str, _Answered] = {}

    @cached_property
    def file(self) -> CompanyFile:
        """Made when it is first asked for."""
        file = CompanyFile(self._company, now=self._now)
        seed(file)
        return file

    def guarded(self, handler: Handler) -> Handler:
        """Tokens, the company's id, refusals and requests that were answered before, for every route."""

        async def answer(request: Request) -> Response:
            self._requests += 1
            response = await self._answer(request, handler)
            response.headers["intuit_tid"] = f"1-sandbox-{self._requests}"
            return response

        return answer

    async def _answer(self, request: Request, handler: Handler) -> Response:
        if not self.tokens.knows(request.headers.get("authorization", "")):
            return gateway(401, "3200", "AuthenticationFailed", "Token expired", "AUTHENTICATION")
        if request.path_params["realm"] != REALM:
            return gateway(403, "3100", "ApplicationAuthorizationFailed", "Not this company", "AUTHORIZATION")
        given = request.query_params.get("requestid") if request.method == "POST" else None
        if given is not None and (known := self.answered.get(given)) is not None and self._now() - known.at < REMEMBERS:
            return Response(known.body, known.status, media_type="application/json")
        try:
            if given is not None and len(given) > 50:
                raise too_long("requestid", 50, len(given))
            response = await handler(request)
        except Refused as refused:
            response = refused.answer()
        if given is not None:
            self.answered[given] = _Answered(self._now(), response.status_code, bytes(response.body))
        return response

    # --------------------------------------------------------------------------------------------------------- routes

    async def query(self, request: Request) -> Response:
        """In the address, or in the body, as some clients do."""
        text = request.query_params.get("query")
        query = read(text if text is not None else (await request.body()).decode("utf-8", "replace"))
        answer = self._counted(query) if query.counts else self._found(query)
        return JSONResponse({"QueryResponse": answer, "time": self._time()})

    def _counted(self, query: Query) -> dict[str, Any]:
        if query.entity in self.file.tables:
            return {"totalCount": self.file.tables[query.entity].count(query)}
        everything = Query(query.entity, query.counts, query.where, (), 1, MOST * MOST)
        return {"totalCount": len(self._wires(everything))}

    def _found(self, query: Query) -> dict[str, Any]:
        wires = self._wires(query)
        if not wires:
            return {}
        return {query.entity: wires, "startPosition": query.start, "maxResults": len(wires)}

    def _wires(self, query: Query) -> list[dict[str, Any]]:
        if query.entity in self.file.tables:
            return [self._wire(txn) for txn in self.file.tables[query.entity].found(query)]
        if query.entity == "Customer":
            return [self._customer(customer) for customer in self.file.found_customers(query)]
        if query.entity not in self._lists:
            raise Refused(4001, f"QueryValidationError: Invalid context declaration: {query.entity[:40]}")
        return _listed(self._lists[query.entity](), query)

    async def report(self, request: Request) -> Response:
        return JSONResponse(report(self.file, request.path_params["name"], dict(request.query_params)))

    async def get(self, request: Request) -> Response:
        kind, native = request.path_params["kind"], request.path_params["native"]
        if kind == "customer":
            if not native.isdecimal() or int(native) not in self.file.customers:
                raise not_found(f"Customer {native[:40]}")
            return self._one("Customer", self._customer(self.file.customers[int(native)]))
        if kind == "companyinfo":
            return self._one("CompanyInfo", self._company_info()[0])
        if kind not in _BY_PATH:
            raise Refused(500, f"Operation {kind[:40]} is not supported.")
        txn = self.file.one(_BY_PATH[kind], native)
        pays = kind == "invoice" and request.query_params.get("include") == "invoiceLink" and bool(txn.balance)
        return self._one(txn.kind, self._wire(txn, pay_link=pays))

    async def write(self, request: Request) -> Response:
        wire, kind = await _body(request), request.path_params["kind"]
        operation, include = request.query_params.get("operation"), request.query_params.get("include")
        if kind == "customer":
            return self._one("Customer", self._customer(self.file.add_customer(wire)))
        if kind not in _BY_PATH:
            raise Refused(500, f"Operation {kind[:40]} is not supported.")
        entity = _BY_PATH[kind]
        if operation == "void" or include == "void":
            if entity not in ("Invoice", "Payment"):
                raise Refused(500, f"Operation void of {entity} is not supported.")
            return self._one(entity, self._wire(self.file.void(entity, wire)))
        if operation == "delete":
            gone = self.file.delete(entity, wire)
            return self._one(entity, {"Id": str(gone.id), "status": "Deleted", "domain": "QBO"})
        txn = self.file.update(entity, wire) if wire.get("Id") else self.file.create(entity, wire)
        return self._one(entity, self._wire(txn))

    async def send(self, request: Request) -> Response:
        if request.path_params["kind"] != "invoice":
            raise Refused(500, "Operation send is not supported.")
        to = request.query_params.get("sendTo")
        return self._one("Invoice", self._wire(self.file.send(request.path_params["native"], to)))

    # ---------------------------------------------------------------------------------------------------------- wires

    def _one(self, entity: str, wire: dict[str, Any]) -> Response:
        return JSONResponse({entity: wire, "time": self._time()})

    def _wire(self, txn: Txn, *, pay_link: bool = False) -> dict[str, Any]:
        return written(txn, self.file.customers[txn.customer], pay_link=pay_link)

    def _customer(self, customer: Customer) -> dict[str, Any]:
        return customer_written(customer, self.file.owes(customer.id))

    def _time(self) -> str:
        return self._now().isoformat(timespec="milliseconds")

    @cached_property
    def _lists(self) -> dict[str, Callable[[], list[dict[str, Any]]]]:
        """Short lists, which are the same for everybody."""
        return {
            "Preferences": self._preferences,
            "CompanyInfo": self._company_info,
            "Item": self._items,
            "Account": _accounts,
            "TaxCode": _tax_codes,
            "TaxRate": _tax_rates,
        }

    def _preferences(self) -> list[dict[str, Any]]:
        forms = {"CustomTxnNumbers": self.file.own_numbers, "AutoApplyCredit": self.file.applies_credits}
        return [
            {
                "Id": "1",
                "SyncToken": "0",
                "CurrencyPrefs": {"HomeCurrency": {"value": HOME}, "MultiCurrencyEnabled": True},
                "SalesFormsPrefs": {**forms, "AllowEstimates": True},
                "TaxPrefs": {"UsingSalesTax": True, "TaxGroupCodeRef": {"value": asked.TEN_PERCENT}},
            }
        ]

    def _company_info(self) -> list[dict[str, Any]]:
        return [{"Id": "1", "SyncToken": "0", "CompanyName": self._company.name, "Country": "US"}]

    def _items(self) -> list[dict[str, Any]]:
        return [
            {
                "Id": native,
                "SyncToken": "0",
                "Name": name,
                "Active": True,
                "Type": "Service" if int(native) < 11 else "NonInventory",
                **({"UnitPrice": amount(price, HOME)} if price else {}),
            }
            for native, (name, price) in self.file.items.items()
        ]


def _accounts() -> list[dict[str, Any]]:
    return [
        {
            "Id": native,
            "SyncToken": "0",
            "Name": account.name,
            "FullyQualifiedName": full_name(account),
            "SubAccount": account in PARENTS,
            "Active": True,
            "AcctNum": account.code,
        }
        for native, account in ACCOUNTS.items()
    ]


def _tax_codes() -> list[dict[str, Any]]:
    return [
        {
            "Id": native,
            "SyncToken": "0",
            "Name": name,
            "Active": True,
            "Taxable": bool(rates),
            "SalesTaxRateList": {"TaxRateDetail": [{"TaxRateRef": {"value": rate}} for rate in rates]},
        }
        for native, (name, rates) in asked.TAX_CODES.items()
    ]


def _tax_rates() -> list[dict[str, Any]]:
    return [
        {"Id": native, "SyncToken": "0", "Name": name, "Active": True, "RateValue": float(percent)}
        for native, (name, percent) in asked.TAX_RATES.items()
    ]


def _listed(wires: list[dict[str, Any]], query: Query) -> list[dict[str, Any]]:
    for condition in query.where:
        if condition.field not in ("Id", "Name", "Active") or condition.operator not in ("=", "in"):
            raise Refused(4001, f"QueryValidationError: property '{condition.field}' is not queryable")
        wires = [wire for wire in wires if _as_text(wire.get(condition.field)) in condition.values]
    return wires[query.start - 1 : query.start - 1 + query.size]


def _as_text(value: object) -> str:
    return json.dumps(value) if isinstance(value, bool) else str(value)


def _without_blanks(value: Any) -> Any:
    """What is empty is not there, as clients send it who know every field."""
    if members := obj(value):
        return {name: _without_blanks(part) for name, part in members.items() if part != ""}
    if parts := arr(value):
        return [_without_blanks(part) for part in parts]
    return value


async def _body(request: Request) -> dict[str, Any]:
    try:
        return obj(_without_blanks(parse(await request.body())))
    except (ValueError, RecursionError):
        raise Refused(2030, "Request has invalid or unsupported property : it is not JSON") from None
