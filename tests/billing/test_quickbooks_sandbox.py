"""The sandbox refuses what QuickBooks refuses, and its books balance whatever is done to them."""

from __future__ import annotations

from random import Random
from typing import Any

import pytest
from tests.billing.quickbooks_realm import TODAY, Ledgers, customer, ledgers

from backoffice_billing.backends.quickbooks.query import Select, compare
from backoffice_billing.backends.quickbooks.sandbox.company_file import balanced
from backoffice_billing.backends.quickbooks.sandbox.records import KINDS, Kind
from backoffice_shared.sandbox.company import Company

pytestmark = pytest.mark.anyio


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=40, today=TODAY)


@pytest.fixture
def books(company: Company) -> Ledgers:
    return ledgers(company)


def line(amount: float = 100, **detail: Any) -> dict[str, Any]:
    return {"Amount": amount, "DetailType": "SalesItemLineDetail", "SalesItemLineDetail": detail}


def sale(books: Ledgers, *lines: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"CustomerRef": {"value": customer(books.person("US"))}, "Line": list(lines or (line(),)), **more}


async def refused(books: Ledgers, path: str, body: object, **params: str) -> tuple[str, str]:
    answer = await books.wire("POST", path, body, **params)
    assert answer.keys() == {"Fault", "time"}
    [error] = answer["Fault"]["Error"]
    assert answer["Fault"]["type"] == "ValidationFault"
    return error["code"], error["Detail"]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("invoice", {"CustomerRef": None}, "2020"),
    ("invoice", {"CustomerRef": {"value": "999999"}}, "2500"),
    ("invoice", {"Line": []}, "2020"),
    ("invoice", {"Line": [{"DetailType": "SalesItemLineDetail"}]}, "2020"),
    ("invoice", {"Line": [line(-5)]}, "6000"),
    ("invoice", {"Line": [line(0.001)]}, "2030"),
    ("invoice", {"Line": [line(100, Qty=3, UnitPrice=33)]}, "6070"),
    ("invoice", {"Line": [line(TaxCodeRef={"value": "3"})]}, "6100"),
    ("invoice", {"Line": [line(ItemRef={"value": "99999"})]}, "2500"),
    ("invoice", {"Line": [{"Amount": 1, "DetailType": "Bill"}]}, "2170"),
    ("invoice", {"TxnTaxDetail": {"TxnTaxCodeRef": {"value": "99"}}}, "2500"),
    ("invoice", {"CurrencyRef": {"value": "EUR"}}, "6000"),
    ("invoice", {"DocNumber": "N" * 22}, "2050"),
    ("invoice", {"PrivateNote": "N" * 4001}, "2050"),
    ("invoice", {"TxnDate": "yesterday"}, "2030"),
    ("invoice", {"LinkedTxn": [{"TxnId": "999999", "TxnType": "Estimate"}]}, "610"),
    ("invoice", {"LinkedTxn": [{"TxnId": "1", "TxnType": "Payment"}]}, "6000"),
    ("invoice", {"Id": "999999", "SyncToken": "0"}, "610"),
    ("invoice", {"Id": "1"}, "2020"),
    ("estimate", {"TxnStatus": "Draft"}, "2170"),
    ("refundreceipt", {}, "2020"),
    ("refundreceipt", {"DepositToAccountRef": {"value": "1"}}, "2500"),
    ("payment", {}, "2020"),
    ("payment", {"TotalAmt": -1}, "6000"),
    ("payment", {"TotalAmt": 1, "PaymentRefNum": "N" * 22}, "2050"),
    ("bill", {}, "500"),
]


@pytest.mark.parametrize(("path", "wrong", "code"), WRONG)
async def test_what_is_wrong_is_refused_and_changes_nothing(
    books: Ledgers, path: str, wrong: dict[str, Any], code: str
) -> None:
    body = sale(books)
    if path == "payment":
        del body["Line"]
    before = len(books.file.ledger.entries)
    assert (await refused(books, path, body | wrong))[0] == code
    assert (len(books.file.ledger.entries), books.is_balanced) == (before, True)


async def test_more_than_is_left_is_not_applied(books: Ledgers) -> None:
    native, fact = books.some("open", country="US")
    whole = fact.total / 100
    link = {"Amount": whole, "LinkedTxn": [{"TxnId": native, "TxnType": "Invoice"}]}
    body = {"CustomerRef": {"value": str(fact.person + 1)}, "TotalAmt": whole, "Line": [link]}
    more = {"Amount": whole + 1, "LinkedTxn": link["LinkedTxn"]}
    assert (await refused(books, "payment", body | {"TotalAmt": whole + 1, "Line": [more]}))[0] == "6000"
    assert (await refused(books, "payment", body | {"TotalAmt": whole - 1}))[0] == "6000"
    assert (await refused(books, "payment", body | {"CustomerRef": {"value": "1"}}))[0] in ("6000", "2500")
    assert (await books.wire("POST", "payment", body))["Payment"]["UnappliedAmt"] == 0
    assert (await refused(books, "payment", body))[0] == "6000"


async def test_a_stale_object_and_a_number_that_is_taken(books: Ledgers) -> None:
    native, fact = books.some("open", country="US")
    change = {"Id": native, "SyncToken": "0", "sparse": True, "PrivateNote": "one"}
    assert (await books.wire("POST", "invoice", change))["Invoice"]["SyncToken"] == "1"
    assert (await refused(books, "invoice", change))[0] == "5010"
    code, detail = await refused(books, "invoice", sale(books, DocNumber=fact.name))
    assert (code, f"DocNumber={fact.name} is assigned to TxnType=Invoice with TxnId={native}" in detail) == (
        "6140",
        True,
    )


async def test_the_same_request_is_answered_the_same_and_done_once(books: Ledgers) -> None:
    first = await books.wire("POST", "invoice", sale(books), requestid="r-1")
    assert await books.wire("POST", "invoice", sale(books, line(7)), requestid="r-1") == first
    assert len(books.made("Invoice")) == 1
    books.present.pass_by(days=2)
    await books.wire("POST", "invoice", sale(books), requestid="r-1")
    assert len(books.made("Invoice")) == 2
    assert (await refused(books, "invoice", sale(books), requestid="r" * 51))[0] == "2050"


async def test_voiding_takes_off_what_was_paid_and_leaves_it_with_the_customer(books: Ledgers) -> None:
    native, fact = books.some("paid", plain=False, country="US")
    sync = (await books.wire("GET", f"invoice/{native}"))["Invoice"]["SyncToken"]
    got = (await books.wire("POST", "invoice", {"Id": native, "SyncToken": sync}, operation="void"))["Invoice"]
    assert (got["TotalAmt"], got["Balance"], got["LinkedTxn"], got["PrivateNote"]) == (0, 0, [], "Voided")
    unapplied = [txn.balance for txn in books.file.tables["Payment"].by_customer[fact.person + 1] if not txn.parts]
    assert len(unapplied) == 1
    assert books.is_balanced


async def test_a_payment_can_be_voided_and_deleted(books: Ledgers) -> None:
    native, fact = books.some("paid", plain=False, country="US")
    [(_, payment)] = books.file.tables["Invoice"].by_id[int(native)].links
    body = {"Id": str(payment), "SyncToken": "0", "sparse": True}
    got = (await books.wire("POST", "payment", body, operation="update", include="void"))["Payment"]
    assert (got["TotalAmt"], got["PrivateNote"]) == (0, "Voided")
    assert books.file.tables["Invoice"].by_id[int(native)].balance == fact.kept.total
    gone = {"Id": str(payment), "SyncToken": got["SyncToken"]}
    assert (await books.wire("POST", "payment", gone, operation="delete"))["Payment"]["status"] == "Deleted"
    assert (await refused(books, "payment", gone))[0] == "610"
    assert books.is_balanced


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("select * from Invoice where PrivateNote = 'x'", "4001"),
        ("select * from Payment where UnappliedAmt > '0'", "4001"),
        ("select * from Invoice orderby CustomerRef", "4001"),
        ("select * from Invoice where TxnDate > 'yesterday'", "4001"),
        ("select * from Invoice where TotalAmt > 'much'", "4001"),
        ("select * from Bills", "4001"),
        ("select * from Item where Sku = 'x'", "4001"),
        ("select Id, from Invoice", "4000"),
    ],
)
async def test_what_cannot_be_asked_is_refused(books: Ledgers, query: str, code: str) -> None:
    answer = await books.wire("GET", "query", query=query)
    assert answer["Fault"]["Error"][0]["code"] == code


async def test_counts_are_of_what_would_be_found(books: Ledgers) -> None:
    for entity, where in (
        ("Invoice", ""),
        ("Invoice", " where Balance > '0'"),
        ("Payment", " where TxnDate > '2026-01-01'"),
        ("Customer", ""),
        ("Item", ""),
    ):
        all_of_it = f"from {entity}{where}"
        count = await books.wire("GET", "query", query=f"select count(*) {all_of_it}")
        found = await books.wire("GET", "query", query=f"select * {all_of_it} maxresults 1000")
        assert count["QueryResponse"]["totalCount"] == len(found["QueryResponse"][entity]) > 0


async def test_names_are_like_a_pattern(books: Ledgers) -> None:
    names = {each.name for each in books.file.customers.values()}
    for pattern, expected in (
        ("%a%", {name for name in names if "a" in name}),
        ("M%", {name for name in names if name.startswith("M")}),
        ("%a%e%", {name for name in names if "e" in name.partition("a")[2]}),
        ("nobody", set[str]()),
    ):
        like = Select("Customer", (compare("DisplayName", "like", pattern),)).page(0, 1000)
        answer = await books.wire("GET", "query", query=like)
        assert {each["DisplayName"] for each in answer["QueryResponse"].get("Customer", [])} == expected


@pytest.mark.parametrize("seed", range(12))
async def test_the_books_balance_whatever_is_done_to_them(books: Ledgers, seed: int) -> None:
    """Whatever QuickBooks takes of a few hundred arbitrary requests; what it refuses changes nothing."""
    chance, who = Random(seed), {"value": customer(books.person("US"))}
    taken = 0
    for _ in range(250):
        entity = chance.choice(KINDS)
        kind = entity.lower()
        amount = chance.choice([1, 2.5, 10.1, 99.99])
        body: dict[str, Any] = {"CustomerRef": who, "DepositToAccountRef": {"value": chance.choice(["35", "91"])}}
        if kind == "payment":
            body |= {"TotalAmt": chance.choice([0, amount, 2 * amount]), "Line": _parts(books, chance, amount)}
        else:
            body |= {"Line": [line(amount, TaxCodeRef={"value": chance.choice(["TAX", "NON"])})]}
            body |= {"TxnTaxDetail": {"TxnTaxCodeRef": {"value": chance.choice(["2", "3"])}}}
        params: dict[str, str] = {}
        mine = [txn for txn in books.all(entity) if str(txn.customer) == who["value"]]
        if mine and chance.random() < 0.5:
            txn = chance.choice(mine)
            body |= {"Id": str(txn.id), "SyncToken": str(txn.sync)}
            how = chance.choice(["", "", "void", "delete"])
            params = {"operation": how} if how else {}
        answer = await books.wire("POST", kind, body, **params)
        taken += "Fault" not in answer
        assert balanced(books.file), (kind, body, params)
    assert taken > 80


def _parts(books: Ledgers, chance: Random, amount: float) -> list[dict[str, Any]]:
    person = int(customer(books.person("US")))
    kinds: tuple[Kind, Kind] = ("Invoice", "CreditMemo")
    open_ = [
        (kind, txn) for kind in kinds for txn in books.file.tables[kind].by_customer.get(person, []) if txn.balance
    ]
    chosen = chance.sample(open_, min(len(open_), chance.choice([0, 1, 1, 2])))
    return [
        {"Amount": min(amount, txn.balance / 100), "LinkedTxn": [{"TxnId": str(txn.id), "TxnType": kind}]}
        for kind, txn in chosen
    ]


def test_a_large_company_has_the_same_customers_as_a_small_one() -> None:
    small, large = (ledgers(Company(customers=n, today=TODAY)).file for n in (40, 400))
    assert {n: (c.name, c.email) for n, c in small.customers.items()} == {
        n: (c.name, c.email) for n, c in large.customers.items() if n <= 40
    }
    assert balanced(large)
