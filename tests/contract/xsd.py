"""Holds JSON against the types of Intuit's XSD files, as QuickBooks writes them down: an element is a member, a
repeated one a list, an attribute a member too. The files are Intuit's and not part of this repository; see
`openapi.py`.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Any, cast

import pytest
from tests.contract.openapi import SPECS

from backoffice_shared.jsonvalues import arr, obj

_XS = "{http://www.w3.org/2001/XMLSchema}"
_FILES = (
    "Finance.xsd",
    "IntuitBaseTypes.xsd",
    "IntuitNamesTypes.xsd",
    "IntuitRestServiceDef.xsd",
    "Report.xsd",
    "SalesTax.xsd",
)
_OF_JSON = frozenset({"domain", "sparse", "type", "group"})
"""Members that the XML writes otherwise: as the name of an element, or as an attribute of its head."""


@dataclass(frozen=True)
class _Type:
    members: dict[str, tuple[str, bool]]


@dataclass
class Schema:
    types: dict[str, _Type] = field(default_factory=dict[str, _Type])
    words: dict[str, frozenset[str]] = field(default_factory=dict[str, frozenset[str]])

    def problems(self, name: str, value: Any, where: str = "") -> Iterator[str]:
        """What is wrong with `value` as a type of this name."""
        at = where or name
        if name not in self.types:
            yield from self._of_simple(name, value, at)
            return
        if not isinstance(value, dict):
            yield f"{at} is no object"
            return
        members, parts = self.types[name].members, obj(cast("object", value))
        for key, part in parts.items():
            if key not in members:
                if key not in _OF_JSON:
                    yield f"{at}.{key} is not in the XSD"
                continue
            of, repeated = members[key]
            if repeated and not isinstance(part, list):
                yield f"{at}.{key} is no list"
            elif repeated:
                for n, each in enumerate(arr(cast("object", part))):
                    yield from self.problems(of, each, f"{at}.{key}[{n}]")
            else:
                yield from self.problems(of, part, f"{at}.{key}")

    def _of_simple(self, name: str, value: Any, at: str) -> Iterator[str]:
        if name in self.words:
            if value not in self.words[name]:
                yield f"{at}: {value!r} is none of {', '.join(sorted(self.words[name]))}"
            return
        match name:
            case "decimal" | "int" | "positiveInteger" | "integer":
                good = isinstance(value, int | float) and not isinstance(value, bool)
            case "boolean":
                good = isinstance(value, bool)
            case "date":
                good = isinstance(value, str) and _parses(date.fromisoformat, value)
            case "dateTime":
                good = isinstance(value, str) and _parses(datetime.fromisoformat, value)
            case _:
                good = isinstance(value, str)
        if not good:
            yield f"{at}: {value!r} is no {name}"


def _parses(parser: Any, value: str) -> bool:
    try:
        parser(value)
    except ValueError:
        return False
    return True


def schema() -> Schema:
    """Intuit's types, or a skipped test."""
    folder = SPECS / "quickbooks_xsd"
    if not folder.exists():
        pytest.skip(f"Intuit's XSD files are not at {folder}; set BACKOFFICE_SPECS to where they are")
    complex_: dict[str, ET.Element] = {}
    found = Schema()
    for name in _FILES:
        root = ET.parse(folder / name).getroot()  # noqa: S314 - the vendor's own file, on our disk
        complex_ |= {str(t.get("name")): t for t in root.iter(f"{_XS}complexType") if t.get("name")}
        for simple in root.iter(f"{_XS}simpleType"):
            words = frozenset(str(each.get("value")) for each in simple.iter(f"{_XS}enumeration"))
            if words and simple.get("name"):
                found.words[str(simple.get("name"))] = words
    for name, element in complex_.items():
        found.types[name] = _Type(_members(name, element, complex_))
    return found


def _members(name: str, element: ET.Element, known: dict[str, ET.Element]) -> dict[str, tuple[str, bool]]:
    members: dict[str, tuple[str, bool]] = {}
    extension = element.find(f".//{_XS}extension")
    if extension is not None:
        base = _local(extension.get("base"))
        if base in known and base != name:
            members |= _members(base, known[base], known)
        elif base not in known:
            members["value"] = (base, False)
    for part in element.iter(f"{_XS}element"):
        named = _local(part.get("name") or part.get("ref"))
        inline = part.find(f"{_XS}complexType")
        of = _local(part.get("type")) if part.get("type") else (named if inline is None else "anything")
        members[named] = (of, part.get("maxOccurs") == "unbounded")
    for attribute in element.iter(f"{_XS}attribute"):
        members[_local(attribute.get("name"))] = (_local(attribute.get("type")), False)
    return members


def _local(name: str | None) -> str:
    return re.sub(r"^.*:", "", name or "string")
