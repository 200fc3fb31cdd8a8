"""Customers, orders and things in stock as Shopify writes them.

Records are made when a query selects them; a field that takes work is a function until it is selected.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from functools import partial

from graphql import GraphQLError

from backoffice_shared.sandbox.company import Order, Product, Stock, order_name
from backoffice_shopify.sandbox.connections import Asked, Record, connection, listed
from backoffice_shopify.sandbox.payments import Payments
from backoffice_shopify.sandbox.shop import (
    FIRST_CUSTOMER,
    FIRST_LOCATION,
    Consent,
    SentBack,
    Shop,
)
from backoffice_shopify.sandbox.till import FIRST_ORDER
from backoffice_shopify.sandbox.values import bag, identity, money, time

_SHOWN_AS = {"fulfilled": "FULFILLED", "partial": "PARTIALLY_FULFILLED", "unfulfilled": "UNFULFILLED"}
_REASONS = (("arrived-late", "Arrived late", ""), ("too-tight", "Too tight", "At the shoulders"))


class Records:
    """`orders_of` answers the field `orders` of a customer, given their number and its arguments."""

    def __init__(self, shop: Shop, orders_of: Callable[[int, Record], Record]) -> None:
        self._shop = shop
        self._company = shop.company
        self._orders_of = orders_of
        self.payments = Payments(shop.till, shop.company, self._lines)

    # ---------------------------------------------------------------------------------------------------- customers

    def customer(self, number: int) -> Record:
        person = self._shop.people[number]
        organisation = self._company.organisation(person)
        orders = self._company.orders_of.get(person.number, [])
        email, phone = self._shop.email_consent(number), self._shop.phone(person)
        return {
            "__typename": "Customer",
            **identity("Customer", number),
            "firstName": person.first_name,
            "lastName": person.last_name,
            "displayName": person.name,
            "createdAt": time(person.since),
            "updatedAt": time(self._shop.changed_at(number)),
            "locale": self._shop.language(number),
            "tags": [] if person.tier == "free" else [person.tier],
            "numberOfOrders": str(len(orders)),
            "amountSpent": lambda: money(
                sum(self._shop.till.received(order) for order in orders), self._company.currency
            ),
            "defaultEmailAddress": {
                "emailAddress": person.email,
                "marketingState": email.state,
                "marketingOptInLevel": email.level,
                "marketingUpdatedAt": None if email.at is None else time(email.at),
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
        at = None if sms.at is None else time(sms.at)
        return {
            "phoneNumber": number,
            "smsMarketingConsent": {"state": sms.state, "optInLevel": sms.level, "updatedAt": at},
        }

    # ------------------------------------------------------------------------------------------------------- orders

    def order(self, number: int) -> Record:
        shop, till, payments, order = self._shop, self._shop.till, self.payments, self._shop.orders[number]
        person, cancelled = self._company.people[order.person], self._shop.cancelled_at(order)
        return {
            "__typename": "Order",
            **identity("Order", number),
            "name": order_name(order.number),
            "createdAt": time(order.placed_at),
            "processedAt": time(order.placed_at),
            "updatedAt": lambda: time(shop.order_changed_at(order)),
            "cancelledAt": None if cancelled is None else time(cancelled),
            "currencyCode": self._company.currency,
            "email": person.email,
            "customer": lambda: self.customer(FIRST_CUSTOMER + order.person),
            "presentmentCurrencyCode": self._company.currency,
            "displayFinancialStatus": till.payment_status(order),
            "displayFulfillmentStatus": _SHOWN_AS[order.fulfilment],
            "subtotalLineItemsQuantity": sum(quantity for _, quantity in order.lines),
            "totalPriceSet": self._bag(self._company.total(order)),
            "totalReceivedSet": self._bag(till.received(order)),
            "totalRefundedSet": lambda: self._bag(till.refunded(order)),
            "suggestedRefund": Asked(lambda given: payments.suggested(order, given)),
            "disputes": [],
            "risk": {"recommendation": "ACCEPT"},
            "lineItems": Asked(lambda given: listed(self._lines(order)).answer(given)),
            "fulfillments": Asked(lambda given: self._fulfillments(order)[: given.get("first")]),
            "transactions": Asked(lambda given: payments.transactions(order)[: given.get("first")]),
            "refunds": Asked(lambda given: payments.refunds(order)[: given.get("first")]),
            "returns": Asked(lambda given: self._returns(order, given)),
        }

    def _lines(self, order: Order) -> list[Record]:
        # What was cancelled will not be shipped.
        left = self._shop.shipped(order) if self._shop.cancelled_at(order) is None else sum(n for _, n in order.lines)
        refundable = self._shop.till.units_left(order)
        found: list[Record] = []
        for position, (_, quantity) in enumerate(order.lines):
            sent = min(left, quantity)
            left -= sent
            found.append(self._line(order, position, quantity - sent, refundable[position]))
        return found

    def _line(self, order: Order, position: int, unfulfilled: int, refundable: int) -> Record:
        number, quantity = order.lines[position]
        product = self._company.products[number]
        return {
            "__typename": "LineItem",
            "id": f"gid://shopify/LineItem/{(FIRST_ORDER + order.number) * 10 + position}",
            "sku": product.sku,
            "name": product.title,
            "title": product.title,
            "quantity": quantity,
            "unfulfilledQuantity": unfulfilled,
            "refundableQuantity": refundable,
            "originalUnitPriceSet": self._bag(product.price),
            "discountedUnitPriceAfterAllDiscountsSet": self._bag(product.price),
        }

    def _fulfillments(self, order: Order) -> list[Record]:
        if not self._shop.shipped(order):
            return []
        number, sent, today = FIRST_ORDER + order.number, self._shop.shipped_at(order), self._company.today
        tracking = f"NW{number:010d}"
        return [
            {
                **identity("Fulfillment", number),
                "createdAt": time(sent),
                "status": "SUCCESS",
                "displayStatus": "DELIVERED" if sent + timedelta(days=4) < today else "IN_TRANSIT",
                "estimatedDeliveryAt": time(sent + timedelta(days=4)),
                "location": self._location(0),
                "trackingInfo": [
                    {"company": "Parcel Post", "number": tracking, "url": f"https://parcels.example/{tracking}"}
                ],
            }
        ]

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
            "createdAt": time(made.at),
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

    def _bag(self, amount: int) -> Record:
        return bag(amount, self._company.currency)

    # -------------------------------------------------------------------------------------------------------- stock

    def item(self, number: int) -> Record:
        product = self._shop.items[number]
        return {
            "__typename": "InventoryItem",
            **identity("InventoryItem", number),
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
        return {**identity("Location", FIRST_LOCATION + place), "name": self._company.locations[place]}


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
