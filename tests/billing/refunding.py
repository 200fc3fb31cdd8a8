"""What tests of refunds do again and again: somebody has paid, somebody agrees, a human sits before the client."""

from __future__ import annotations

from typing import Literal

from mcp.client import ClientRequestContext
from mcp_types import ElicitRequestParams, ElicitResult
from tests.billing.counter import Office
from tests.billing.people import Hand, ids, payer

from backoffice_shared.sandbox.company import KEY_ACCOUNT, Order


async def paid(at: Office, *amounts: int, currency: str = "USD", nth: int = 0) -> tuple[Hand, str]:
    hand = Hand(at)
    who = payer(at.company, currency=currency, nth=nth)
    _, payment = await hand.paid((await ids(at, who))["stripe"], currency, *amounts)
    return hand, payment


async def refundable(at: Office, payment: str) -> int:
    return (await at.ask("get_payment", payment_id=payment))["refundable"]["amount"]


def recent(at: Office, order: Order) -> bool:
    """Whether it is young enough to be refunded, to somebody who was not refunded often."""
    return (at.company.today - order.placed_at).days < 170 and order.person != KEY_ACCOUNT


async def approved(at: Office, approval_id: str, *by: str, agrees: bool = True) -> None:
    for name in by:
        await at.state.approvals.decide(approval_id, approver=f"key of {name}", named=name, agrees=agrees)


Answer = Literal["accept", "refuse", "decline", "cancel"]


class Human:
    """Sits before the client. `questions` is what they were asked."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.questions: list[str] = []

    async def __call__(self, _context: ClientRequestContext, params: ElicitRequestParams) -> ElicitResult:
        self.questions.append(params.message)
        if self._answer in ("accept", "refuse"):
            return ElicitResult(action="accept", content={"agree": self._answer == "accept"})
        return ElicitResult(action=self._answer)  # pyright: ignore[reportArgumentType] - the other two
