"""Secrets in use are masked in whatever text holds them, in every form that they take on a wire, and nothing else is."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Callable
from urllib.parse import quote, quote_plus

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backoffice_shared.redaction import MASK, MOST, SHORTEST, LiveSecrets

secrets = st.text(min_size=SHORTEST, max_size=60)
around = st.text(max_size=30)

FORMS: dict[str, Callable[[str], str]] = {
    "as it is": str,
    "in a URL": quote,
    "in a URL, whole": lambda text: quote(text, safe=""),
    "in a form": quote_plus,
    "in JSON": lambda text: json.dumps(text)[1:-1],
    "in JSON, not escaped": lambda text: json.dumps(text, ensure_ascii=False)[1:-1],
    "in Python's messages": lambda text: repr(text)[1:-1],
    "in hexadecimal": lambda text: text.encode().hex(),
    "in base64": lambda text: base64.b64encode(text.encode()).decode(),
    "in base64 for URLs": lambda text: base64.urlsafe_b64encode(text.encode()).decode().rstrip("="),
}


def knowing(*values: str) -> LiveSecrets:
    live = LiveSecrets()
    for value in values:
        live.learn(value)
    return live


@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@given(secret=secrets, before=around, after=around)
def test_a_secret_is_masked_in_every_form_wherever_it_stands(
    form: Callable[[str], str], secret: str, before: str, after: str
):
    shown = form(secret)
    scrubbed = knowing(secret).scrub(before + shown + after)
    assert MASK in scrubbed
    assert shown not in scrubbed


@given(secret=st.text(min_size=SHORTEST, max_size=40), user=st.text(st.characters(codec="utf-8"), max_size=20))
def test_a_password_in_basic_authentication_cannot_be_read_back(secret: str, user: str):
    header = "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()
    scrubbed = knowing(secret).scrub(header)
    assert MASK in scrubbed
    left = scrubbed.removeprefix("Basic ").partition(MASK)[0]
    read = base64.b64decode(left + "A" * (-len(left) % 4)).decode("utf-8", "replace")
    assert secret[:4] not in read.removeprefix(f"{user}:") or secret[:4] in f"{user}:"


@given(st.lists(secrets, max_size=5), st.text(max_size=200))
def test_a_text_without_a_secret_is_the_same_text(known: list[str], text: str):
    live = knowing(*known)
    if not any(form(secret).rstrip("=")[1:-2] in text for secret in known for form in FORMS.values()):
        assert live.scrub(text) == text


def test_an_innocent_text_near_a_secret_is_the_same_object():
    live = knowing("sk_live_51H8abcdefghijkl")
    text = "the key begins with sk_live_ and ends with ijkl"
    assert live.scrub(text) is text


@pytest.mark.parametrize("short", ["", "a", "1234567"])
def test_what_is_short_is_in_too_many_words_to_be_masked(short: str):
    text = f"order {short} of 1234567 pieces"
    assert knowing(short).scrub(text) is text


def test_where_secrets_overlap_one_mask_stands_for_all_of_them():
    live = knowing("alpha-beta-gamma", "gamma-delta-epsilon", "beta-gamma")
    assert live.scrub("<alpha-beta-gamma-delta-epsilon>") == f"<{MASK}>"


def test_the_lines_of_a_key_are_masked_one_by_one_and_its_armour_is_not():
    pem = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIH\nabcdefghijklmnop\n-----END PRIVATE KEY-----\n"
    live = knowing(pem)
    assert live.scrub("at line 2: 'MC4CAQAwBQYDK2VwBCIEIH'") == f"at line 2: '{MASK}'"
    assert live.scrub("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----"


def test_a_thousand_secrets_are_remembered_and_the_longest_unused_are_forgotten():
    live = LiveSecrets()
    for number in range(MOST):
        live.learn(f"secret number {number:05}")
    live.learn("secret number 00000")  # used again
    live.learn("one secret more")
    assert live.scrub("secret number 00000") == MASK
    assert live.scrub("secret number 00001") == "secret number 00001"
    assert live.scrub("secret number 00002") == MASK
    assert live.scrub("one secret more") == MASK


def test_a_line_that_two_secrets_share_is_masked_until_both_are_forgotten():
    live = knowing("shared line\nfirst of two", "shared line\nsecond of two")
    for number in range(MOST - 1):
        live.learn(f"filler number {number:05}")
    assert live.scrub("first of two") == "first of two"
    assert live.scrub("shared line") == MASK
    live.learn("the last straw")
    assert live.scrub("shared line") == "shared line"


def test_threads_learn_while_others_scrub():
    live = knowing("known from the start")
    stop = threading.Event()
    faults: list[str] = []

    def scrub() -> None:
        while not stop.is_set():
            if live.scrub("it is known from the start") != f"it is {MASK}":
                faults.append("not masked")

    readers = [threading.Thread(target=scrub) for _ in range(2)]
    for reader in readers:
        reader.start()
    for number in range(200):
        live.learn(f"secret number {number:05}")
    stop.set()
    for reader in readers:
        reader.join()
    assert faults == []


def test_time_depends_on_the_text_and_hardly_on_the_secrets():
    """Also for a text that has the beginning of every secret in it, over and over."""
    live = LiveSecrets()
    for number in range(MOST):
        live.learn(f"sk_live_{number:05}abcdefghijklmnopqrstuvwxyz")

    def seconds(text: str) -> float:
        started = time.perf_counter()
        assert live.scrub(text) == text
        return time.perf_counter() - started

    def best(text: str) -> float:
        return min(seconds(text) for _ in range(3))

    innocent = best("the quick brown fox " * 5_000)
    few, many = best("sk_live_" * 500), best("sk_live_" * 5_000)
    told = [
        f"{label} {seconds * 1000:.1f} ms" for label, seconds in (("100 kB", innocent), ("4 kB", few), ("40 kB", many))
    ]
    print(f"innocent {told[0]}; hostile {told[1]}, {told[2]}")
    assert innocent < 0.1
    assert many < 30 * few + 0.05
