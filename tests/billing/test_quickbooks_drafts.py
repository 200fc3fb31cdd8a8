"""Drafts in QuickBooks: estimates, which nobody owes."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from tests.billing.quickbooks_realm import (
    HOSTILE,
    KEY,
    OTHER_KEY,
    TODAY,
    Ledgers,
    customer,
    draft,
    every_row,
    jpy,
    killed,
    ledgers,
    losing,
    usd,
)

from backoffice_billing.ports import DraftLine, InvoiceQuery
from backoffice_shared.attempt import attempting
from backoffice_shared.errors import InvalidInput, NotFound, OutcomeUnknown
from backoffice_shared.money import Money
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import Faults

pytestmark = pytest.mark.anyio

TENT, ROPE = DraftLine("Tent", 2, usd(12_50)), DraftLine("Rope", 1, usd(9_99), tax_code="3")


@pytest.fixture(scope="module")
def company() -> Company:
    return Company(customers=40, today=TODAY)


@pytest.fixture
def books(company: Company) -> Ledgers:
    return ledgers(company)


async def test_what_is_previewed_is_what_is_then_made(books: Ledgers) -> None:
    wanted = draft(
        books.person("US"), TENT, ROPE, DraftLine("Cap", 3, None, price_id="11"), memo="Thanks", po_number="7"
    )
    preview = await books.quickbooks.preview_invoice(wanted)
    assert books.made("Estimate") == []
    made = (await books.quickbooks.create_invoice(wanted, KEY)).value
    own = {"invoice_id", "url", "native_status", "version", "lines"}
    assert made.model_dump(exclude=own) == preview.model_dump(exclude=own)
    assert preview.lines is not None
    assert made.lines is not None
    assert [line.model_copy(update={"line_id": None}) for line in made.lines] == preview.lines
    assert (made.subtotal.amount, made.tax.amount) == (2500 + 999 + 3 * books.file.items["11"][1], 100)
    assert (made.memo, made.po_number, made.status, made.due.amount) == ("Thanks", "7", "draft", 0)
    assert made.invoice_id.startswith("quickbooks:invoice:estimate-")


async def test_a_draft_is_in_nobodys_books(books: Ledgers) -> None:
    entries = len(books.file.ledger.entries)
    await books.quickbooks.create_invoice(draft(books.person("US"), TENT), KEY)
    assert (len(books.file.ledger.entries), books.is_balanced) == (entries, True)


async def test_a_draft_is_seen_at_once_by_searches_that_were_answered_before(books: Ledgers) -> None:
    person = books.person("US")
    query = InvoiceQuery(today=TODAY.date(), customers=(customer(person),), statuses=("draft",))
    before = await every_row(books, query, 10)
    made = (await books.quickbooks.create_invoice(draft(person, TENT), KEY)).value
    assert {row.invoice_id for row in await every_row(books, query, 10)} == {
        made.invoice_id,
        *(row.invoice_id for row in before),
    }


async def test_yen_have_no_decimals(books: Ledgers) -> None:
    made = await books.quickbooks.create_invoice(
        draft(books.person("JP"), DraftLine("Tent", 3, jpy(1_999), tax_code="3"), currency="JPY"), KEY
    )
    assert (made.value.subtotal, made.value.tax, made.value.total) == (jpy(5_997), jpy(600), jpy(6_597))


async def test_kuwaiti_dinars_have_three(books: Ledgers) -> None:
    kuwaiti = {"DisplayName": "Diwan", "CurrencyRef": {"value": "KWD"}}
    added = (await books.wire("POST", "customer", kuwaiti))["Customer"]
    wanted = draft(books.person("US"), DraftLine("Tent", 3, Money(amount=1_005, currency="KWD")), currency="KWD")
    wanted = type(wanted)(added["Id"], "KWD", wanted.lines, wanted.date)
    made = (await books.quickbooks.create_invoice(wanted, KEY)).value
    assert made.total == Money(amount=3_015, currency="KWD")
    assert (await books.quickbooks.invoice(made.invoice_id.rpartition(":")[2])).total == made.total


async def test_hostile_words_stay_words(books: Ledgers) -> None:
    wanted = draft(books.person("US"), DraftLine(HOSTILE, 1, usd(1)), memo=HOSTILE, po_number="7\nP.O. number: 8")
    made = (await books.quickbooks.create_invoice(wanted, KEY)).value
    got = await books.quickbooks.invoice(made.invoice_id.rpartition(":")[2])
    assert got.lines is not None
    assert (got.lines[0].description, got.memo, got.po_number) == (HOSTILE, HOSTILE, "7 P.O. number: 8")


@pytest.mark.parametrize(
    ("line", "because"),
    [
        (DraftLine("Tent", 1, jpy(100)), "priced in JPY"),
        (DraftLine("Tent", 1, None, price_id="1"), "has no price"),
        (DraftLine("Tent", 1, usd(100), tax_code="77"), "there is no 77"),
        (DraftLine("Tent", 1, usd(90_071_992_547_409_93)), "without rounding"),
    ],
)
async def test_what_cannot_be_drafted_is_refused_with_a_reason(books: Ledgers, line: DraftLine, because: str) -> None:
    wanted = draft(books.person("US"), line)

    async def both() -> None:
        await books.quickbooks.preview_invoice(wanted)
        await books.quickbooks.create_invoice(wanted, KEY)

    with pytest.raises(InvalidInput, match=because):
        await both()
    assert books.made("Estimate") == []


async def test_an_american_invoice_has_one_tax_code(books: Ledgers) -> None:
    lines = DraftLine("Tent", 1, usd(100), tax_code="2"), DraftLine("Rope", 1, usd(100), tax_code="3")
    with pytest.raises(InvalidInput, match="one tax code, not 2, 3"):
        await books.quickbooks.create_invoice(draft(books.person("US"), *lines), KEY)


async def test_tax_is_that_of_the_company_where_no_code_is_named(books: Ledgers) -> None:
    lines = DraftLine("Tent", 1, usd(100_00), tax_code="TAX"), DraftLine("Rope", 1, usd(50_00), tax_code="NON")
    made = (await books.quickbooks.create_invoice(draft(books.person("US"), *lines), KEY)).value
    assert (made.tax, made.total) == (usd(10_00), usd(160_00))


async def test_nobody_is_billed_in_a_currency_that_is_not_theirs(books: Ledgers) -> None:
    with pytest.raises(InvalidInput, match="bills that customer in USD only"):
        await books.quickbooks.preview_invoice(draft(books.person("US"), currency="JPY"))


async def test_there_must_be_such_a_customer_and_such_an_item(books: Ledgers) -> None:
    wanted = draft(books.person("US"), DraftLine("Cap", 1, None, price_id="99999"))
    with pytest.raises(NotFound, match="there is no item 99999"):
        await books.quickbooks.preview_invoice(wanted)
    for nobody in ("999999", "x", ""):
        with pytest.raises(NotFound, match="no active customer"):
            await books.quickbooks.create_invoice(type(wanted)(nobody, "USD", (TENT,), TODAY.date()), KEY)


async def test_a_memo_that_is_too_long_is_refused_before_anything_is_asked(books: Ledgers) -> None:
    longest = draft(books.person("US"), TENT, memo="x" * 1000)
    assert (await books.quickbooks.create_invoice(longest, KEY)).value.memo == "x" * 1000
    with pytest.raises(InvalidInput, match="1,000 characters"):
        await books.quickbooks.create_invoice(draft(books.person("US"), TENT, memo="x" * 1001), OTHER_KEY)


async def test_an_empty_invoice_is_refused_in_quickbooks_words(books: Ledgers) -> None:
    with pytest.raises(InvalidInput, match="Required parameter Line is missing"):
        await books.quickbooks.create_invoice(draft(books.person("US")), KEY)


# ----------------------------------------------------------------------------------------------------------- once


async def test_the_same_key_makes_the_same_draft(books: Ledgers) -> None:
    wanted = draft(books.person("US"), TENT)
    first = await books.quickbooks.create_invoice(wanted, KEY)
    assert (await books.quickbooks.create_invoice(wanted, KEY)).value == first.value
    assert len(books.made("Estimate")) == 1


async def test_a_lost_answer_makes_no_second_draft(books: Ledgers) -> None:
    wanted = draft(books.person("US"), TENT)
    await books.quickbooks.preview_invoice(wanted)  # what is asked before is answered from memory
    books.sandbox.faults = losing(1)
    made = (await books.quickbooks.create_invoice(wanted, KEY)).value
    assert [f"estimate-{each.id}" for each in books.made("Estimate")] == [made.invoice_id.rpartition(":")[2]]


async def test_when_every_answer_is_lost_the_draft_is_found(books: Ledgers) -> None:
    wanted = draft(books.person("US"), TENT)
    await books.quickbooks.preview_invoice(wanted)
    books.sandbox.faults = Faults(plan=["ok", "drop_after_commit", "drop_after_commit", "drop_after_commit"])
    made = (await books.quickbooks.create_invoice(wanted, KEY)).value
    assert [f"estimate-{each.id}" for each in books.made("Estimate")] == [made.invoice_id.rpartition(":")[2]]


async def test_a_draft_is_found_when_quickbooks_has_forgotten_the_request(books: Ledgers) -> None:
    wanted = draft(books.person("US"), TENT)
    first = await books.quickbooks.create_invoice(wanted, KEY)
    books.forgets()
    with attempting(datetime.now(UTC) - timedelta(hours=3)):
        again = await books.quickbooks.create_invoice(wanted, KEY)
    assert (again.value, again.replayed) == (first.value, True)
    assert len(books.made("Estimate")) == 1


async def test_a_draft_that_was_not_made_is_made_on_the_second_attempt(books: Ledgers) -> None:
    with attempting(datetime.now(UTC) - timedelta(hours=3)):
        made = await books.quickbooks.create_invoice(draft(books.person("US"), TENT), KEY)
    assert (made.replayed, len(books.made("Estimate"))) == (False, 1)


async def test_right_after_an_uncertain_attempt_quickbooks_itself_knows_the_request(books: Ledgers) -> None:
    wanted = draft(books.person("US"), TENT)
    await books.quickbooks.create_invoice(wanted, KEY)
    with attempting(datetime.now(UTC) - timedelta(seconds=2)):
        await books.quickbooks.create_invoice(wanted, KEY)
    assert len(books.made("Estimate")) == 1


async def test_when_nobody_can_be_asked_the_outcome_is_unknown_and_the_key_finds_it_out(books: Ledgers) -> None:
    wanted = draft(books.person("US"), TENT)
    await books.quickbooks.preview_invoice(wanted)
    books.sandbox.faults = killed(1)
    with pytest.raises(OutcomeUnknown):
        await books.quickbooks.create_invoice(wanted, KEY)
    books.sandbox.faults = Faults()
    books.clock.advance(600)  # the circuit is closed again
    books.forgets()
    with attempting(datetime.now(UTC) - timedelta(minutes=10)):
        assert (await books.quickbooks.create_invoice(wanted, KEY)).replayed
    assert len(books.made("Estimate")) == 1
