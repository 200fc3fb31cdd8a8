"""What we ask of QuickBooks, and what its sandbox answers, is in the XSD files of Intuit's own SDK."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest
from tests.billing.quickbooks_realm import KEY, OTHER_KEY, TODAY, draft, ledgers, usd
from tests.contract.xsd import Schema, schema

from backoffice_billing.models import Account
from backoffice_billing.ports import CreditDraft, DraftLine, Entry, InvoiceQuery, PaymentQuery, ReportQuery
from backoffice_shared.errors import NotFound
from backoffice_shared.jsonvalues import parse
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import InProcess

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=40, today=TODAY)


@dataclass
class Recorded(httpx.AsyncBaseTransport):
    """A wire that keeps what went over it."""

    inner: httpx.AsyncBaseTransport
    known: list[Recorded]
    exchanges: list[tuple[httpx.Request, httpx.Response]] = field(default_factory=list[Any])
    kinds: list[str] = field(default_factory=list[str])
    """What each body was said to be."""

    def __post_init__(self) -> None:
        self.known.append(self)

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.kinds.append(request.headers.get("content-type", ""))
        response = await self.inner.handle_async_request(request)
        await response.aread()
        self.exchanges.append((request, response))
        return response


_ENTITIES = {
    "invoice": "Invoice",
    "estimate": "Estimate",
    "payment": "Payment",
    "creditmemo": "CreditMemo",
    "refundreceipt": "RefundReceipt",
}


def problems(types: Schema, request: httpx.Request, response: httpx.Response) -> Iterator[str]:
    """What Intuit's files do not allow of a request and its answer."""
    parts = request.url.path.split("/")[4:]
    if request.content:
        yield from types.problems(_ENTITIES[parts[0]], parse(request.content))
    wire = parse(response.content)
    if "Fault" in wire:
        yield from types.problems("Fault", wire["Fault"])
    elif parts[0] == "reports":
        yield from types.problems("Report", wire)
    elif parts[0] == "query":
        for name, rows in wire["QueryResponse"].items():
            if name not in ("startPosition", "maxResults", "totalCount"):
                for row in rows:
                    yield from types.problems(name, row)
    else:
        yield from types.problems(_ENTITIES[parts[0]], wire[_ENTITIES[parts[0]]])


async def test_what_we_ask_and_what_is_answered_is_in_intuits_files(company: Company) -> None:
    types, wires = schema(), list[Recorded]()
    books = ledgers(company, over=lambda sandbox: Recorded(InProcess(sandbox), wires))
    quickbooks, person = books.quickbooks, books.person("US")
    everything = InvoiceQuery(today=TODAY.date(), statuses=("overdue",))
    await quickbooks.search_invoices(everything, None, 2)
    await quickbooks.search_invoices(InvoiceQuery(today=TODAY.date()), None, 50)
    await quickbooks.search_payments(PaymentQuery(), None, 50)
    [account] = await quickbooks.accounts_by_email(person.email, frozenset({"balance"}))
    price = DraftLine("Cap", 1, None, price_id="11", tax_code="3")
    lines = DraftLine("Tent", 2, usd(12_50)), price
    await quickbooks.preview_invoice(draft(person, *lines))
    made = (await quickbooks.create_invoice(draft(person, *lines, memo="Hi", po_number="7"), KEY)).value
    issued = await quickbooks.issue_invoice(made.invoice_id.rpartition(":")[2], made.version, send=True, key=KEY)
    native = issued.value.invoice.invoice_id.rpartition(":")[2]
    await quickbooks.post_payment(native, Entry(usd(6_00), TODAY, "pi_1"), KEY)
    now = await quickbooks.invoice(native)
    await quickbooks.credit_invoice(native, now.version, CreditDraft(now.total - usd(1), "x", "out_of_band"), key=KEY)
    await quickbooks.invoices([native], frozenset({"links", "credit_notes", "payments"}))
    of_stripe = now.model_copy(update={"number": "NW-9001", "invoice_id": "stripe:invoice:in_1"})
    entry = await quickbooks.post_invoice(of_stripe, Account(customer_id=account.customer_id), OTHER_KEY)
    posted = await quickbooks.invoice(entry.value)
    await quickbooks.void_invoice(entry.value, posted.version, "Twice", key=OTHER_KEY)
    for name in sorted(quickbooks.reports):
        await quickbooks.report(ReportQuery(name, TODAY.date()))
    with pytest.raises(NotFound):
        await quickbooks.invoice("999999")
    [wire] = wires
    seen = {request.url.path.split("/")[4] for request, _ in wire.exchanges}
    assert seen == {*_ENTITIES, "query", "reports"}
    assert [p for request, response in wire.exchanges for p in problems(types, request, response)] == []
    for (request, _), kind in zip(wire.exchanges, wire.kinds, strict=True):
        assert request.url.params["minorversion"] == "75"
        assert (request.method == "GET") == ("requestid" not in request.url.params)
        assert len(request.url.params.get("requestid", "")) <= 50
        sends = request.url.path.endswith("/send")
        assert kind == ("application/octet-stream" if sends else "application/json" if request.content else "")


async def test_the_types_would_tell_what_is_wrong(company: Company) -> None:
    types = schema()
    line: dict[str, Any] = {"Amount": "5", "DetailType": "Bill", "LinkedTxn": {}}
    wrong: dict[str, Any] = {
        "DocNumber": 5,
        "TxnDate": "yesterday",
        "Memo": "x",
        "Line": [line],
        "AutoDocNumber": "true",
    }
    assert sorted(types.problems("Invoice", wrong)) == [
        "Invoice.AutoDocNumber: 'true' is no boolean",
        "Invoice.DocNumber: 5 is no string",
        "Invoice.Line[0].Amount: '5' is no decimal",
        next(
            p for p in types.problems("Invoice", wrong) if p.startswith("Invoice.Line[0].DetailType: 'Bill' is none of")
        ),
        "Invoice.Line[0].LinkedTxn is no list",
        "Invoice.Memo is not in the XSD",
        "Invoice.TxnDate: 'yesterday' is no date",
    ]
