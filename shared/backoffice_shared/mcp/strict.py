"""A tool as the SDK runs it, with what the SDK leaves open closed: unknown arguments are refused, schemas carry no
titles, a failure is a sentence, and the text a model reads is compact JSON that fits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from mcp.server.mcpserver import Context
from mcp.server.mcpserver.exceptions import ToolError
from mcp.server.mcpserver.resolve import resolve_arguments
from mcp.server.mcpserver.tools import Tool
from mcp.shared.exceptions import MCPError
from mcp_types import CallToolResult, InputRequiredResult, TextContent
from mcp_types import Tool as ListedTool
from pydantic import BaseModel, PrivateAttr, ValidationError

from backoffice_shared.errors import BackofficeError, InvalidInput, OutcomeUnknown
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.mcp.bounded import fit
from backoffice_shared.mcp.outcome import crashed, refused
from backoffice_shared.mcp.personal import masked_error
from backoffice_shared.mcp.tool import POLICY_META, ToolSpec
from backoffice_shared.principal import principal


class StrictTool(Tool):
    """`Tool` with our manners. `run` is the seam that the SDK's tool manager calls."""

    _personal_scope: str = PrivateAttr(default="")

    @classmethod
    def of(cls, spec: ToolSpec, *, personal_scope: str = "") -> StrictTool:
        """`personal_scope` is what a caller needs to be given personal data as it is."""
        plain = Tool.from_function(
            spec.fn,
            annotations=spec.effect,
            description=_prompt(spec),
            meta={POLICY_META: {"scope": spec.scope, "toolset": spec.toolset, **_personal(spec, personal_scope)}},
        )
        arguments = plain.fn_metadata.arg_model
        arguments.model_config["extra"] = "forbid"
        arguments.model_rebuild(force=True)
        plain.fn_metadata.output_schema = shallow(plain.fn_metadata.output_schema)
        fields = {name: getattr(plain, name) for name in Tool.model_fields}
        fields["parameters"] = concise(arguments.model_json_schema(by_alias=True))
        tool = cls(**fields)
        tool._personal_scope = personal_scope if spec.personal else ""
        return tool

    @property
    def structured_parameters(self) -> frozenset[str]:
        """Those that are lists or objects."""
        properties = obj(self.parameters.get("properties"))
        return frozenset(name for name, part in properties.items() if obj(part).get("type") in ("array", "object"))

    @property
    def listed(self) -> ListedTool:
        """As callers are shown it."""
        return ListedTool(
            name=self.name,
            title=self.title,
            description=self.description,
            input_schema=self.parameters,
            output_schema=self.output_schema,
            annotations=self.annotations,
            icons=self.icons,
            _meta=self.meta,
        )

    async def run(
        self,
        arguments: dict[str, Any],
        context: Context[Any, Any],
        convert_result: bool = False,  # noqa: ARG002, FBT001, FBT002 - the SDK's signature; we always convert
    ) -> CallToolResult | InputRequiredResult:
        try:
            given = self._validated(arguments)
            if self.resolved_params:
                resolved = await resolve_arguments(self.resolved_params, self.resolver_plans, given, context)
                if isinstance(resolved, InputRequiredResult):
                    return resolved
                given |= resolved
            return answered(await self.fn(**given), masked=self._masked)
        except BackofficeError as error:
            if error.idempotency_key is not None or isinstance(error, OutcomeUnknown):
                # As the caller knows it, whatever a vendor was shown.
                error.idempotency_key = arguments.get("idempotency_key")
            return refused(masked_error(error) if self._masked else error)
        except (MCPError, ToolError):
            raise
        except Exception as error:
            raise crashed(self.name) from error

    @property
    def _masked(self) -> bool:
        return self._personal_scope != "" and not principal().holds(self._personal_scope)

    def _validated(self, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            # The SDK's own way would also read JSON within strings, cursors and texts included; `wellformed.py` did,
            # where a list or an object is wanted.
            return self.fn_metadata.arg_model.model_validate(arguments).model_dump_one_level()
        except ValidationError as error:
            raise InvalidInput("", _sentence(error), hint=_valid(self.parameters, error)) from None


def _personal(spec: ToolSpec, scope: str) -> dict[str, str]:
    return {"personal_scope": scope} if scope and spec.personal else {}


def answered(result: BaseModel, *, masked: bool = False) -> CallToolResult:
    payload, text = fit(result, masked=masked)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=payload)


def concise(schema: dict[str, Any]) -> dict[str, Any]:
    """The schema without what costs every conversation and helps in none: pydantic's titles, the `null` that only says
    "may be left out", and the least and most that nobody exceeds unknowingly, which a refusal says when it matters. What is used once stands where
    it is used.
    """
    return _concise(schema, obj(schema.get("$defs")), named=False)


def _concise(schema: object, definitions: Mapping[str, Any], *, named: bool) -> Any:
    """`named`: the keys are names of properties, and say nothing about the schema."""
    if entries := arr(schema):
        return [_concise(entry, definitions, named=False) for entry in entries]
    if not (parts := obj(schema)):
        return schema
    if named:
        return {name: _concise(part, definitions, named=False) for name, part in parts.items()}
    if "$ref" in parts:
        meant = obj(definitions.get(str(parts["$ref"]).rpartition("/")[2]))
        return _concise({**meant, **{n: part for n, part in parts.items() if n != "$ref"}}, definitions, named=False)
    kept = {
        name: _concise(part, definitions, named=name == "properties")
        for name, part in parts.items()
        if name not in _UNSAID
        and not (name == "default" and part is None)
        and not (name in ("maximum", "maxItems") and part >= _BEYOND_MISTAKES)
    }
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept = {**choices[0], **kept}
    return kept


_BEYOND_MISTAKES = 100
_UNSAID = ("$defs", "title", "minLength", "maxLength", "pattern", "minItems", "minimum")


def shallow(schema: dict[str, Any] | None) -> dict[str, Any] | None:
    """An output schema that names the fields of the result and of its items, and goes no deeper.

    Hosts pay for these with every conversation; a deep one costs more than the tool's own definition.
    """
    if schema is None:
        return None
    definitions = obj(schema.get("$defs"))
    return {"type": "object", "properties": {n: _outline(p, definitions) for n, p in schema["properties"].items()}}


def _outline(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The kind of a field; of a list of objects also what these have."""
    schema = _meant(schema, definitions)
    if schema.get("type") != "array":
        return {"type": schema["type"]} if "type" in schema else {}
    fields = obj(_meant(obj(schema.get("items")), definitions).get("properties"))
    if not fields or "backend" in fields:  # `sources` is the same everywhere
        return {"type": "array"}
    return {"type": "array", "items": {"properties": {name: {} for name in fields}}}


def _meant(schema: dict[str, Any], definitions: dict[str, Any]) -> dict[str, Any]:
    """The schema behind a reference, or behind "this or null"."""
    if "$ref" in schema:
        return _meant(definitions[schema["$ref"].rpartition("/")[2]], definitions)
    choices = [choice for choice in arr(schema.get("anyOf")) if choice != {"type": "null"}]
    return _meant(choices[0], definitions) if len(choices) == 1 else schema


def _prompt(spec: ToolSpec) -> str:
    """The docstring, unfolded: every paragraph one line."""
    paragraphs = (spec.fn.__doc__ or "").strip().split("\n\n")
    return "\n".join(" ".join(paragraph.split()) for paragraph in paragraphs)


def _sentence(error: ValidationError) -> str:
    """What is wrong with which argument. The rejected values stay out: they may be a customer's data."""
    faults = error.errors(include_url=False, include_context=False, include_input=False)
    told = [
        f"{'.'.join(str(part)[:64] for part in fault['loc']) or 'arguments'}: {_fault(fault)}" for fault in faults[:5]
    ]
    if len(faults) > len(told):
        told.append(f"and {len(faults) - len(told)} more")
    return "; ".join(told)


def _fault(fault: Mapping[str, Any]) -> str:
    match fault["type"]:
        case "missing":
            return "is required"
        case "extra_forbidden":
            return "there is no such argument"
        case _:
            message = str(fault["msg"])
            return message[0].lower() + message[1:]


def _valid(parameters: Mapping[str, Any], error: ValidationError) -> str:
    if not any(fault["type"] == "extra_forbidden" for fault in error.errors()):
        return ""
    return f"Valid arguments: {', '.join(parameters.get('properties', {}))}"
