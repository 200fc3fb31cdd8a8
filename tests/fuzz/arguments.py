"""Arguments for any tool, made from its schema: those that fit it, and those in which something is hostile."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from hypothesis import strategies as st
from tests.fuzz.hostile import NAMES, NO_TEXTS, TEXTS, nested

from backoffice_shared.jsonvalues import arr, obj

Values = st.SearchStrategy[Any]
Known = Mapping[str, Sequence[str]]
"""By the name of a parameter, texts that mean something there: a fuzz that knows no id never gets past the door."""

ANY: Values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(st.text(max_size=20), inner, max_size=5),
    max_leaves=10,
)
HOSTILE: Values = st.sampled_from((*TEXTS, *NO_TEXTS)) | st.builds(nested, st.integers(1, 120)) | ANY


def fitting(schema: dict[str, Any], known: Known, name: str = "") -> Values:
    """Values of the parameter `name` that its schema accepts, hostile ones among them where it leaves room."""
    if "enum" in schema or "const" in schema:
        return st.sampled_from(arr(schema.get("enum")) or [schema["const"]])
    if choices := arr(schema.get("anyOf")):
        return st.one_of([fitting(choice, known, name) for choice in choices])
    match schema.get("type"):
        case "string":
            return _texts(schema, known.get(name, ()))
        case "integer":
            return st.integers(schema.get("minimum", -(2**70)), schema.get("maximum", 2**70))
        case "boolean":
            return st.booleans()
        case "array":
            most = min(schema.get("maxItems", 5), 5)
            items = fitting(obj(schema.get("items")), known, name)
            return st.lists(items, min_size=schema.get("minItems", 0), max_size=most)
        case "object":
            return _objects(schema, known)
        case _:
            return ANY


def calls(schema: dict[str, Any], known: Known) -> Values:
    """Arguments of the tool that has this schema: all of them fit, or some are hostile, missing, or of no parameter that it has."""
    names = sorted(schema["properties"])
    fits = fitting(schema, known)
    spoilt = st.dictionaries(st.sampled_from([*names, *NAMES]), HOSTILE, max_size=3)
    return fits | st.builds(_spoilt, fits, spoilt, st.none() | st.sampled_from(names))


def _spoilt(given: dict[str, Any], spoilt: dict[str, Any], left_out: str | None) -> dict[str, Any]:
    return {name: value for name, value in {**given, **spoilt}.items() if name != left_out}


def _texts(schema: Mapping[str, Any], known: Sequence[str]) -> Values:
    some = st.from_regex(str(schema["pattern"]), fullmatch=True) if "pattern" in schema else _any_texts(schema, known)
    if not known:
        return some
    meant = st.sampled_from(list(known))
    return meant | meant | meant | some


def _any_texts(schema: Mapping[str, Any], known: Sequence[str]) -> Values:
    least, most = schema.get("minLength", 0), schema.get("maxLength", 1_000)
    hostile = [text for text in TEXTS if least <= len(text) <= most]
    beside = [f"{one}{text}" for one in known[:3] for text in TEXTS if len(one) + len(text) <= most]
    return st.sampled_from(hostile + beside) | st.text(min_size=least, max_size=min(most, 50))


def _objects(schema: Mapping[str, Any], known: Known) -> Values:
    parts = {name: fitting(obj(part), known, name) for name, part in obj(schema.get("properties")).items()}
    required = set(arr(schema.get("required")))
    return st.fixed_dictionaries(
        {name: part for name, part in parts.items() if name in required},
        optional={name: part for name, part in parts.items() if name not in required},
    )
