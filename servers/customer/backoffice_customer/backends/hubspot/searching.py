"""HubSpot's search as its sandbox reads it: groups of filters of which one must hold whole, and sorts.

Source: https://developers.hubspot.com/docs/api-reference/2026-03/crm/search-the-crm
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from backoffice_customer.backends.hubspot.answers import Record, Refused, invalid_json, required
from backoffice_shared.jsonvalues import arr, obj

_MOST_GROUPS, _MOST_FILTERS = 6, 6


def groups(search: Record) -> list[list[Record]]:
    """The filters that are asked for."""
    found = [[_condition(obj(f)) for f in arr(obj(g).get("filters"))] for g in arr(search.get("filterGroups"))]
    if len(found) > _MOST_GROUPS or any(len(group) > _MOST_FILTERS for group in found):
        raise Refused(
            f"No more than {_MOST_GROUPS} filterGroups of {_MOST_FILTERS} filters each are allowed.", "filterGroups"
        )
    return found


def associated(group: list[Record]) -> Record | None:
    """The filter of a group that says whose records are meant."""
    named = (f for f in group if str(f["propertyName"]).startswith("associations."))
    return next((f for f in named if f["operator"] in ("EQ", "IN")), None)


def wanted_ids(condition: Record) -> list[str]:
    return [str(value) for value in (*arr(condition.get("values")), condition.get("value")) if value is not None]


def holds(properties: Record, wanted: list[list[Record]]) -> bool:
    return not wanted or any(all(_holds(properties, condition) for condition in group) for group in wanted)


def in_order(rows: list[Record], search: Record) -> list[Record]:
    found = list(rows)
    for sort in reversed(arr(search.get("sorts"))):
        by = str(obj(sort).get("propertyName"))
        descending = obj(sort).get("direction") == "DESCENDING"
        found.sort(key=lambda row: str(row["properties"].get(by) or ""), reverse=descending)
    return found


def _condition(condition: Record) -> Record:
    """A filter that can be asked for."""
    required(condition, "Filter", "propertyName", "operator")
    operator = str(condition["operator"])
    if operator not in _OPERATORS and operator not in _ABSENT:
        raise invalid_json(f"{operator} is not one of the filter operators", "filterGroups")
    if operator == "BETWEEN" and condition.get("highValue") is None:
        raise invalid_json("operator BETWEEN requires a highValue", "filterGroups")
    if operator in ("IN", "NOT_IN") and not arr(condition.get("values")):
        raise invalid_json(f"operator {operator} requires values", "filterGroups")
    return condition


def _holds(properties: Record, condition: Record) -> bool:
    name = str(condition["propertyName"])
    if name.startswith("associations."):
        return True  # only what is associated was looked at
    value = properties.get(name) or None  # what was emptied is not there
    operator = str(condition["operator"])
    if operator in _ABSENT:
        return (value is None) is _ABSENT[operator]
    if value is None:
        return operator.startswith("N")  # NEQ, NOT_IN and NOT_CONTAINS_TOKEN hold for what is not there
    low, high = (_comparable(condition.get(name)) for name in ("value", "highValue"))
    members = {_comparable(entry) for entry in arr(condition.get("values"))}
    return _OPERATORS[operator](_comparable(value), low, high, members)


_Comparable = tuple[float, str]
_ABSENT = {"HAS_PROPERTY": False, "NOT_HAS_PROPERTY": True}
_OPERATORS: dict[str, Callable[[_Comparable, _Comparable, _Comparable, set[_Comparable]], bool]] = {
    "EQ": lambda value, wanted, _high, _members: value == wanted,
    "NEQ": lambda value, wanted, _high, _members: value != wanted,
    "GT": lambda value, wanted, _high, _members: value > wanted,
    "GTE": lambda value, wanted, _high, _members: value >= wanted,
    "LT": lambda value, wanted, _high, _members: value < wanted,
    "LTE": lambda value, wanted, _high, _members: value <= wanted,
    "BETWEEN": lambda value, low, high, _members: low <= value <= high,
    "IN": lambda value, _wanted, _high, members: value in members,
    "NOT_IN": lambda value, _wanted, _high, members: value not in members,
    "CONTAINS_TOKEN": lambda value, wanted, _high, _members: wanted[1].strip("*") in value[1],
    "NOT_CONTAINS_TOKEN": lambda value, wanted, _high, _members: wanted[1].strip("*") not in value[1],
}


def _comparable(value: object) -> _Comparable:
    """Times and numbers by size, the rest by letters. A time may be written in milliseconds or in ISO 8601."""
    text = str(value or "")
    try:
        return (float(text), "")
    except ValueError:
        pass
    try:
        return (datetime.fromisoformat(text).timestamp() * 1000, "")
    except ValueError:
        return (0.0, text.lower())
