"""What a refund is about: the one payment that is meant, and the one system that may give it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from backoffice_billing.crediting import worth
from backoffice_billing.directory import Directory
from backoffice_billing.invoices import Billing
from backoffice_billing.models import PaidOrder, Payment, PaymentSection, Refund
from backoffice_billing.ports import Refunding, Refunds, ReturnedLine, Shop
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound
from backoffice_shared.money import Money
from backoffice_shared.refs import Ref, parse_ref
from backoffice_shared.sources import at_once

_ALL: frozenset[PaymentSection] = frozenset({"refunds", "dispute", "risk"})


@dataclass(frozen=True, slots=True)
class Target:
    """`ref` is the payment where it is given back; `order` is there when it paid an order of the shop. `worth` is what the
    lines come to that were asked for."""

    ref: Ref
    payment: Payment
    order: PaidOrder | None = None
    worth: Money | None = None


@dataclass(frozen=True, slots=True)
class Refundable:
    """`giving` are the systems that give back what they took; `knowing` the payment providers among them."""

    giving: Mapping[str, Refunding]
    knowing: Mapping[str, Refunds]
    shops: Mapping[str, Shop]
    billing: Billing
    directory: Directory

    async def meant(
        self, *, payment_id: str | None, invoice_id: str | None, order_id: str | None, lines: Sequence[ReturnedLine]
    ) -> Target:
        """The payment that one of these names.

        Raises:
            InvalidInput: none or several of them are given; several payments are meant; or lines make no sense here.
            NotFound: there is none.
            Conflict: nothing was paid that could be given back here.
        """
        if sum(given is not None for given in (payment_id, invoice_id, order_id)) != 1:
            raise InvalidInput("", "give one of payment_id, invoice_id and order_id")
        if order_id is not None:
            target = await self._of_order(order_id)
        elif invoice_id is not None:
            target = await self._of_invoice(invoice_id)
        else:
            assert payment_id is not None  # noqa: S101 - one of them is given
            target = await self._of_payment(parse_ref(payment_id, dict.fromkeys(self.giving, "payment")))
        return (
            target if not lines else Target(target.ref, target.payment, target.order, await self._worth(target, lines))
        )

    async def payment(self, ref: Ref) -> Payment:
        """As it is at this moment."""
        return await self.giving[ref.backend].payment(ref.native, _ALL)

    async def number(self, invoice_id: str) -> str | None:
        """What the invoice is called, wherever it is kept."""
        ref = self.billing.ref(invoice_id)
        return (await self.billing.reading[ref.backend].invoice(ref.native)).number

    async def given_lately(self, payment: Payment, since: datetime) -> list[Refund] | None:
        """The refunds that this customer was given since then, by whoever took their money; None when that cannot be known."""
        try:
            customers = await self._customers(payment)
            reads = [
                partial(self.knowing[system].refunds_of, native, since)
                for system, natives in customers.items()
                if system in self.knowing
                for native in natives
            ]
            found = await at_once(*(read() for read in reads))
        except BackofficeError:
            return None
        known = {refund.refund_id: refund for refunds in found for refund in refunds}
        known |= {refund.refund_id: refund for refund in payment.refunds or () if refund.at >= since}
        return list(known.values())

    async def _customers(self, payment: Payment) -> Mapping[str, tuple[str, ...]]:
        who = payment.customer_id or payment.customer_email
        if who is None:
            raise NotFound("", f"nobody knows whose payment {payment.payment_id} is")
        if who.partition(":")[0] not in self.directory.systems:
            who = payment.customer_email or who
        try:
            found = await self.directory.find(who)
        except NotFound:
            return {}  # a guest: the shop knows them, and nobody bills them
        if found.unasked:
            raise next(iter(found.unasked.values()))
        return found.natives

    # ------------------------------------------------------------------------------------- whose money it is to give

    async def _of_payment(self, ref: Ref) -> Target:
        """A payment for an order is given back by the shop where the shop took it, though the provider shows it, too."""
        payment = await self.payment(ref)
        if ref.backend in self.shops or payment.order is None or not self.shops:
            order = await self._order_of(ref) if ref.backend in self.shops else None
            return Target(ref, payment, order)
        order = await self._order(payment.order)
        for part in order.payments if order is not None else ():
            if part.reference == ref.native and part.by_shop:
                return Target(mine := self._ref(part.payment_id), await self.payment(mine), order)
        return Target(ref, payment, order)

    async def _of_invoice(self, invoice_id: str) -> Target:
        ref = self.billing.ref(invoice_id)
        if ref.backend not in self.knowing:
            ref = await self._at_the_provider(ref)
        rows = await self.knowing[ref.backend].payments_for_invoice(ref.native)
        paid = [row for row in rows if row.status not in ("failed", "pending")]
        return await self._of_payment(self._ref(_only([row.payment_id for row in paid], invoice_id)))

    async def _at_the_provider(self, ref: Ref) -> Ref:
        """The same invoice where its payment was taken: the ledger only notes that it was.

        Raises:
            Conflict: it was not paid through a provider.
        """
        number = (await self.billing.reading[ref.backend].invoice(ref.native)).number
        for system in self.knowing:
            if number is not None and (found := await self.billing.numbered(system, number)) is not None:
                return found
        raise Conflict(
            "", f"{ref} was not paid through a payment provider", hint="What was paid by bank is given back by bank"
        )

    async def _of_order(self, order_id: str) -> Target:
        if not self.shops:
            raise InvalidInput("", "order_id: this server has no shop", hint="Give the payment_id")
        order = await self._order(order_id)
        if order is None:
            raise NotFound("", f"there is no order {order_id!r}")
        refs = [part.payment_id for part in order.payments if part.by_shop]
        outside = [part for part in order.payments if not part.by_shop]
        if outside:
            refs += await self._outside(order)
        ref = self._ref(_only(refs, order_id))
        return Target(ref, await self.payment(ref), order)

    async def _outside(self, order: PaidOrder) -> list[str]:
        """What a provider took for it. The shop's own note of it is believed only as far as the provider confirms it."""
        found = await at_once(*(provider.payments_for_order(order.number) for provider in self.knowing.values()))
        return [row.payment_id for rows in found for row in rows if row.status not in ("failed", "pending")]

    async def _order(self, reference: str) -> PaidOrder | None:
        system, shop = next(iter(self.shops.items()))
        if reference.startswith(f"{system}:"):
            reference = parse_ref(reference, {system: "order"}).native
        try:
            return await shop.order(reference)
        except NotFound:
            return None

    async def _order_of(self, ref: Ref) -> PaidOrder | None:
        return await self._order(ref.native.partition(".")[0])

    async def _worth(self, target: Target, lines: Sequence[ReturnedLine]) -> Money:
        if target.order is not None:
            system, _, native = target.order.order_id.split(":", 2)
            return await self.shops[system].suggested(native, lines)
        if target.payment.invoice_id is None:
            raise InvalidInput("", "lines: that payment is for no order and no invoice", hint="Give an amount")
        invoice = self.billing.ref(target.payment.invoice_id)
        return worth(await self.billing.reading[invoice.backend].invoice(invoice.native), lines)

    def _ref(self, payment_id: str) -> Ref:
        return parse_ref(payment_id, dict.fromkeys(self.giving, "payment"))


def _only(payment_ids: Sequence[str], what: str) -> str:
    """
    Raises:
        Conflict: nothing was paid.
        InvalidInput: it was paid in parts.
    """
    ids = list(dict.fromkeys(payment_ids))
    if not ids:
        raise Conflict("", f"nothing was paid for {what} that could be given back")
    if len(ids) > 1:
        raise InvalidInput("", f"{what} was paid in {len(ids)} parts", hint=f"Give one as payment_id: {', '.join(ids)}")
    return ids[0]
