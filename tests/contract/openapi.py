"""Holds requests and answers against a vendor's OpenAPI 3.0 file.

The files are the vendors' and not part of this repository: `BACKOFFICE_SPECS` says where they are, or they lie in
`../shared/specs`. Tests that need one that is absent are skipped.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012, Schema, SchemaRegistry
from tests.contract.serving import Exchange

from backoffice_shared.jsonvalues import arr, obj

SPECS = Path(os.environ.get("BACKOFFICE_SPECS", Path(__file__).parents[2].parent / "shared" / "specs"))


def spec_file(name: str) -> dict[str, Any]:
    """A vendor's file, or a skipped test."""
    path = SPECS / name
    if not path.exists():
        pytest.skip(f"the vendor's specification is not at {path}; set BACKOFFICE_SPECS to where they are")
    return obj(json.loads(path.read_text(encoding="utf-8")))


class OpenApi:
    """Says what is wrong with an exchange; nothing, when the vendor's file allows it.

    Requests are held to more than the file says: what it does not name, it does not know. A misspelt field that
    need not be there would otherwise pass. Answers may hold more than is named.
    """

    def __init__(self, document: Mapping[str, Any]) -> None:
        self._asks = _Document(document, closed=True)
        self._answers = _Document(document, closed=False)

    def problems(self, exchange: Exchange) -> list[str]:
        return [*self.of_request(exchange), *self.of_answer(exchange)]

    def of_request(self, exchange: Exchange) -> list[str]:
        return [f"{exchange.method} {exchange.path}: {problem}" for problem in self._asked(exchange)]

    def of_answer(self, exchange: Exchange) -> list[str]:
        return [f"{exchange.method} {exchange.path}: {problem}" for problem in self._answered(exchange)]

    def _asked(self, exchange: Exchange) -> Iterator[str]:
        operation = self._asks.operation(exchange)
        if operation is None:
            yield "there is no such operation"
            return
        parameters = [self._asks.resolved(parameter) for parameter in arr(operation.get("parameters"))]
        query = {parameter["name"]: parameter for parameter in parameters if parameter["in"] == "query"}
        for name in exchange.query.keys() - query.keys():
            yield f"the query parameter {name} is not known"
        for name, parameter in query.items():
            if name in exchange.query:
                yield from self._asks.problems(parameter["schema"], _typed(exchange.query[name], parameter), name)
            elif parameter.get("required"):
                yield f"the query parameter {name} is missing"
        wanted = self._asks.resolved(operation.get("requestBody"))
        if exchange.body and wanted:
            schema = wanted["content"]["application/json"]["schema"]
            yield from self._asks.problems(schema, exchange.sent, "body")
        elif exchange.body:
            yield "no body is expected"
        elif wanted.get("required"):
            yield "a body is missing"

    def _answered(self, exchange: Exchange) -> Iterator[str]:
        operation = self._answers.operation(exchange)
        if operation is None:
            yield "there is no such operation"
            return
        responses = obj(operation["responses"])
        statuses = (str(exchange.status), f"{exchange.status // 100}XX", "default")
        status = next((status for status in statuses if status in responses), None)
        if status is None:
            yield f"{exchange.status} is no status of it"
            return
        content = obj(self._answers.resolved(responses[status]).get("content"))
        kind = next((kind for kind in ("application/json", "*/*") if kind in content), None)
        if kind is not None:
            schema = content[kind]["schema"]
            yield from self._answers.problems(schema, exchange.answered, str(exchange.status))
        elif exchange.answer:
            yield f"{exchange.status} has no body"


class _Document:
    """A vendor's file, its schemas in the words of JSON Schema. `closed`: objects hold nothing that is not named."""

    def __init__(self, document: Mapping[str, Any], *, closed: bool) -> None:
        self._content = obj(_as_json_schema(document, closed=closed))
        # Concrete paths before those with a variable: `/contacts/search` before `/contacts/{id}`.
        self._templates = sorted(self._content["paths"], key=lambda template: template.count("{"))
        resource: Resource[Schema] = Resource(contents=self._content, specification=DRAFT202012)
        empty: SchemaRegistry = Registry()
        self._registry = empty.with_resource(_HERE, resource)

    def operation(self, exchange: Exchange) -> dict[str, Any] | None:
        for template in self._templates:
            operations = obj(self._content["paths"][template])
            pattern = re.sub(r"\\{.+?\\}", "[^/]+", re.escape(template))
            if exchange.method.lower() in operations and re.fullmatch(pattern, exchange.path):
                return obj(operations[exchange.method.lower()])
        return None

    def resolved(self, part: object) -> dict[str, Any]:
        """`part`, or what it refers to."""
        found = obj(part)
        while "$ref" in found:
            target: Any = self._content
            for name in str(found["$ref"]).removeprefix(_HERE + "#/").split("/"):
                target = target[name.replace("~1", "/").replace("~0", "~")]
            found = obj(target)
        return found

    def problems(self, schema: Mapping[str, Any], value: Any, what: str) -> Iterator[str]:
        validator: Any = Draft202012Validator(schema, registry=self._registry, format_checker=_FORMATS)
        for error in validator.iter_errors(value):
            yield f"{what}{error.json_path.removeprefix('$')}: {error.message[:300]}"


_HERE = "urn:vendor"


def _as_json_schema(part: Any, *, closed: bool) -> Any:
    """OpenAPI 3.0 schemas in the words of JSON Schema, all through a document."""
    if entries := arr(part):
        return [_as_json_schema(entry, closed=closed) for entry in entries]
    if not (fields := obj(part)):
        return part
    schema: dict[str, Any] = {name: _as_json_schema(value, closed=closed) for name, value in fields.items()}
    if isinstance(schema.get("$ref"), str):
        schema["$ref"] = _HERE + schema["$ref"]
    for bound, name in (("exclusiveMinimum", "minimum"), ("exclusiveMaximum", "maximum")):
        if isinstance(schema.get(bound), bool) and schema.pop(bound):
            schema[bound] = schema.pop(name)
    if closed and schema.get("type") == "object" and schema.get("properties"):
        schema.setdefault("additionalProperties", False)
    if schema.get("nullable") is True:
        return {"anyOf": [{**schema, "nullable": False}, {"type": "null"}]}
    return schema


def _typed(values: list[str], parameter: Mapping[str, Any]) -> object:
    """What a query parameter's text stands for."""
    schema = obj(parameter["schema"])
    if schema.get("type") == "array":
        parts = values if parameter.get("explode", True) else values[-1].split(",")
        return [_typed([part], {"schema": obj(schema.get("items"))}) for part in parts]
    if schema.get("type") in ("integer", "number", "boolean"):
        try:
            return json.loads(values[-1].lower())  # clients in Python say True
        except ValueError:
            return values[-1]
    return values[-1]


_FORMATS = FormatChecker(formats=("uuid",))


@_FORMATS.checks("date-time", raises=ValueError)
def _is_date_time(value: object) -> bool:
    return not isinstance(value, str) or datetime.fromisoformat(value).tzinfo is not None
