"""What tools work with. One `Services` is made when the server starts; tools name the part that they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context, Resolve
from mcp_types.version import is_version_at_least

from backoffice_billing.crediting import Crediting
from backoffice_billing.directory import Directory
from backoffice_billing.invoices import Billing
from backoffice_billing.payments import Receipts
from backoffice_billing.reconciling import Reconciling
from backoffice_billing.refunds import Refunds
from backoffice_billing.reports import Reports


@dataclass(frozen=True, slots=True)
class Services:
    directory: Directory
    billing: Billing
    crediting: Crediting
    receipts: Receipts
    refunds: Refunds
    reports: Reports
    reconciling: Reconciling


Running = Context[Services]


def can_ask(ctx: Running) -> bool:
    """Whether the client can put a question to whoever sits before it."""
    declared = ctx.client_capabilities
    elicits = declared.elicitation if declared is not None else None
    if elicits is None or (elicits.form is None and elicits.url is not None):
        return False
    version = ctx.protocol_version
    return (version is not None and is_version_at_least(version, "2026-07-28")) or ctx.session.can_send_request


async def _directory(ctx: Running) -> Directory:
    return ctx.request_context.lifespan_context.directory


async def _billing(ctx: Running) -> Billing:
    return ctx.request_context.lifespan_context.billing


async def _crediting(ctx: Running) -> Crediting:
    return ctx.request_context.lifespan_context.crediting


async def _receipts(ctx: Running) -> Receipts:
    return ctx.request_context.lifespan_context.receipts


async def _refunds(ctx: Running) -> Refunds:
    return ctx.request_context.lifespan_context.refunds


async def _reports(ctx: Running) -> Reports:
    return ctx.request_context.lifespan_context.reports


async def _reconciling(ctx: Running) -> Reconciling:
    return ctx.request_context.lifespan_context.reconciling


TheDirectory = Annotated[Directory, Resolve(_directory)]
TheBilling = Annotated[Billing, Resolve(_billing)]
TheCrediting = Annotated[Crediting, Resolve(_crediting)]
TheReceipts = Annotated[Receipts, Resolve(_receipts)]
TheRefunds = Annotated[Refunds, Resolve(_refunds)]
TheReports = Annotated[Reports, Resolve(_reports)]
TheReconciling = Annotated[Reconciling, Resolve(_reconciling)]
