"""What a customer owes, and how they pay."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from backoffice_billing.models import Accounts, AccountSection, CustomerId
from backoffice_billing.services import TheDirectory
from backoffice_shared.mcp.tool import READ, tool


@tool(READ, scope="billing:read", toolset="accounts", needs="accounts")
async def get_billing_account(
    directory: TheDirectory,
    customer_ids: Annotated[list[CustomerId], Field(min_length=1, max_length=20)],
    include: Annotated[list[AccountSection], Field(description="Default balance, overdue")] | None = None,
) -> Accounts:
    """A customer's account in each billing system. Never add systems up: they may hold the same invoice."""
    return await directory.accounts(customer_ids, frozenset(include or ("balance", "overdue")))


TOOLS = (get_billing_account,)
