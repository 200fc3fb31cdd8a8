"""Which domain servers are installed here. They are found by entry point, so that nothing imports a sibling."""

from __future__ import annotations

from importlib.metadata import entry_points

from backoffice_shared.mcp.domain import Domain
from backoffice_shared.mcp.main import sandboxes_of
from backoffice_shared.sandbox.company import Company
from backoffice_shared.sandbox.frame import VendorSandbox

GROUP = "backoffice.servers"


def installed_domains() -> list[Domain]:
    found = [entry.load() for entry in sorted(entry_points(group=GROUP), key=lambda entry: entry.name)]
    return [domain for domain in found if isinstance(domain, Domain)]


def all_sandboxes(company: Company) -> dict[str, VendorSandbox]:
    """One sandbox for every vendor of every installed server, over the same company."""
    return sandboxes_of(installed_domains(), company)
