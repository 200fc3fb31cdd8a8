"""Rows of several customers in one order, the newest first, with a cursor that continues where a page ended."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Sequence

from backoffice_billing.backends.stripe.lists import Page
from backoffice_billing.backends.stripe.wire import Wire
from backoffice_shared.errors import InvalidInput
from backoffice_shared.jsonvalues import obj, parse
from backoffice_shared.sources import at_once

Places = dict[str, str]
"""For each customer that has more, the id of the last row that was taken; empty before the first. The customer is empty
where it is not asked for."""

Fetch = Callable[[str | None, str | None], Awaitable[Page]]
"""Takes a customer and an id after which to go on."""


def places_in(cursor: str | None, customers: Sequence[str] | None) -> Places:
    """
    Raises:
        InvalidInput: it is no cursor of ours.
    """
    if cursor is None:
        return dict.fromkeys([""] if customers is None else customers, "")
    try:
        return {str(customer): str(after) for customer, after in obj(parse(cursor.encode())).items()}
    except ValueError:
        raise InvalidInput("Stripe", "cursor: not a cursor of this server") from None


async def merged(fetch: Fetch, places: Places, most: int) -> tuple[list[Wire], str | None]:
    """The next rows, at most so many, and the cursor after them; None at the end."""
    customers = list(places)
    pages = await at_once(*(fetch(customer or None, places[customer] or None) for customer in customers))
    taken = [0] * len(pages)
    rows: list[Wire] = []
    while len(rows) < most:
        heads = [n for n, page in enumerate(pages) if taken[n] < len(page.rows)]
        if not heads or any(page.more and taken[n] == len(page.rows) for n, page in enumerate(pages)):
            break  # who has more that is not here yet may have the next row
        newest = max(heads, key=lambda n: (pages[n].rows[taken[n]]["created"], -n))
        rows.append(pages[newest].rows[taken[newest]])
        taken[newest] += 1
    following = {
        customer: str(page.rows[n - 1]["id"]) if n else places[customer]
        for customer, page, n in zip(customers, pages, taken, strict=True)
        if n < len(page.rows) or page.more
    }
    return rows, json.dumps(following, separators=(",", ":")) if following else None
