"""Arguments as the audit keeps them: no secret, no e-mail address, no phone number, no long text."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice_shared.jsonvalues import parse
from backoffice_shared.mcp.audited import LONGEST, JsonLines, redacted


@pytest.mark.parametrize(
    "name", ["token", "access_token", "client_secret", "password", "api_key", "apiKey", "Authorization", "credentials"]
)
def test_what_is_named_like_a_secret_is_not_kept(name: str) -> None:
    assert redacted({"outer": [{name: {"nested": "hunter2"}}]}) == {"outer": [{name: "[redacted]"}]}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to ada.lovelace+x@mail.example today", "write to [email] today"),
        ("zoë@käse.example", "[email]"),
        ("call +1 (555) 010-0001 now", "call [phone] now"),
        ("15550100001", "[phone]"),
        ("hubspot:contact:123456789", "hubspot:contact:123456789"),
        ("order #1042", "order #1042"),
        ("my number is: +1 555 010 0001", "my number is: [phone]"),
        ("o'brien@mail.example", "[email]"),
    ],
)
def test_addresses_and_numbers_of_people_are_not_kept(text: str, kept: str) -> None:
    assert redacted(text) == kept


def test_a_text_of_any_length_takes_no_longer_than_what_is_kept_of_it() -> None:
    record = redacted({"query": "a" * 1_000_000})
    assert record == {"query": "a" * LONGEST + "… (1000000 characters)"}


def test_a_date_is_kept() -> None:
    assert redacted({"since": "2026-01-02"}) == {"since": "2026-01-02"}


def test_numbers_and_flags_are_kept() -> None:
    assert redacted({"limit": 20, "open": True, "since": None, "ratio": 0.5}) == {
        "limit": 20,
        "open": True,
        "since": None,
        "ratio": 0.5,
    }


def test_a_long_text_is_cut_and_says_how_long_it_was() -> None:
    assert redacted("x" * 201) == "x" * 200 + "… (201 characters)"


def test_many_entries_are_cut_to_fifty() -> None:
    assert redacted({"ids": list(range(100)), "by": {str(n): n for n in range(100)}}) == {
        "ids": list(range(50)),
        "by": {str(n): n for n in range(50)},
    }


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_the_arguments_are_a_record_is_one_line_of_json(arguments: Any) -> None:
    stream = StringIO()
    JsonLines(stream).write({"args": redacted(arguments)})
    line, end, rest = stream.getvalue().partition("\n")
    assert (end, rest) == ("\n", "")
    assert set(json.loads(line)) == {"args"}


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_costs_no_record(number: float) -> None:
    stream = StringIO()
    JsonLines(stream).write({"args": redacted({"limit": number})})
    assert set(parse(stream.getvalue().encode())) == {"args"}
