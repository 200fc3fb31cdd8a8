"""What tools work with. One `Services` is made when the server starts; tools name the part that they need."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from mcp.server.mcpserver import Context, Resolve

from backoffice_customer.directory import Directory
from backoffice_customer.knowledge import Knowledge
from backoffice_customer.orders import Orders
from backoffice_customer.profiles import Profiles
from backoffice_customer.replies import Replies
from backoffice_customer.stock import Inventory
from backoffice_customer.tickets import Tickets
from backoffice_customer.wishes import Wishes


@dataclass(frozen=True, slots=True)
class Services:
    directory: Directory
    profiles: Profiles
    wishes: Wishes
    tickets: Tickets
    replies: Replies
    orders: Orders
    inventory: Inventory
    knowledge: Knowledge


Running = Context[Services]


async def _directory(ctx: Running) -> Directory:
    return ctx.request_context.lifespan_context.directory


async def _profiles(ctx: Running) -> Profiles:
    return ctx.request_context.lifespan_context.profiles


async def _wishes(ctx: Running) -> Wishes:
    return ctx.request_context.lifespan_context.wishes


async def _tickets(ctx: Running) -> Tickets:
    return ctx.request_context.lifespan_context.tickets


async def _replies(ctx: Running) -> Replies:
    return ctx.request_context.lifespan_context.replies


async def _orders(ctx: Running) -> Orders:
    return ctx.request_context.lifespan_context.orders


async def _inventory(ctx: Running) -> Inventory:
    return ctx.request_context.lifespan_context.inventory


async def _knowledge(ctx: Running) -> Knowledge:
    return ctx.request_context.lifespan_context.knowledge


TheDirectory = Annotated[Directory, Resolve(_directory)]
TheProfiles = Annotated[Profiles, Resolve(_profiles)]
TheWishes = Annotated[Wishes, Resolve(_wishes)]
TheTickets = Annotated[Tickets, Resolve(_tickets)]
TheReplies = Annotated[Replies, Resolve(_replies)]
TheOrders = Annotated[Orders, Resolve(_orders)]
TheInventory = Annotated[Inventory, Resolve(_inventory)]
TheKnowledge = Annotated[Knowledge, Resolve(_knowledge)]
