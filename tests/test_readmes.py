"""The table of tools in a server's README is made from the server. `make snapshot` writes it anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from backoffice_billing.server import SERVER as BILLING
from backoffice_customer.server import SERVER as CUSTOMER
from backoffice_shared.mcp.domain import Domain
from backoffice_shared.mcp.tool import ToolSpec

SERVERS = Path(__file__).parents[1] / "servers"
BEGIN, END = "<!-- tools: made by `make snapshot` -->", "<!-- /tools -->"


@pytest.mark.parametrize("domain", [BILLING, CUSTOMER], ids=lambda domain: domain.name)
def test_the_table_of_tools_is_that_of_the_server(domain: Domain, request: pytest.FixtureRequest):
    readme = SERVERS / domain.name / "README.md"
    before, _, rest = readme.read_text().partition(BEGIN)
    _, _, after = rest.partition(END)
    made = f"{before}{BEGIN}\n{table(domain)}\n{END}{after}"
    if request.config.getoption("--snapshot-update"):
        readme.write_text(made)
    assert readme.read_text() == made


def table(domain: Domain) -> str:
    head = ["| tool | what it does | effect | scope | systems |", "|---|---|---|---|---|"]
    return "\n".join([*head, *(_row(domain, spec) for spec in domain.tools)])


def _row(domain: Domain, spec: ToolSpec) -> str:
    does = " ".join((spec.fn.__doc__ or "").split())
    effect = "reads" if spec.facts.reads else "for good" if spec.facts.destructive else "adds"
    systems = ", ".join(vendor.backend.title for vendor in domain.vendors if spec.needs in vendor.provides)
    return f"| `{spec.name}` | {does} | {effect} | `{spec.scope}` | {systems} |"
