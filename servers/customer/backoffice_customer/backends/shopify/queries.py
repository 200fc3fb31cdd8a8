"""Every GraphQL document that we send. What varies goes in as a variable, never into the text.

The sizes keep each document under the 1,000 points that one query may cost.
"""

from __future__ import annotations

LINES = 100  # of an order; a longer one is cut, and says so

_CUSTOMER = """
fragment CustomerParts on Customer {
  id
  displayName
  defaultEmailAddress { emailAddress marketingState }
  defaultPhoneNumber { phoneNumber }
  defaultAddress { company countryCodeV2 }
  locale
  tags
  amountSpent { amount currencyCode }
  updatedAt
}
"""

CUSTOMERS_BY_ID = (
    """
query CustomersById($ids: [ID!]!) {
  shop { myshopifyDomain }
  nodes(ids: $ids) { ...CustomerParts }
}
"""
    + _CUSTOMER
)

CUSTOMERS = (
    """
query Customers($query: String!, $first: Int!) {
  shop { myshopifyDomain }
  customers(first: $first, query: $query, sortKey: RELEVANCE) { nodes { ...CustomerParts } }
}
"""
    + _CUSTOMER
)

_ORDER = """
fragment OrderParts on Order {
  id
  name
  createdAt
  email
  customer { id }
  totalPriceSet { shopMoney { amount currencyCode } }
  displayFinancialStatus
  displayFulfillmentStatus
  subtotalLineItemsQuantity
}
"""

ORDERS = (
    """
query Orders($query: String!, $first: Int!, $after: String, $counted: Boolean!) {
  shop { myshopifyDomain }
  orders(first: $first, after: $after, query: $query, sortKey: CREATED_AT, reverse: true) {
    nodes { ...OrderParts }
    pageInfo { hasNextPage endCursor }
  }
  ordersCount(query: $query) @include(if: $counted) { count precision }
}
"""
    + _ORDER
)

ORDERS_COUNT = """
query OrdersCount($query: String!) {
  ordersCount(query: $query) { count }
}
"""

ORDER = (
    """
query Order($id: ID!, $lines: Int!, $shipments: Boolean!, $payments: Boolean!, $refunds: Boolean!) {
  shop { myshopifyDomain }
  order(id: $id) {
    ...OrderParts
    suggestedRefund(suggestFullRefund: true) { maximumRefundableSet { shopMoney { amount currencyCode } } }
    lineItems(first: $lines) {
      nodes {
        sku
        name
        quantity
        unfulfilledQuantity
        refundableQuantity
        originalUnitPriceSet { shopMoney { amount currencyCode } }
      }
      pageInfo { hasNextPage }
    }
    fulfillments(first: 20) @include(if: $shipments) {
      status
      displayStatus
      estimatedDeliveryAt
      location { name }
      trackingInfo(first: 5) { company number url }
    }
    transactions(first: 50) @include(if: $payments) {
      createdAt
      processedAt
      kind
      status
      formattedGateway
      amountSet { shopMoney { amount currencyCode } }
    }
    refunds(first: 50) @include(if: $refunds) {
      id
      processedAt
      note
      totalRefundedSet { shopMoney { amount currencyCode } }
    }
  }
}
"""
    + _ORDER
)
