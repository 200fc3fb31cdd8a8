"""What a refund is about: the one payment that is meant, and the one system that may give it back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial

from backoffice_billing.crediting import worth
from backoffice_billing.directory import Directory
from backoffice_billing.invoices import Billing, today
from backoffice_billing.models import Invoice, PaidOrder, Payment, PaymentSection, Refund
from backoffice_billing.ports import InvoiceQuery, Refunding, Refunds, ReturnedLine, Shop
from backoffice_shared.errors import BackofficeError, Conflict, InvalidInput, NotFound
from backoffice_shared.money import Money
from backoffice_shared.refs import Ref, parse_ref
from backoffice_shared.sources import at_once

_MOST_READS = 12
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
class Beneficiary:
    """Whoever would be given the money: their id where they paid, their addresses, in small letters, and their ids elsewhere.
    `certain`: no system that may know more of them was silent."""

    customer_id: str | None
    emails: frozenset[str]
    natives: Mapping[str, tuple[str, ...]]
    certain: bool


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
        """As it is at this moment. What of its invoice was credited after it was paid has been made good already, and is not
        refundable, too."""
        payment = await self.giving[ref.backend].payment(ref.native, _ALL)
        if payment.invoice_id is None or not payment.refundable:
            return payment
        invoice = self.billing.ref(payment.invoice_id)
        bill = await self.billing.reading[invoice.backend].invoice(invoice.native)
        made_good = bill.paid + bill.credited - bill.total
        if made_good.amount <= 0:
            return payment
        left = Money(amount=max((payment.refundable - made_good).amount, 0), currency=made_good.currency)
        return payment.model_copy(update={"refundable": left})

    async def beneficiary(self, payment: Payment) -> Beneficiary:
        """Whose payment it is, as far as the systems can tell."""
        emails = {email.casefold() for email in (payment.customer_email,) if email}
        who = payment.customer_id or payment.customer_email
        if who is None:
            return Beneficiary(None, frozenset(), {}, certain=False)
        try:
            found = await self.directory.find(who)
        except NotFound:  # a guest: the shop knows them, and nobody bills them
            return Beneficiary(payment.customer_id, frozenset(emails), {}, certain=True)
        except BackofficeError:
            return Beneficiary(payment.customer_id, frozenset(emails), {}, certain=False)
        emails |= {email.casefold() for email in found.emails}
        return Beneficiary(payment.customer_id, frozenset(emails), found.natives, certain=not found.unasked)

    async def given_lately(self, payment: Payment, to: Beneficiary, since: datetime) -> list[Refund] | None:
        """The refunds that they were given since then, by whoever took their money; None when that cannot be known."""
        if not to.certain:
            return None
        reads = [
            partial(self.knowing[system].refunds_of, native, since)
            for system, natives in to.natives.items()
            if system in self.knowing
            for native in natives
        ]
        reads += [partial(shop.refunds_of, email, since) for shop in self.shops.values() for email in sorted(to.emails)]
        try:
            found = await at_once(*(read() for read in reads[:_MOST_READS]))
        except BackofficeError:
            return None
        known = {refund.refund_id: refund for refunds in found for refund in refunds}
        known |= {refund.refund_id: refund for refund in payment.refunds or () if refund.at >= since}
        return list(known.values()) if len(reads) <= _MOST_READS else None

    # ------------------------------------------------------------------------------------- whose money it is to give

    async def _of_payment(self, ref: Ref) -> Target:
        """A payment for an order is given back by the shop where the shop took it, though the provider shows it, too."""
        payment = await self.payment(ref)
        ref = self._ref(payment.payment_id)  # a payment may have been named by another of its ids
        if ref.backend in self.shops or payment.order is None or not self.shops:
            order = await self._order_of(ref) if ref.backend in self.shops else None
            return Target(ref, payment, order)
        order = await self._order(
            f"#{payment.order.removeprefix('#')}"
        )  # what was written on it is a number, if anything
        for part in order.payments if order is not None else ():
            if part.by_shop and part.reference == ref.native:
                return Target(mine := self._ref(part.payment_id), await self.payment(mine), order)
            if part.by_shop and part.gateway.casefold().startswith(ref.backend):
                raise Conflict(
                    "",
                    f"the shop took money for order {payment.order} through {part.gateway}, and cannot say whether it was {ref}",
                    hint=f"If it was, give payment_id={part.payment_id}; otherwise somebody has to look",
                )
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
        entry = await self.billing.reading[ref.backend].invoice(ref.native)
        for system in self.knowing:
            if (found := await self._same(entry, system)) is not None:
                return found
        raise Conflict(
            "", f"{ref} was not paid through a payment provider", hint="What was paid by bank is given back by bank"
        )

    async def _same(self, entry: Invoice, system: str) -> Ref | None:
        """The ledger's invoice there: of the same number, total and customer, as systems number invoices of their own."""
        if entry.number is None or entry.customer_id is None:
            return None
        query = InvoiceQuery(today=today(), number=entry.number)
        email = (await self.directory.address(entry.customer_id) or "").casefold()
        for row in (await self.billing.reading[system].search_invoices(query, None, 5)).items:
            if (row.number, row.total) != (entry.number, entry.total) or row.customer_id is None or not email:
                continue
            if (await self.directory.address(row.customer_id) or "").casefold() == email:
                return self.billing.ref(row.invoice_id)
        return None

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
        """What a provider took for it. That a payment names the order is not enough: whoever made it wrote that. The shop
        must name it, too; or where the shop names none, it must be the same customer's, and not more than the order.

        Raises:
            Conflict: payments name the order that are not its own.
        """
        found = await at_once(*(provider.payments_for_order(order.number) for provider in self.knowing.values()))
        rows = [row for rows in found for row in rows if row.status not in ("failed", "pending")]
        named = {part.reference for part in order.payments if not part.by_shop and part.reference}
        if named:
            return [row.payment_id for row in rows if row.payment_id.split(":", 2)[2] in named]
        theirs: list[str] = []
        for row in rows:
            whose = await self.beneficiary(await self.payment(self._ref(row.payment_id)))
            same = (order.customer_email or "").casefold() in whose.emails
            if not same or row.amount.currency != order.total.currency or row.amount > order.total:
                raise Conflict(
                    "", f"{row.payment_id} names order {order.number}, and is not its customer's: somebody has to look"
                )
            theirs.append(row.payment_id)
        return theirs

    async def _order(self, reference: str) -> PaidOrder | None:
        system, shop = next(iter(self.shops.items()))
        try:
            if reference.startswith(f"{system}:"):
                return await shop.order_by_id(parse_ref(reference, {system: "order"}).native)
            return await shop.order(reference)
        except NotFound:
            return None

    async def _order_of(self, ref: Ref) -> PaidOrder | None:
        return await self._order(f"{ref.backend}:order:{ref.native.partition('.')[0]}")

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
