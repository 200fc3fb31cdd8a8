"""What two systems say about one thing, and how they disagree. Pure: whoever reads has read.

The left side is the payment provider's, the right one the ledger's or the shop's, and a delta is left less right. A
suggested fix names ids and tools, and nothing that outsiders wrote: their text stays in `reference`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from backoffice_billing.models import Difference, DifferenceKind, Invoice, InvoiceRow, PaidOrder, PaymentRow, Side
from backoffice_shared.money import Money, by_currency

_LONGEST = 80  # characters of a reference
_TAKEN = ("succeeded", "refunded", "disputed")
"""Statuses of payments whose money came in."""

_ORDER: tuple[DifferenceKind, ...] = (
    "payment_missing_in_ledger",
    "refund_missing_in_ledger",
    "refund_missing_in_provider",
    "payment_missing_in_provider",
    "doubled_in_ledger",
    "total_differs",
    "credit_differs",
    "status_differs",
    "missing_in_ledger",
    "order_differs",
    "missing_in_provider",
)
"""As they are listed: money first; last what is often meant to be so, an invoice that is paid by bank."""


def rank(difference: Difference) -> tuple[int, str, str, str]:
    """A total order: the same differences are always listed in the same order."""
    sides = (difference.left.id or "", difference.right.id or "")
    return _ORDER.index(difference.kind), difference.reference, *sides


# ---------------------------------------------------------------------------------------------------------- invoices


def state(row: InvoiceRow) -> Literal["draft", "void", "uncollectible", "issued"]:
    """What cannot be told from amounts. Whether something is paid, they tell; overdue is only a matter of the day."""
    match row.status:
        case "draft" | "void" | "uncollectible":
            return row.status
        case "open" | "overdue" | "paid":
            return "issued"


def comparable(row: InvoiceRow) -> bool:
    """Drafts are nobody's debt, and what is void is owed no more: neither needs to be anywhere else."""
    return row.status not in ("draft", "void")


def agree(left: InvoiceRow, right: InvoiceRow) -> bool:
    """Whether a look at the rows is enough. Rows do not tell a payment from a credit of the same amount."""
    if state(left) != state(right):
        return False
    return state(left) == "void" or (left.total, left.due) == (right.total, right.due)


def reduced(row: InvoiceRow) -> bool:
    """Less is due than it came to, by payments or by credits: which, the row does not say."""
    return state(row) == "issued" and row.due != row.total


def doubles(entry: InvoiceRow, other: InvoiceRow) -> bool:
    """Whether `other`, of the same number, is the same invoice once more: it is owed as well, and in the same books, or
    of the same amount in another company's, which may use the number for an invoice of its own."""
    if not comparable(other) or not comparable(entry) or entry.invoice_id == other.invoice_id:
        return False
    return _system(entry) == _system(other) or entry.total == other.total


@dataclass(frozen=True, slots=True)
class Pair:
    """An invoice of a provider, and its entry in a ledger. `surplus` are other entries of the same invoice."""

    left: InvoiceRow
    right: InvoiceRow
    surplus: Sequence[InvoiceRow] = ()


def numbered(rows: Sequence[InvoiceRow]) -> dict[str, list[InvoiceRow]]:
    """Those that are owed first."""
    found: dict[str, list[InvoiceRow]] = {}
    for row in sorted(rows, key=lambda row: (not comparable(row), row.invoice_id)):
        if number := (row.number or "").strip():
            found.setdefault(number, []).append(row)
    return found


def nearest(row: InvoiceRow, rows: Sequence[InvoiceRow]) -> InvoiceRow:
    """Two companies' books may use one number for two invoices: the one that is owed, of the same amount, and as much
    of it paid."""
    return min(
        rows,
        key=lambda r: (
            not comparable(r),
            r.total.currency != row.total.currency,
            r.total != row.total,
            not agree(row, r),
            r.invoice_id,
        ),
    )


def paired(left: InvoiceRow, entries: Sequence[InvoiceRow]) -> Pair:
    right = nearest(left, entries)
    return Pair(left, right, [other for other in entries if doubles(right, other)])


def differences(left: Invoice, right: Invoice) -> list[Difference]:
    """How an invoice and its entry in the ledger disagree: causes, not what follows from them. A total that differs
    explains that something more or less is paid or due."""
    states = {state(left), state(right)}
    if "void" in states or "draft" in states:
        return [] if len(states) == 1 else [_status_differs(left, right)]
    if left.total.currency != right.total.currency:
        return [_found("total_differs", left, right, None, "an accountant looks: the currencies are not the same")]
    found: list[Difference] = []
    if left.total != right.total:
        found.append(_total_differs(left, right))
    nothing_due = not left.due and not right.due
    if not found and left.paid != right.paid and left.paid + left.credited == right.paid + right.credited:
        return [_paid_otherwise(left, right)]
    if left.paid != right.paid and not (found and nothing_due):
        found.append(_payment_missing(left, right))
    if not found and left.credited != right.credited and not _written_off(left, right):
        found.append(_credit_differs(left, right))
    if not found and len(states) > 1 and not _written_off(left, right):
        found.append(_status_differs(left, right))
    return found


def _written_off(left: Invoice, right: Invoice) -> bool:
    """One says that it will never be paid; the other has credited the rest of it, which says the same."""
    return left.paid == right.paid and any(
        state(given_up) == "uncollectible" and not other.due for given_up, other in ((left, right), (right, left))
    )


def _total_differs(left: Invoice, right: Invoice) -> Difference:
    more, fewer = (left, right) if left.total > right.total else (right, left)
    excess = more.total - fewer.total
    fix = (
        f"an accountant decides which total is right; if it is that of {_system(fewer)}: "
        f"create_credit_note(invoice_id={more.invoice_id!r}, amount={excess.amount}, disposition='out_of_band')"
    )
    return _found("total_differs", left, right, left.total - right.total, fix)


def _payment_missing(left: Invoice, right: Invoice) -> Difference:
    delta = left.paid - right.paid
    if delta.amount > 0:
        fix = (
            f"whoever keeps {_system(right)} enters a payment of {delta} for {right.invoice_id} "
            f"into the clearing account: no tool enters a payment that was taken elsewhere"
        )
        return _paid("payment_missing_in_ledger", left, right, delta, fix)
    fix = (
        f"whoever keeps {_system(right)} looks whether {-delta} came in otherwise; until then nobody calls "
        f"collect_payment(invoice_id={left.invoice_id!r}), which would take it again"
    )
    return _paid("payment_missing_in_provider", left, right, delta, fix)


def _credit_differs(left: Invoice, right: Invoice) -> Difference:
    more, fewer = (left, right) if left.credited > right.credited else (right, left)
    amount = (more.credited - fewer.credited).amount
    fix = (
        f"create_credit_note(invoice_id={fewer.invoice_id!r}, amount={amount}, disposition='out_of_band'), "
        f"if what {_system(more)} credited is right"
    )
    return _credited(left, right, fix)


def _paid_otherwise(left: Invoice, right: Invoice) -> Difference:
    """As much was taken off it in both, but one was paid what the other credited: a payment entered there would be too much."""
    payer, crediter = (left, right) if left.paid > right.paid else (right, left)
    fix = (
        f"an accountant decides whether {payer.paid - crediter.paid} was paid, as {_system(payer)} has it, or credited, "
        f"as {crediter.invoice_id} has it; until then nobody enters, collects or refunds a payment for it"
    )
    return _credited(left, right, fix)


def _credited(left: Invoice, right: Invoice, fix: str) -> Difference:
    sides = [_side(i).model_copy(update={"status": f"{i.status}, {i.credited} credited"}) for i in (left, right)]
    return _difference("credit_differs", left.number, sides[0], sides[1], left.credited - right.credited, fix)


def _status_differs(left: Invoice, right: Invoice) -> Difference:
    if "draft" in (left.status, right.status):
        draft, issued = (left, right) if left.status == "draft" else (right, left)
        fix = (
            f"issue_invoice(invoice_id={draft.invoice_id!r}, send=false), if it is rightly issued in {_system(issued)}"
        )
    elif "void" in (left.status, right.status):
        dead, alive = (left, right) if left.status == "void" else (right, left)
        fix = f"void_invoice(invoice_id={alive.invoice_id!r}), if it is rightly void in {_system(dead)}"
        if alive.paid or alive.credited:
            fix = f"an accountant looks: {alive.invoice_id} has payments or credits, so it cannot be voided"
    else:
        lost, owed = (left, right) if left.status == "uncollectible" else (right, left)
        fix = f"an accountant decides whether {owed.invoice_id} is written off, as {_system(lost)} has it"
    return _found("status_differs", left, right, None, fix)


def doubled_in_ledger(row: InvoiceRow, entry: InvoiceRow, surplus: InvoiceRow) -> Difference:
    """`row` is in the books as `entry`, and once more as `surplus`. Where no provider has it, `row` is the entry."""
    fix = f"an accountant decides whether {entry.invoice_id} or {surplus.invoice_id} stays, and takes the other out; "
    if surplus.due == surplus.total:
        fix += f"if {entry.invoice_id} stays: void_invoice(invoice_id={surplus.invoice_id!r}); "
    fix += "no payment is entered on either before, and they are compared again afterwards"
    return _difference("doubled_in_ledger", row.number, _side(row), _side(surplus), None, fix)


def missing_in_ledger(row: InvoiceRow, ledgers: Sequence[str]) -> Difference:
    """`ledgers`: those that were asked for its number, each of which said that it has none."""
    names = ", ".join(ledgers)
    fix = (
        f"whoever keeps {' or '.join(ledgers)} enters {row.invoice_id} there under the same number: "
        f"an invoice made with create_invoice would get another"
    )
    right = Side(system=names, status="missing")
    return _difference("missing_in_ledger", row.number, _side(row), right, None, fix)


def missing_in_provider(row: InvoiceRow, providers: Sequence[str]) -> Difference:
    names = ", ".join(providers)
    fix = f"none, if {row.invoice_id} is paid by bank; otherwise whoever keeps {_system(row)} says where it is from"
    left = Side(system=names, status="missing")
    return _difference("missing_in_provider", row.number, left, _side(row), None, fix)


# ----------------------------------------------------------------------------------------------------------- refunds


def refund_differs(
    left: InvoiceRow, payments: Sequence[PaymentRow], right: InvoiceRow, entered: Sequence[PaymentRow]
) -> list[Difference]:
    """What the provider gave back of these payments for an invoice, against what the ledger knows of: `entered` are
    its own payments for it, which say what was given back of them."""
    currency = left.total.currency
    given, known = _repaid(payments, currency), _repaid(entered, currency)
    if given == known:
        return []
    delta = given - known
    source = max(payments, key=lambda p: (bool(p.refunded), p.at, p.payment_id), default=None)
    left_id = left.invoice_id if source is None else source.payment_id
    if known < given:
        kind: DifferenceKind = "refund_missing_in_ledger"
        fix = (
            "repeat the issue_refund call with its idempotency_key, if its result said unfinished; "
            f"otherwise finance enters the refund of {left_id} on {right.invoice_id}"
        )
    else:
        kind = "refund_missing_in_provider"
        fix = (
            f"finance looks how {-delta} was given back, which {right.invoice_id} has and {_system(left)} has not; until "
            f"then nobody refunds {left_id}, which may give it back again"
        )
    sides = [
        Side(system=_system(left), id=left_id, amount=given, status="refunded"),
        Side(system=_system(right), id=right.invoice_id, amount=known, status="refunded"),
    ]
    return [_difference(kind, left.number, sides[0], sides[1], delta, fix)]


def _repaid(payments: Iterable[PaymentRow], currency: str) -> Money:
    amounts = [p.refunded.amount for p in payments if p.refunded.currency == currency]
    return Money(amount=sum(amounts), currency=currency)


# ------------------------------------------------------------------------------------------------------------ orders


def taken(payment: PaymentRow) -> bool:
    return payment.status in _TAKEN


def order_differences(provider: str, payments: Sequence[PaymentRow], shop: str, order: PaidOrder) -> list[Difference]:
    """`payments`: all that the provider has for this order."""
    counted = [payment for payment in payments if taken(payment)]
    ids = {native for payment in counted for native in (payment.payment_id, payment.payment_id.split(":", 2)[2])}
    theirs = [p for p in order.payments if not p.by_shop and (p.gateway == provider or p.reference in ids)]
    left_id = counted[0].payment_id if len(counted) == 1 else None
    found: list[Difference] = []
    if received := _unequal([p.amount for p in counted], [p.amount for p in theirs]):
        found.append(_order_differs(provider, left_id, shop, order, "received", received))
    if len(theirs) == len(order.payments) and (
        repaid := _unequal([p.refunded for p in counted], [order.refunded] if order.payments else [])
    ):
        found.append(_order_differs(provider, left_id, shop, order, "refunded", repaid))
    return found


def order_missing(provider: str, number: str, payments: Sequence[PaymentRow], shops: Sequence[str]) -> Difference:
    """These payments name an order that no shop has."""
    first = payments[0]
    fix = f"support finds out what get_payment(payment_id={first.payment_id!r}) was for; if nothing: preview_refund"
    amounts = by_currency(payment.amount for payment in payments)
    left = Side(
        system=provider, id=first.payment_id, amount=amounts[0] if len(amounts) == 1 else None, status="received"
    )
    right = Side(system=", ".join(shops), status="missing")
    return _difference("order_differs", number, left, right, None, fix)


_Pair = tuple[Money | None, Money | None, Money | None]


def _unequal(left: Sequence[Money], right: Sequence[Money]) -> _Pair | None:
    """Both sums and their delta, None where several currencies forbid one; None altogether when they are equal."""
    sums = [[money for money in by_currency(amounts) if money] for amounts in (left, right)]
    if sums[0] == sums[1]:
        return None
    currencies = {money.currency for side in sums for money in side}
    if len(currencies) > 1:
        return sums[0][0] if len(sums[0]) == 1 else None, sums[1][0] if len(sums[1]) == 1 else None, None
    currency = currencies.pop()
    one, other = (side[0] if side else Money(amount=0, currency=currency) for side in sums)
    return one, other, one - other


def _order_differs(
    provider: str, payment: str | None, shop: str, order: PaidOrder, what: Literal["received", "refunded"], pair: _Pair
) -> Difference:
    one, other, delta = pair
    fix = f"support compares what was {what}: get_order(order_id={order.order_id!r})"
    if payment is not None:
        fix += f" beside get_payment(payment_id={payment!r})"
    left = Side(system=provider, id=payment, amount=one, status=what)
    right = Side(system=shop, id=order.order_id, amount=other, status=what)
    return _difference("order_differs", order.number, left, right, delta, fix)


# ---------------------------------------------------------------------------------------------------------- wording


def _found(kind: DifferenceKind, left: Invoice, right: Invoice, delta: Money | None, fix: str) -> Difference:
    return _difference(kind, left.number, _side(left), _side(right), delta, fix)


def _paid(kind: DifferenceKind, left: Invoice, right: Invoice, delta: Money, fix: str) -> Difference:
    sides = [_side(invoice).model_copy(update={"amount": invoice.paid}) for invoice in (left, right)]
    return _difference(kind, left.number, sides[0], sides[1], delta, fix)


def _difference(
    kind: DifferenceKind, reference: str | None, left: Side, right: Side, delta: Money | None, fix: str
) -> Difference:
    return Difference(
        kind=kind,
        reference=(reference or "")[:_LONGEST],
        left=left,
        right=right,
        delta=delta,
        suggested_fix=fix[0].upper() + fix[1:] if not fix.partition("(")[0].isidentifier() else fix,
    )


def _side(row: InvoiceRow) -> Side:
    return Side(system=_system(row), id=row.invoice_id, amount=row.total, status=row.status)


def _system(row: InvoiceRow) -> str:
    return row.invoice_id.partition(":")[0]
