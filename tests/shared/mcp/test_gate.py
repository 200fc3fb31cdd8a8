"""Gates: what each keeps out, and how a request or an operator asks for one."""

from __future__ import annotations

import pytest
from mcp_types import ToolAnnotations
from starlette.datastructures import Headers

from backoffice_shared.mcp.gate import OPEN, Gate, operators_gate, requested_gate
from backoffice_shared.mcp.tool import ADD, DESTROY, READ, ToolFacts
from backoffice_shared.settings import Settings

LOOK = ToolFacts("look", READ, "s", "notes")
NOTE = ToolFacts("note", ADD, "s", "notes")
PAY = ToolFacts("pay", DESTROY, "s", "money")
SILENT = ToolFacts("silent", ToolAnnotations(), "s")
CLAIMS_BOTH = ToolFacts("claims_both", ToolAnnotations(read_only_hint=False, destructive_hint=None), "s")
EVERY = (LOOK, NOTE, PAY, SILENT, CLAIMS_BOTH)


def through(gate: Gate) -> list[str]:
    return [tool.name for tool in EVERY if gate.refuses(tool) is None]


@pytest.mark.parametrize(
    ("gate", "left"),
    [
        (OPEN, ["look", "note", "pay", "silent", "claims_both"]),
        (Gate(toolsets=frozenset({"notes"})), ["look", "note"]),
        (Gate(tools=frozenset({"pay"})), ["pay"]),
        (Gate(toolsets=frozenset({"notes"}), tools=frozenset({"pay"})), ["look", "note", "pay"]),
        (Gate(toolsets=frozenset({"unheard-of"})), []),
        (Gate(exclude_tools=frozenset({"look"})), ["note", "pay", "silent", "claims_both"]),
        (Gate(tools=frozenset({"pay"}), exclude_tools=frozenset({"pay"})), []),
        (Gate(read_only=True), ["look"]),
        (Gate(no_destructive=True), ["look", "note"]),
        (Gate(tools=frozenset({"pay"}), read_only=True), []),
    ],
)
def test_what_a_gate_lets_through(gate: Gate, left: list[str]):
    assert through(gate) == left


def test_a_tool_that_says_nothing_of_itself_may_change_and_destroy():
    assert Gate(read_only=True).refuses(SILENT) == "read_only"
    assert Gate(no_destructive=True).refuses(SILENT) == "no_destructive"


@pytest.mark.parametrize(
    ("sent", "asked"),
    [
        ([], OPEN),
        ([("accept", "*/*")], OPEN),
        ([("Backoffice-Tools", " a , b,,")], Gate(tools=frozenset({"a", "b"}))),
        ([("backoffice-tools", "a"), ("BACKOFFICE-TOOLS", "b")], Gate(tools=frozenset({"a", "b"}))),
        (
            [("backoffice-toolsets", "t"), ("backoffice-exclude-tools", "x")],
            Gate(frozenset({"t"}), exclude_tools=frozenset("x")),
        ),
        ([("backoffice-read-only", "true")], Gate(read_only=True)),
        ([("backoffice-read-only", "nonsense")], Gate(read_only=True)),
        ([("backoffice-read-only", "No")], OPEN),
        ([("backoffice-read-only", "")], OPEN),
        ([("backoffice-read-only", "0"), ("backoffice-read-only", "1")], Gate(read_only=True)),
        ([("backoffice-no-destructive", "false, yes")], Gate(no_destructive=True)),
    ],
)
def test_a_request_says_in_headers_what_it_wants_to_be_spared(sent: list[tuple[str, str]], asked: Gate):
    raw = [(name.lower().encode(), value.encode()) for name, value in sent]
    assert requested_gate(Headers(raw=raw)) == asked


def test_an_operators_gate_is_what_the_settings_say():
    said = Settings.model_validate(
        {"toolsets": "a, b", "tools": "c", "exclude_tools": "d", "read_only": True, "no_destructive": True}
    )
    assert operators_gate(said) == Gate(frozenset("ab"), frozenset("c"), frozenset("d"), True, True)
    assert operators_gate(Settings()) == OPEN
