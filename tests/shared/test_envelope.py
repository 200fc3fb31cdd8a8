"""The shape of every read."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from backoffice_shared.envelope import Answer, Listing, Page
from backoffice_shared.errors import InvalidInput
from backoffice_shared.sources import Source


class Thing(BaseModel):
    id: str
    name: str
    size: int | None = None


def things() -> Listing[Thing]:
    return Listing(items=[Thing(id="1", name="Anvil", size=7), Thing(id="2", name="Rope")])


def test_a_listing_has_its_page_first_and_nothing_that_is_empty() -> None:
    assert list(things().payload().items()) == [
        ("page", {"has_more": False}),
        ("items", [{"id": "1", "name": "Anvil", "size": 7}, {"id": "2", "name": "Rope"}]),
    ]


def test_a_listing_says_how_to_go_on_where_it_came_from_and_what_was_left_out() -> None:
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    listing = Listing[Thing](
        page=Page(next_cursor="c", has_more=True, total=9),
        items=[],
        sources=[Source(backend="acme", status="ok", as_of=at)],
        notes=["something is missing"],
    )
    assert listing.payload() == {
        "page": {"next_cursor": "c", "has_more": True, "total": 9},
        "items": [],
        "sources": [{"backend": "acme", "status": "ok", "as_of": "2026-01-02T03:04:05Z"}],
        "notes": ["something is missing"],
    }


def test_only_the_fields_that_were_asked_for_and_the_one_that_identifies_are_kept() -> None:
    assert things().only(["size"], Thing, always="id").payload()["items"] == [{"id": "1", "size": 7}, {"id": "2"}]


def test_asking_for_no_fields_in_particular_gives_all() -> None:
    assert things().only(None, Thing, always="id").payload() == things().payload()


def test_asking_for_an_empty_list_of_fields_gives_what_identifies() -> None:
    assert things().only([], Thing, always="id").payload()["items"] == [{"id": "1"}, {"id": "2"}]


def test_a_field_that_does_not_exist_is_refused_with_those_that_do() -> None:
    with pytest.raises(InvalidInput) as raised:
        things().only(["size", "weight", "colour"], Thing, always="id")
    assert str(raised.value) == "fields: there is no colour, weight. Valid: id, name, size."


def test_an_answer_has_nothing_that_is_empty() -> None:
    assert Answer().payload() == {}
