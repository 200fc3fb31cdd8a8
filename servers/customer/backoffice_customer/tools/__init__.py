"""What agents can do here: one module a noun, each with its TOOLS."""

from backoffice_customer.tools import customers, knowledge, orders, tickets

TOOLS = (*customers.TOOLS, *tickets.TOOLS, *knowledge.TOOLS, *orders.TOOLS)
