"""What can be read at an address: an invoice, and the policy that refunds are decided by."""

from __future__ import annotations

from typing import Any

from backoffice_billing.policy import render
from backoffice_shared.mcp.addressed import Addressed, Page
from backoffice_shared.principal import principal

RESOURCES = (
    Addressed(
        "invoice",
        "An invoice with lines, payments, credit notes, links, and how the ledger has it.",
        "get_invoices",
        lambda ref, _section: {
            "invoice_ids": [ref],
            "include": ["lines", "payments", "credit_notes", "links", "accounting"],
        },
    ),
)


def _policy(services: Any) -> str:
    return render(services.refunds.policy, principal())


PAGES = (
    Page(
        "policy://refunds",
        "refund_policy",
        "The policy that refunds are decided by, and what the caller may approve.",
        "preview_refund",
        _policy,
    ),
)
