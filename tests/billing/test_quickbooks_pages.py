"""All that QuickBooks has of something, page by page: nothing twice, and not without end."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

import httpx
import pytest
from tests.billing.quickbooks_realm import SETTINGS, saying, usd

from backoffice_billing.backends.quickbooks import QuickBooks
from backoffice_billing.ports import CreditDraft
from backoffice_shared.errors import BackofficeError, MalformedAnswer, TooLarge

pytestmark = pytest.mark.anyio

PAGE = 1000


def sale(native: int) -> dict[str, Any]:
    return {
        "Id": str(native),
        "SyncToken": "0",
        "CustomerRef": {"value": "1"},
        "TxnDate": "2026-01-01",
        "TotalAmt": 1,
        "Balance": 1,
        "Line": [],
        "MetaData": {"LastUpdatedTime": "2026-01-01T00:00:00+00:00"},
    }


class Memos:
    """A customer's credit memos, of which each page holds what `page` says for where it starts."""

    def __init__(self, page: Callable[[int], Sequence[int]]) -> None:
        self._page = page
        self.asked = 0
        self.quickbooks = QuickBooks(saying(self._answer))

    def _answer(self, request: httpx.Request) -> httpx.Response:
        asked = request.url.params.get("query", "")
        if "from Preferences" in asked or "from CompanyInfo" in asked:
            return httpx.Response(200, json={"QueryResponse": SETTINGS})
        if "from CreditMemo" in asked:
            self.asked += 1
            start = re.search(r"startposition (\d+)", asked)
            found = [sale(native) for native in self._page(int(start[1]) if start else 1)]
            return httpx.Response(200, json={"QueryResponse": {"CreditMemo": found}})
        if "from " in asked:
            return httpx.Response(200, json={"QueryResponse": {}})
        return httpx.Response(200, json={"Invoice": sale(1)})

    async def previewed(self) -> None:
        await self.quickbooks.preview_credit("1", CreditDraft(usd(1), "x", "credit_balance"))


@pytest.mark.parametrize(("there", "pages"), [(0, 1), (999, 1), (1000, 2), (2500, 3)])
async def test_every_page_is_asked_for_once(there: int, pages: int) -> None:
    memos = Memos(lambda start: range(start, min(start + PAGE, there + 1)))
    await memos.previewed()
    assert memos.asked == pages


Page = Callable[[int], Sequence[int]]


def the_first(_start: int) -> Sequence[int]:
    return range(1, 1 + PAGE)


def one_too_early(start: int) -> Sequence[int]:
    return range(max(start - 1, 1), max(start - 1, 1) + PAGE)


def the_same_memo(_start: int) -> Sequence[int]:
    return [7] * PAGE


def more_and_more(start: int) -> Sequence[int]:
    return range(start, start + PAGE)


@pytest.mark.parametrize(
    ("page", "error", "pages"),
    [
        (the_first, MalformedAnswer, 2),
        (one_too_early, MalformedAnswer, 2),
        (the_same_memo, MalformedAnswer, 1),
        (more_and_more, TooLarge, 20),
    ],
)
async def test_what_does_not_end_or_comes_again_is_not_asked_for_for_ever(
    page: Page, error: type[BackofficeError], pages: int
) -> None:
    memos = Memos(page)
    with pytest.raises(error):
        await memos.previewed()
    assert memos.asked == pages
