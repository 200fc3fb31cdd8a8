"""`backoffice-customer`: settings in, server run."""

from __future__ import annotations

from backoffice_customer.server import SERVER
from backoffice_shared.mcp.main import domain_main


def main() -> None:
    domain_main(SERVER)


if __name__ == "__main__":
    main()
