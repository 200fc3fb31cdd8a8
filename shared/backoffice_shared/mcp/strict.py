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
from pydantic import BaseModel, ValidationError

from backoffice_shared.errors import BackofficeError, InvalidInput
from backoffice_shared.jsonvalues import arr, obj
from backoffice_shared.mcp.bounded import fit
from backoffice_shared.mcp.outcome import crashed, refused
from backoffice_shared.mcp.tool import POLICY_META, ToolSpec


class StrictTool(Tool):
    """`Tool` with our manners. `run` is the seam that the SDK's tool manager calls."""

    @classmethod
    def of(cls, spec: ToolSpec) -> StrictTool:
        plain = Tool.from_function(
            spec.fn,
            annotations=spec.effect,
            description=_prompt(spec),
            meta={POLICY_META: {"scope": spec.scope, "toolset": spec.toolset}},
        )
        arguments = plain.fn_metadata.arg_model
        arguments.model_config["extra"] = "forbid"
        arguments.model_rebuild(force=True)
        plain.fn_metadata.output_schema = shallow(plain.fn_metadata.output_schema)
        fields = {name: getattr(plain, name) for name in Tool.model_fields}
        fields["parameters"] = without_titles(arguments.model_json_schema(by_alias=True))
        return cls(**fields)

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
            return answered(await self.fn(**given))
        except BackofficeError as error:
            return refused(error)
        except (MCPError, ToolError):
            raise
        except Exception as error:
            raise crashed(self.name) from error

    def _validated(self, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            return self.fn_metadata.validate_arguments(arguments)
        except ValidationError as error:
            raise InvalidInput("", _sentence(error), hint=_valid(self.parameters, error)) from None


def answered(result: BaseModel) -> CallToolResult:
    payload, text = fit(result)
    return CallToolResult(content=[TextContent(type="text", text=text)], structured_content=payload)


def without_titles(schema: object) -> Any:
    """The schema without pydantic's titles, and without the `null` that only says "may be left out"."""
    if entries := arr(schema):
        return [without_titles(entry) for entry in entries]
    if not obj(schema):
        return schema
    kept = {
        name: without_titles(value)
        for name, value in obj(schema).items()
        if not (name == "title" and isinstance(value, str)) and not (name == "default" and value is None)
    }
    choices = [choice for choice in kept.get("anyOf", []) if choice != {"type": "null"}]
    if len(choices) == 1:
        del kept["anyOf"]
        kept = {**choices[0], **kept}
    return kept


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
