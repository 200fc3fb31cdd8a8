"""No result is larger than a model can use, and it says what was left out."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, JsonValue

from backoffice_shared.envelope import Answer, Listing, Page
from backoffice_shared.jsonvalues import compact, obj
from backoffice_shared.mcp.bounded import LARGEST, fit
from backoffice_shared.mcp.clean import clean

SCALARS = st.none() | st.booleans() | st.integers(-(10**9), 10**9) | st.text(max_size=2_000)
PAYLOADS = st.dictionaries(
    st.text(max_size=20),
    st.recursive(SCALARS, lambda inner: st.lists(inner) | st.dictionaries(st.text(max_size=20), inner), max_leaves=40),
    max_size=20,
)


class Row(BaseModel):
    id: str
    text: str
    parts: list[str] = []


class Whole(Answer):
    title: str
    body: dict[str, JsonValue]


def rows(count: int, length: int) -> Listing[Row]:
    items = [Row(id=f"acme:row:{n}", text=("word " * length)[:length]) for n in range(count)]
    return Listing[Row](items=items).resumed_by(lambda n: f"after-{n}")


def fitted(result: BaseModel, largest: int = LARGEST) -> dict[str, Any]:
    """The payload, once it is sure that the text says the same, is valid JSON and is within the bound."""
    payload, text = fit(result, largest)

    def no_json(constant: str) -> None:
        raise AssertionError(f"{constant} is no JSON")

    assert json.loads(text, parse_constant=no_json) == payload
    assert len(text.encode()) <= largest
    return payload


def test_a_result_that_fits_is_given_as_it_is() -> None:
    assert fitted(rows(3, 10)) == rows(3, 10).payload()


def test_rows_that_do_not_fit_come_with_the_next_page() -> None:
    payload = fitted(rows(100, 1_000))
    kept = len(payload["items"])
    assert (kept, payload["page"], payload["notes"]) == (
        13,
        {"has_more": True, "next_cursor": "after-13"},
        ["87 of 100 rows did not fit: continue with page.next_cursor, or ask for fewer fields"],
    )
    assert payload["items"] == rows(100, 1_000).payload()["items"][:kept]


def test_rows_without_a_cursor_say_what_to_ask_for_instead() -> None:
    payload = fitted(Listing[Row](items=rows(100, 1_000).items))
    assert (payload["page"], payload["notes"]) == (
        {"has_more": False},
        ["87 of 100 rows did not fit: ask for fewer at a time, or for fewer fields"],
    )


def test_a_single_giant_row_is_shortened() -> None:
    payload = fitted(rows(1, 100_000))
    assert payload["items"] == [{"id": "acme:row:0", "text": ("word " * 999)[:999] + "…", "parts": []}]
    assert payload["notes"] == ["1 long texts are cut to 1000 characters"]
    assert payload["page"] == {"has_more": False}


def test_a_giant_row_is_given_alone_and_the_others_with_the_next_page() -> None:
    listing = Listing[Row](items=[Row(id="1", text="x" * 100_000), Row(id="2", text="small")])
    payload = fitted(listing.resumed_by(lambda n: f"after-{n}"))
    assert ([row["id"] for row in payload["items"]], payload["page"]["next_cursor"]) == (["1"], "after-1")


def test_of_many_parts_that_are_each_small_the_first_are_given() -> None:
    payload = fitted(Listing[Row](items=[Row(id="1", text="kept", parts=["part"] * 10_000)]))
    assert payload["items"] == [{"id": "1", "text": "kept", "parts": ["part"] * 1_250}]
    assert payload["notes"] == [
        "parts: only the first 1250 are in here, the others are too much for one result",
    ]


def test_an_address_is_whole_or_not_there() -> None:
    url = "https://acme.example/" + "path/" * 100
    whole = Whole(title="word " * 5_000, body={"url": url, "text": "word " * 5_000})
    assert obj(fitted(whole)["body"])["url"] == url


def test_nothing_is_said_of_texts_when_none_was_cut() -> None:
    payload = fitted(Listing[Row](items=[Row(id="1", text="kept", parts=["part"] * 10_000)]))
    assert len(payload["notes"]) == 1


def test_long_texts_are_cut_no_further_than_they_must() -> None:
    body: dict[str, JsonValue] = {str(n): "x" * 2_000 for n in range(30)}
    payload = fitted(Whole(title="t", body=body))
    assert ({len(text) for text in payload["body"].values()}, len(payload["notes"])) == ({300}, 2)


def test_texts_are_measured_in_bytes_and_cut_between_characters() -> None:
    payload = fitted(Whole(title="€" * 30_000, body={}))
    assert payload["title"] == "€" * 999 + "…"


@settings(max_examples=60, deadline=None)
@given(title=st.text(max_size=5_000), body=PAYLOADS)
def test_any_answer_is_valid_and_within_the_bound(title: str, body: dict[str, JsonValue]) -> None:
    fitted(Whole(title=title, body=body), 3_000)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.builds(Row, id=st.text(max_size=30), text=st.text(max_size=1_500)), max_size=30))
def test_any_listing_is_valid_within_the_bound_and_resumes_after_what_it_has(items: list[Row]) -> None:
    payload = fitted(Listing[Row](items=items).resumed_by(lambda n: f"after-{n}"), 3_000)
    kept = len(payload["items"])
    assert [row["id"] for row in payload["items"]] == [clean(row.id) for row in items[:kept]]
    assert payload["page"].get("next_cursor") == (f"after-{kept}" if kept < len(items) else None)


@pytest.mark.parametrize("cursor", [400, 700])
def test_a_long_cursor_has_room_too(cursor: int) -> None:
    items = [Row(id=str(n), text="x" * 40) for n in range(1_000)]
    payload = fitted(Listing[Row](items=items).resumed_by(lambda n: f"{n:0{cursor}}"))
    assert [len(row) for row in payload["items"]] == [3] * len(payload["items"])
    assert len(payload["notes"]) == 1


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_is_null_and_the_others_stay(number: float) -> None:
    class Measured(BaseModel):
        value: float
        series: list[dict[str, float]]

    measured = Measured(value=number, series=[{"first": 1.5, "last": number}])
    assert fitted(measured) == {"value": None, "series": [{"first": 1.5, "last": None}]}


def test_what_is_no_answer_of_ours_is_bounded_too() -> None:
    payload = fitted(Row(id="1", text="x" * 100_000))
    assert payload["text"] == "x" * 999 + "…"


def test_the_page_keeps_what_it_said() -> None:
    listing = Listing[Row](page=Page(total=100), items=rows(100, 1_000).items)
    payload = fitted(listing.resumed_by(lambda n: f"after-{n}"))
    assert payload["page"] == {"has_more": True, "total": 100, "next_cursor": "after-13"}
    assert compact(payload).startswith('{"page":')
