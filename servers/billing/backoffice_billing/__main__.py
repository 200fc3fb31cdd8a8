"""`backoffice-billing`: settings in, server run; or its approvals decided."""

from __future__ import annotations

from backoffice_billing.server import SERVER
from backoffice_shared.mcp.approvals_command import approval_commands, open_approvals
from backoffice_shared.mcp.main import domain_main, read_settings


def main() -> None:
    approvals = approval_commands(
        lambda server: open_approvals(read_settings(), server), program="backoffice-billing", server=SERVER.name
    )
    domain_main(SERVER, approvals)


if __name__ == "__main__":
    main()
