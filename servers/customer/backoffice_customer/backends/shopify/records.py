"""Customers, orders and things in stock as Shopify writes them.

Records are made when a query selects them; a field that takes work is a function until it is selected.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import partial

from graphql import GraphQLError

from backoffice_customer.backends.shopify.connections import Asked, Record, connection, listed
from backoffice_customer.backends.shopify.shop import (
    FIRST_CUSTOMER,
    FIRST_LOCATION,
    FIRST_ORDER,
    Consent,
    Repaid,
    SentBack,
    Shop,
)
from backoffice_shared.money import Money, to_decimal
from backoffice_shared.sandbox.company import Order, Product, Stock, order_name

_SHOWN_AS = {"fulfilled": "FULFILLED", "partial": "PARTIALLY_FULFILLED", "unfulfilled": "UNFULFILLED"}
_REASONS = (("arrived-late", "Arrived late", ""), ("too-tight", "Too tight", "At the shoulders"))


class Records:
    """`orders_of` answers the field `orders` of a customer, given their number and its arguments."""

    def __init__(self, shop: Shop, orders_of: Callable[[int, Record], Record]) -> None:
        self._shop = shop
        self._company = shop.company
        self._orders_of = orders_of

    # ---------------------------------------------------------------------------------------------------- customers

    def customer(self, number: int) -> Record:
        person = self._shop.people[number]
        organisation = self._company.organisation(person)
        orders = self._company.orders_of.get(person.number, [])
        email, phone = self._shop.email_consent(number), self._shop.phone(person)
        return {
            "__typename": "Customer",
            **_identity("Customer", number),
            "firstName": person.first_name,
            "lastName": person.last_name,
            "displayName": person.name,
            "createdAt": _time(person.since),
            "updatedAt": _time(self._shop.changed_at(number)),
            "locale": self._shop.language(number),
            "tags": [] if person.tier == "free" else [person.tier],
            "numberOfOrders": str(len(orders)),
            "amountSpent": lambda: self._money(sum(self._shop.received(order) for order in orders)),
            "defaultEmailAddress": {
                "emailAddress": person.email,
                "marketingState": email.state,
                "marketingOptInLevel": email.level,
                "marketingUpdatedAt": None if email.at is None else _time(email.at),
            },
            "defaultPhoneNumber": None if phone is None else self._phone(phone, self._shop.sms_consent(number)),
            "defaultAddress": {
                "id": f"gid://shopify/MailingAddress/{number}",
                "company": None if organisation is None else organisation.name,
                "countryCodeV2": person.country,
            },
            "orders": Asked(partial(self._orders_of, number)),
        }

    def _phone(self, number: str, sms: Consent) -> Record:
        at = None if sms.at is None else _time(sms.at)
        return {
            "phoneNumber": number,
            "smsMarketingConsent": {"state": sms.state, "optInLevel": sms.level, "updatedAt": at},
        }

    # ------------------------------------------------------------------------------------------------------- orders

    def order(self, number: int) -> Record:
        shop, order = self._shop, self._shop.orders[number]
        person, cancelled = self._company.people[order.person], self._shop.cancelled_at(order)
        return {
            "__typename": "Order",
            **_identity("Order", number),
            "name": order_name(order.number),
            "createdAt": _time(order.placed_at),
            "processedAt": _time(order.placed_at),
            "updatedAt": lambda: _time(shop.order_changed_at(order)),
            "cancelledAt": None if cancelled is None else _time(cancelled),
            "currencyCode": self._company.currency,
            "email": person.email,
            "customer": lambda: self.customer(FIRST_CUSTOMER + order.person),
            "displayFinancialStatus": order.payment.upper(),
            "displayFulfillmentStatus": _SHOWN_AS[order.fulfilment],
            "subtotalLineItemsQuantity": sum(quantity for _, quantity in order.lines),
            "totalPriceSet": self._bag(self._company.total(order)),
            "totalReceivedSet": self._bag(shop.received(order)),
            "totalRefundedSet": lambda: self._bag(shop.refunded(order)),
            "suggestedRefund": lambda: self._suggested_refund(order),
            "lineItems": listed(self._lines(order)),
            "fulfillments": Asked(lambda given: self._fulfillments(order)[: given.get("first")]),
            "transactions": Asked(lambda given: self._transactions(order)[: given.get("first")]),
            "refunds": Asked(lambda given: [self._refund(made) for made in shop.refunds(order)][: given.get("first")]),
            "returns": Asked(lambda given: self._returns(order, given)),
        }

    def _lines(self, order: Order) -> list[Record]:
        # What was cancelled will not be shipped.
        left = self._shop.shipped(order) if self._shop.cancelled_at(order) is None else sum(n for _, n in order.lines)
        found: list[Record] = []
        for position, (product, quantity) in enumerate(order.lines):
            sent = min(left, quantity)
            left -= sent
            found.append(self._line(order, position, self._company.products[product], quantity, quantity - sent))
        return found

    def _line(self, order: Order, position: int, product: Product, quantity: int, unfulfilled: int) -> Record:
        return {
            "__typename": "LineItem",
            "id": f"gid://shopify/LineItem/{(FIRST_ORDER + order.number) * 10 + position}",
            "sku": product.sku,
            "name": product.title,
            "title": product.title,
            "quantity": quantity,
            "unfulfilledQuantity": unfulfilled,
            "refundableQuantity": 0 if order.payment == "refunded" else quantity,
            "originalUnitPriceSet": self._bag(product.price),
        }

    def _fulfillments(self, order: Order) -> list[Record]:
        if not self._shop.shipped(order):
            return []
        number, sent, today = FIRST_ORDER + order.number, self._shop.shipped_at(order), self._company.today
        tracking = f"NW{number:010d}"
        return [
            {
                **_identity("Fulfillment", number),
                "createdAt": _time(sent),
                "status": "SUCCESS",
                "displayStatus": "DELIVERED" if sent + timedelta(days=4) < today else "IN_TRANSIT",
                "estimatedDeliveryAt": _time(sent + timedelta(days=4)),
                "location": self._location(0),
                "trackingInfo": [
                    {"company": "Parcel Post", "number": tracking, "url": f"https://parcels.example/{tracking}"}
                ],
            }
        ]

    def _transactions(self, order: Order) -> list[Record]:
        number, pending = (FIRST_ORDER + order.number) * 10, order.payment == "pending"
        gateway = ("Bank Deposit", "manual") if pending else ("Shopify Payments", "shopify_payments")
        moves = [("SALE", self._company.total(order), order.placed_at)]
        moves += [("REFUND", refund.amount, refund.at) for refund in self._shop.refunds(order)]
        return [
            {
                "id": f"gid://shopify/OrderTransaction/{number + position}",
                "kind": kind,
                "status": "PENDING" if pending else "SUCCESS",
                "amountSet": self._bag(amount),
                "createdAt": _time(at),
                "processedAt": None if pending else _time(at),
                "formattedGateway": gateway[0],
                "gateway": gateway[1],
            }
            for position, (kind, amount, at) in enumerate(moves)
        ]

    def _refund(self, made: Repaid) -> Record:
        at, amount = _time(made.at), self._bag(made.amount)
        return {
            **_identity("Refund", made.number),
            "createdAt": at,
            "processedAt": at,
            "note": None,
            "totalRefundedSet": amount,
        }

    def _returns(self, order: Order, given: Record) -> Record:
        made = self._shop.returns(order)
        return connection(range(len(made)), lambda n: self._return(order, n, made[n]), given)

    def _return(self, order: Order, nth: int, made: SentBack) -> Record:
        lines = self._lines(order)
        return {
            "__typename": "Return",
            "id": f"gid://shopify/Return/{made.number}",
            "name": f"{order_name(order.number)}-R{nth + 1}",
            "status": made.status,
            "createdAt": _time(made.at),
            "returnLineItems": listed(
                [self._returned(made.number * 10 + at, lines[at], quantity) for at, quantity in made.lines]
            ),
        }

    def _returned(self, number: int, line: Record, quantity: int) -> Record:
        handle, name, note = _REASONS[number // 10 % len(_REASONS)]
        return {
            "__typename": "ReturnLineItem",
            "id": f"gid://shopify/ReturnLineItem/{number}",
            "quantity": quantity,
            "returnReasonDefinition": {
                "__typename": "ReturnReasonDefinition",
                "id": f"gid://shopify/ReturnReasonDefinition/{handle}",
                "handle": handle,
                "name": name,
            },
            "returnReasonNote": note,
            "fulfillmentLineItem": {
                "__typename": "FulfillmentLineItem",
                "id": f"gid://shopify/FulfillmentLineItem/{number}",
                "quantity": line["quantity"],
                "lineItem": line,
            },
        }

    def _suggested_refund(self, order: Order) -> Record:
        left = self._bag(self._shop.received(order) - self._shop.refunded(order))
        return {"amountSet": left, "maximumRefundableSet": left}

    # -------------------------------------------------------------------------------------------------------- stock

    def item(self, number: int) -> Record:
        product = self._shop.items[number]
        return {
            "__typename": "InventoryItem",
            **_identity("InventoryItem", number),
            "sku": product.sku,
            "tracked": True,
            "inventoryLevels": Asked(lambda given: self._levels(number, product, given)),
        }

    def _levels(self, number: int, product: Product, given: Record) -> Record:
        kept = self._company.stock_of(product)
        return connection(range(len(kept)), lambda n: self._level(number, kept[n]), given)

    def _level(self, number: int, stock: Stock) -> Record:
        gid = f"InventoryLevel/{FIRST_LOCATION + stock.location}?inventory_item_id={number}"
        return {
            "__typename": "InventoryLevel",
            "id": f"gid://shopify/{gid}",
            "location": self._location(stock.location),
            "quantities": Asked(lambda given: [_quantity(gid, stock, name) for name in given["names"]]),
        }

    def _location(self, place: int) -> Record:
        return {**_identity("Location", FIRST_LOCATION + place), "name": self._company.locations[place]}

    # -------------------------------------------------------------------------------------------------------- money

    def _bag(self, amount: int) -> Record:
        money = self._money(amount)
        return {"shopMoney": money, "presentmentMoney": money}

    def _money(self, amount: int) -> Record:
        currency = self._company.currency
        return {"amount": to_decimal(Money(amount=amount, currency=currency)), "currencyCode": currency}


def _quantity(level: str, stock: Stock, name: str) -> Record:
    quantities = {
        "available": stock.on_hand - stock.committed,
        "on_hand": stock.on_hand,
        "committed": stock.committed,
        "incoming": stock.incoming,
    }
    if name not in quantities:
        raise GraphQLError(f"The quantity name {name} is not valid.", extensions={"code": "BAD_REQUEST"})
    return {"id": f"gid://shopify/InventoryQuantity/{level}&name={name}", "name": name, "quantity": quantities[name]}


def _identity(kind: str, number: int) -> Record:
    return {"id": f"gid://shopify/{kind}/{number}", "legacyResourceId": str(number)}


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
