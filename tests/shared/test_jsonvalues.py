"""JSON as RFC 8259 has it, which knows fewer numbers than Python."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import JsonValue

from backoffice_shared.jsonvalues import compact, parse

VALUES: st.SearchStrategy[JsonValue] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


@given(VALUES)
def test_what_is_written_is_read_back(value: JsonValue) -> None:
    assert json.loads(compact(value)) == value


def test_nothing_is_written_that_could_be_spared() -> None:
    assert compact({"name": "Zoë", "ids": [1, 2]}) == '{"name":"Zoë","ids":[1,2]}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_a_number_that_json_does_not_have_cannot_be_written(number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        compact({"series": [1.5, number]})


def test_a_json_text_is_read() -> None:
    assert parse('{"name": "Zoë", "ids": [1, 2.5, null]}'.encode()) == {"name": "Zoë", "ids": [1, 2.5, None]}


@pytest.mark.parametrize("constant", ["NaN", "Infinity", "-Infinity"])
def test_a_number_that_json_does_not_have_is_not_read(constant: str) -> None:
    with pytest.raises(ValueError, match=f"^{constant} is not JSON$"):
        parse(f'{{"series": [1.5, {constant}]}}'.encode())


@pytest.mark.parametrize("content", [b"", b"{", b"<html>", b"\xff\xfe\xfd"])
def test_what_is_no_json_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - whatever Python says of it
        parse(content)
