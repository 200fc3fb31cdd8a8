"""QuickBooks' query language: what is asked is what is meant, whatever the text in it."""

from __future__ import annotations

from datetime import date, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tests.billing.quickbooks_realm import HOSTILE, TODAY, ledgers

from backoffice_billing.backends.quickbooks.query import Select, among, compare, equals, quoted
from backoffice_billing.backends.quickbooks.sandbox.grammar import Condition, Query, read
from backoffice_billing.backends.quickbooks.sandbox.refusals import Refused
from backoffice_billing.ports import InvoiceQuery
from backoffice_shared.sandbox.company import Company

ATTACKS = [
    "' or 1=1",
    "x' orderby Id",
    "\\' or 1=1 --",
    "\\",
    "\\\\'",
    "'" * 7,
    "a\nb\rc\td\x00e",
    "x') and Id in ('1",
    "\u2028\u2029' maxresults 1000",
    "\U0001f525 naïve Øre",
    HOSTILE,
]


def test_a_query_says_what_is_asked_for_and_in_which_order() -> None:
    where = (
        equals("DocNumber", "NW-1042"),
        compare("TxnDate", ">=", date(2026, 11, 1)),
        among("Active", (True, False)),
    )
    select = Select("Invoice", where, "TxnDate desc, Id desc")
    assert select.page(0, 50) == (
        "select * from Invoice where DocNumber = 'NW-1042' and TxnDate >= '2026-11-01' and Active in (true, false)"
        " orderby TxnDate desc, Id desc startposition 1 maxresults 50"
    )
    assert Select("Invoice", where[:1], "TxnDate").count() == "select count(*) from Invoice where DocNumber = 'NW-1042'"


def test_a_page_is_never_larger_than_quickbooks_gives() -> None:
    assert Select("Item").page(1000, 5000) == "select * from Item startposition 1001 maxresults 1000"


def test_a_time_is_written_with_its_distance_from_greenwich() -> None:
    at = datetime(2026, 11, 22, 10, 0, 1, tzinfo=timezone(timedelta(hours=-8)))
    assert compare("MetaData.CreateTime", ">=", at) == "MetaData.CreateTime >= '2026-11-22T18:00:01+00:00'"


@pytest.mark.parametrize("text", ATTACKS)
def test_hostile_text_cannot_change_a_query(text: str) -> None:
    asked = Select("Customer", (equals("DisplayName", text), among("Id", [text, "2"])), "Id").page(4, 7)
    meant = "".join(character if character.isprintable() else " " for character in text)
    assert read(asked) == Query(
        entity="Customer",
        counts=False,
        where=(Condition("DisplayName", "=", (meant,)), Condition("Id", "in", (meant, "2"))),
        order=(("Id", False),),
        start=5,
        size=7,
    )


@given(st.text())
def test_no_text_at_all_can(text: str) -> None:
    [condition] = read(f"select * from Customer where DisplayName = {quoted(text)}").where  # noqa: S608 - quoted
    assert condition.values == ("".join(character if character.isprintable() else " " for character in text),)


@pytest.mark.anyio
@pytest.mark.parametrize("text", ATTACKS)
async def test_who_searches_with_hostile_text_finds_nothing_and_breaks_nothing(text: str) -> None:
    books = ledgers(Company(customers=20, today=TODAY))
    found = await books.quickbooks.search_invoices(InvoiceQuery(today=TODAY.date(), number=text), None, 10)
    people = await books.quickbooks.accounts_by_email(text, frozenset())
    theirs = await books.quickbooks.search_invoices(InvoiceQuery(today=TODAY.date(), customers=(text,)), None, 10)
    assert (found.items, people, theirs.items) == ([], [], [])
    assert await books.quickbooks.accounts([text], frozenset()) == []
    assert await books.quickbooks.invoices([text, f"estimate-{text}"], frozenset()) == []
    assert {entry.status for entry in books.sandbox.requests} <= {200}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "delete from Invoice",
        "select Id, DocNumber from Invoice where",
        "select * from Invoice where DocNumber = 'a' or DocNumber = 'b'",
        "select * from Invoice where DocNumber = 'a",
        "select * from Invoice where DocNumber != 'a'",
        "select * from Invoice maxresults 5 startposition 1",
        "select * from Invoice where DocNumber = Id",
        "select from Invoice",
        "select * from Invoice; select * from Customer",
    ],
)
def test_what_is_not_of_the_language_is_refused_as_quickbooks_does(text: str) -> None:
    with pytest.raises(Refused) as refused:
        read(text)
    assert refused.value.code == 4000


def test_a_start_before_the_first_record_is_refused() -> None:
    with pytest.raises(Refused) as refused:
        read("select * from Invoice startposition 0")
    assert refused.value.code == 4001


def test_properties_may_be_named_and_all_are_given_anyhow() -> None:
    assert read("select *, Sku from Item") == read("select Id, Name from Item") == read("select * from Item")


def test_order_by_may_be_two_words_and_words_are_in_any_case() -> None:
    assert read("SELECT COUNT(*) FROM Invoice WHERE Balance > 0 ORDER BY TxnDate ASC, Id DESC") == Query(
        "Invoice", True, (Condition("Balance", ">", ("0",)),), (("TxnDate", False), ("Id", True)), 1, 100
    )
