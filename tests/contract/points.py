"""What a GraphQL document costs at Shopify, as it first published that: a point an object, ten for a mutation.

It charges less for long pages since, by a rule that it does not say, so this is the most that a document can cost.

Source: https://shopify.engineering/rate-limiting-graphql-apis-calculating-query-complexity
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from graphql import (
    FieldNode,
    FragmentDefinitionNode,
    FragmentSpreadNode,
    GraphQLInterfaceType,
    GraphQLNamedType,
    GraphQLObjectType,
    GraphQLSchema,
    InlineFragmentNode,
    OperationDefinitionNode,
    OperationType,
    SelectionSetNode,
    is_leaf_type,
    parse,
    value_from_ast_untyped,
)

_SIZES = ("first", "ids", "names")  # arguments that say how many objects a field gives


def points(schema: GraphQLSchema, text: str, variables: Mapping[str, Any]) -> int:
    definitions = parse(text).definitions
    operation = next(found for found in definitions if isinstance(found, OperationDefinitionNode))
    fragments = {found.name.value: found for found in definitions if isinstance(found, FragmentDefinitionNode)}
    changes = operation.operation is OperationType.MUTATION
    root = schema.mutation_type if changes else schema.query_type
    assert root is not None
    return _Counter(schema, fragments, variables).of(operation.selection_set, root) + (10 if changes else 0)


class _Counter:
    def __init__(
        self, schema: GraphQLSchema, fragments: Mapping[str, FragmentDefinitionNode], variables: Mapping[str, Any]
    ) -> None:
        self._schema = schema
        self._fragments = fragments
        self._variables = dict(variables)

    def of(self, selections: SelectionSetNode, kind: GraphQLNamedType) -> int:
        return sum(self._selected(selection, kind) for selection in selections.selections)

    def _selected(self, selection: object, kind: GraphQLNamedType) -> int:
        match selection:
            case FragmentSpreadNode(name=name):
                fragment = self._fragments[name.value]
                return self.of(fragment.selection_set, self._schema.type_map[fragment.type_condition.name.value])
            case InlineFragmentNode(type_condition=narrower, selection_set=inside):
                return self.of(inside, kind if narrower is None else self._schema.type_map[narrower.name.value])
            case FieldNode():
                return self._field(selection, kind)
            case _:
                return 0

    def _field(self, field: FieldNode, kind: GraphQLNamedType) -> int:
        assert isinstance(kind, GraphQLObjectType | GraphQLInterfaceType)
        found = self._schema.type_map[str(kind.fields[field.name.value].type).strip("[!]")]
        if is_leaf_type(found) or field.selection_set is None:
            return 0
        inside = self.of(field.selection_set, found)
        # A connection is as many objects as it is asked for; what it wraps them in is none.
        return self._size(field) * (inside if found.name.endswith(("Connection", "Edge", "PageInfo")) else 1 + inside)

    def _size(self, field: FieldNode) -> int:
        given = [argument for argument in field.arguments or () if argument.name.value in _SIZES]
        values: list[Any] = [value_from_ast_untyped(argument.value, self._variables) for argument in given]
        return max((value if isinstance(value, int) else len(value) for value in values), default=1)
