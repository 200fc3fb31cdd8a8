"""What tools work with. One `Services` is made when the server starts; tools name the part that they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context, Resolve

from backoffice_customer.directory import Directory
from backoffice_customer.orders import Orders
from backoffice_customer.profiles import Profiles
from backoffice_customer.tickets import Tickets


@dataclass(frozen=True, slots=True)
class Services:
    directory: Directory
    profiles: Profiles
    tickets: Tickets
    orders: Orders


Running = Context[Services]


async def _directory(ctx: Running) -> Directory:
    return ctx.request_context.lifespan_context.directory


async def _profiles(ctx: Running) -> Profiles:
    return ctx.request_context.lifespan_context.profiles


async def _tickets(ctx: Running) -> Tickets:
    return ctx.request_context.lifespan_context.tickets


async def _orders(ctx: Running) -> Orders:
    return ctx.request_context.lifespan_context.orders


TheDirectory = Annotated[Directory, Resolve(_directory)]
TheProfiles = Annotated[Profiles, Resolve(_profiles)]
TheTickets = Annotated[Tickets, Resolve(_tickets)]
TheOrders = Annotated[Orders, Resolve(_orders)]
