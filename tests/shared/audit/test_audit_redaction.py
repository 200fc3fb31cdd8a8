"""Arguments as the audit keeps them: no secret, nothing that names a person, no long text."""

from __future__ import annotations

import json
import secrets
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice_shared.audit.redaction import DEEPEST, LONGEST, MOST, MOST_VALUES, digest, redacted
from backoffice_shared.mcp.auth.keys import make_key


@pytest.mark.parametrize(
    "name",
    [
        "token",
        "access_token",
        "client_secret",
        "password",
        "passphrase",
        "api_key",
        "apiKey",
        "private-key",
        "Authorization",
        "credentials",
        "Cookie",
        "cardNumber",
        "iban",
        "cvc",
        "user_pin",
        "otp",
        "x-signature",
    ],
)
def test_what_is_named_like_a_secret_is_not_kept(name: str):
    assert redacted({"outer": [{name: {"nested": "hunter2"}}]}) == {"outer": [{name: "[redacted]"}]}


@pytest.mark.parametrize("name", ["pinned", "shopping", "option", "spine", "customer_id", "idempotent"])
def test_what_only_sounds_a_little_like_one_is_kept(name: str):
    assert redacted({name: "value"}) == {name: "value"}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("write to ada.lovelace+x@mail.example today", "write to [email] today"),
        ("zoë@käse.example", "[email]"),
        ("o'brien@mail.example", "[email]"),
        ("call +1 (555) 010-0001 now", "call [phone] now"),
        ("15550100001", "[phone]"),
        ("my number is: +1 555 010 0001", "my number is: [phone]"),
        ("card 4242 4242 4242 4242, thanks", "card [card], thanks"),
        ("4242424242424242", "[card]"),
        ("DE89 3704 0044 0532 0130 00", "[iban]"),
        ("Authorization: Bearer abcdefgh12345678", "Authorization: [bearer]"),
        ("eyJhbGciOiJub25lIn0.eyJzdWIiOiJ4In0.c2ln", "[jwt]"),
        ("sk_live_51H8abcdefghijkl is the key", "[token] is the key"),
        ("xoxb-123456789012-abcdefABCDEF", "[token]"),
        ("ghp_0123456789abcdefghijABCDEFGHIJ", "[token]"),
        ("-----BEGIN PRIVATE KEY-----\nMC4CAQAw", "[key]"),
    ],
)
def test_what_names_a_person_or_opens_a_door_is_masked(text: str, kept: str):
    assert redacted(text) == kept


def test_our_own_keys_are_masked_wherever_they_are():
    key = make_key().key
    kept = json.dumps(redacted({"note": f"my key is {key}.", key: "as a name"}))
    assert key[-20:] not in kept
    assert kept.count("[token]") == 2


@pytest.mark.parametrize(
    "text",
    [
        "hubspot:contact:123456789",
        "order #1042",
        "2026-01-02",
        "2026-01-02T03:04:05Z",
        "pat the ghost, skiing",
        "DE00 1234 5678 9012 3456 78",
        "risk_of_a_long_name_with_words",
    ],
)
def test_ids_dates_and_words_are_kept(text: str):
    assert redacted(text) == text


def test_numbers_and_flags_are_kept_and_cards_are_not():
    given_ = {"limit": 20, "open": True, "since": None, "ratio": 0.5}
    assert redacted(given_) == given_
    assert redacted(4242424242424242) == "[card]"


def test_a_long_text_is_cut_and_says_how_long_it_was():
    assert redacted("x" * LONGEST) == "x" * LONGEST
    assert redacted("x" * (LONGEST + 1)) == f"{'x' * LONGEST}… ({LONGEST + 1} characters)"


def test_an_address_at_the_cut_is_not_kept_in_half():
    kept = redacted("x " * (LONGEST // 2 - 3) + "ada@mail.example and more")
    assert "ada" not in kept
    assert "[email]" in kept


def test_many_entries_are_cut():
    wide = {"ids": list(range(2 * MOST)), "by": {str(n): n for n in range(2 * MOST)}}
    assert redacted(wide) == {"ids": list(range(MOST)), "by": {str(n): n for n in range(MOST)}}
    kept = redacted([list(range(MOST)) for _ in range(MOST)])
    assert sum(isinstance(entry, int) for row in kept if isinstance(row, list) for entry in row) < MOST_VALUES  # pyright: ignore[reportUnknownVariableType]


def test_what_is_nested_without_end_is_cut():
    deep: Any = "bottom"
    for _ in range(5_000):
        deep = [deep]
    kept = redacted(deep)
    for _ in range(DEEPEST + 1):
        [kept] = kept
    assert kept == "…"


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_the_arguments_are_they_can_be_recorded(arguments: Any):
    line = json.dumps({"args": redacted(arguments)}, allow_nan=False)
    assert set(json.loads(line)) == {"args"}


@pytest.mark.parametrize("unit", ["a@", "1 ", "1-", "eyJ.", "DE12", "-----BEGIN ", "a.", "+1(", "sk_", "bearer "])
def test_hostile_texts_take_no_longer_than_what_is_kept_of_them(unit: str):
    started = time.perf_counter()
    redacted({"query": unit * 500_000})
    assert time.perf_counter() - started < 0.1


def test_a_pseudonym_is_the_same_for_the_same_text_and_needs_the_key():
    key, other = secrets.token_bytes(32), secrets.token_bytes(32)
    assert digest(key, "k") == digest(key, "k")
    assert len({digest(key, "k"), digest(other, "k"), digest(key, "l")}) == 3
    assert digest(key, "\ud800").startswith("hmac:")
