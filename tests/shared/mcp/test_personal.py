"""Personal data is masked for whoever may not see it, wherever it stands; what identifies things is not."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice_shared.errors import NotFound
from backoffice_shared.mcp.personal import masked, masked_error, without_personal


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("ada.lovelace@example.com", "a•••@example.com"),
        ("Write to Ada <ada@mail.example.co.uk>, please", "Write to Ada <a•••@mail.example.co.uk>, please"),
        ("zoë+shop@exämple.de and o'brien@x.example", "z•••@exämple.de and o•••@x.example"),
        ("+49 555 000012", "•••12"),
        ("call (555) 010-9999 today", "call (•••99 today"),
        ("4111 1111 1111 1111", "•••11"),
        ("a" * 100 + "@example.com", None),
        ("Phone:+495550001234", "Phone:•••34"),
        ("tel:+49 (0) 555 / 000012", "tel:•••12"),
        ("Card:4242424242424242", "Card:•••42"),
        ("5551234567x12", "•••67x12"),
        ("0171-23-45678 or 0555/12 34 56", "•••78 or •••56"),
        ("+49–555–000012", "•••12"),
        ("ada＠example.com", "a•••@example.com"),
        ("write to ada.lovelace@engine", "write to a•••@engine"),
        ("see zendesk:ticket:4711234 and email:ticket:CAF9", "see zendesk:ticket:4711234 and email:ticket:CAF9"),
        ("Order #1042 of 3 jackets, 129.00 USD", "Order #1042 of 3 jackets, 129.00 USD"),
        ("since 2026-11-25 12:00", "since 2026-11-25 12:00"),
        ("no data at all", "no data at all"),
    ],
)
def test_what_looks_like_an_address_or_a_number_of_somebody_is_masked(text: str, shown: str | None):
    if shown is None:
        assert "a" * 65 + "@" not in masked(text)
        assert masked(text) != text
    else:
        assert masked(text) == shown


def test_it_is_masked_in_every_field_but_those_that_identify_things():
    row = {
        "ticket_id": "email:ticket:CAF9@mail.example",
        "url": "https://acme.example/u?x=ada@example.com",
        "emails": ["ada@example.com"],
        "phones": ["+1 555 000 0001"],
        "comments": [{"id": "5550001234", "text": "reach me at ada@example.com", "at": "2026-11-25T10:00:00Z"}],
        "tracking": "123456789012",
        "custom": {"phone_number": "+49 555 000012", "order_id": "#1042"},
        "page": {"next_cursor": "MTIzNDU2Nzg5MDEy"},
        "total": {"amount": 123456789, "currency": "USD"},
    }
    assert without_personal(row) == {
        **row,
        "emails": ["a•••@example.com"],
        "phones": ["•••01"],
        "custom": {"phone_number": "•••12", "order_id": "#1042"},
        "comments": [{"id": "5550001234", "text": "reach me at a•••@example.com", "at": "2026-11-25T10:00:00Z"}],
    }


def test_an_errors_sentence_is_masked_too():
    error = masked_error(NotFound("Acme", "there is no ada@example.com", hint="Ask bob@example.com"))
    assert str(error) == "Acme: there is no a•••@example.com. Ask b•••@example.com."


@given(st.from_regex(r"[a-z][a-z.]{3,20}@[a-z]{2,10}\.(example|com)", fullmatch=True), st.text(max_size=50))
def test_no_address_gets_through_whatever_stands_around_it(address: str, around: str):
    assert address not in masked(f"{around} {address} {around}")


@given(st.lists(st.integers(0, 9), min_size=7, max_size=15), st.sampled_from(["", " ", "-", ".", ") ", " / ", "–"]))
def test_no_telephone_number_gets_through_however_it_is_written(digits: list[int], between: str):
    number = between.join(map(str, digits))
    shown = masked(f"call {number} now")
    assert len(re.sub(r"\D", "", shown)) <= 2
