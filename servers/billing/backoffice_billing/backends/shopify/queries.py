"""Every GraphQL document that we send. What varies goes in as a variable, never into the text.

The sizes keep each document under the 1,000 points that one query may cost, counted as the vendor first published it:
a point an object, and as many objects as are asked for.

Source: https://shopify.engineering/rate-limiting-graphql-apis-calculating-query-complexity
"""

from __future__ import annotations

NAMESAKES = 3  # orders that a number may find, as the vendor searches
PAYMENTS, LINES = 25, 50  # of an order; there are pages of lines
MOVES, REFUNDS, PARTS = 40, 30, 5  # of an order: what moved, was given back, and in how many parts each
MARKED = 250  # refunds of an order, looked through for one of ours
CHANGES = 100  # orders of one page

_ORDER = """
fragment OrderParts on Order {
  id
  name
  createdAt
  email
  totalPriceSet { presentmentMoney { amount currencyCode } }
  totalReceivedSet { presentmentMoney { amount currencyCode } }
  totalRefundedSet { presentmentMoney { amount currencyCode } }
  transactions(first: $payments) {
    id
    kind
    status
    gateway
    paymentId
    amountSet { presentmentMoney { amount currencyCode } }
  }
  lineItems(first: $lines) { ...LineParts }
}
"""

_LINES = """
fragment LineParts on LineItemConnection {
  nodes {
    id
    sku
    title
    quantity
    refundableQuantity
    discountedUnitPriceAfterAllDiscountsSet { presentmentMoney { amount currencyCode } }
  }
  pageInfo { hasNextPage endCursor }
}
"""

ORDER = (
    """
query Order($id: ID!, $payments: Int!, $lines: Int!) {
  order(id: $id) { ...OrderParts }
}
"""
    + _ORDER
    + _LINES
)

ORDERS = (
    """
query Orders($query: String!, $first: Int!, $payments: Int!, $lines: Int!) {
  orders(first: $first, query: $query) { nodes { ...OrderParts } }
}
"""
    + _ORDER
    + _LINES
)

MORE_LINES = (
    """
query MoreLines($id: ID!, $lines: Int!, $after: String!) {
  order(id: $id) { lineItems(first: $lines, after: $after) { ...LineParts } }
}
"""
    + _LINES
)

SUGGESTED = """
query Suggested($id: ID!, $lines: [RefundLineItemInput!]!) {
  order(id: $id) {
    suggestedRefund(refundLineItems: $lines) { amountSet { presentmentMoney { amount currencyCode } } }
  }
}
"""

_REFUND = """
fragment RefundParts on Refund {
  id
  createdAt
  processedAt
  note
  transactions(first: $parts) {
    nodes {
      kind
      status
      errorCode
      gateway
      parentTransaction { id }
      amountSet { presentmentMoney { amount currencyCode } }
    }
  }
}
"""

PAYMENT = (
    """
query Payment($id: ID!, $moves: Int!, $refundsFirst: Int!, $parts: Int!, $refunds: Boolean!, $fees: Boolean!) {
  shop { myshopifyDomain }
  order(id: $id) {
    id
    name
    email
    totalReceivedSet { presentmentMoney { amount currencyCode } }
    totalRefundedSet { presentmentMoney { amount currencyCode } }
    suggestedRefund(suggestFullRefund: true) { maximumRefundableSet { presentmentMoney { amount currencyCode } } }
    disputes { status }
    risk { recommendation }
    transactions(first: $moves) {
      id
      kind
      status
      errorCode
      gateway
      createdAt
      processedAt
      parentTransaction { id }
      amountSet { presentmentMoney { amount currencyCode } }
      paymentDetails { ... on CardPaymentDetails { company number } }
      fees @include(if: $fees) { amount { amount currencyCode } taxAmount { amount currencyCode } }
    }
    refunds(first: $refundsFirst) @include(if: $refunds) { ...RefundParts }
  }
}
"""
    + _REFUND
)

REFUND = (
    """
mutation Refund($input: RefundInput!, $key: String!, $parts: Int!) {
  refundCreate(input: $input) @idempotent(key: $key) {
    refund { ...RefundParts }
    userErrors { field message }
  }
}
"""
    + _REFUND
)

CHANGED = """
query Changed($query: String!, $first: Int!, $after: String) {
  orders(first: $first, after: $after, query: $query) {
    nodes { id email refunds(first: 1) { id } }
    pageInfo { hasNextPage endCursor }
  }
}
"""

GIVEN_BACK = (
    """
query GivenBack($id: ID!, $first: Int!, $parts: Int!) {
  order(id: $id) { id refunds(first: $first) { ...RefundParts } }
}
"""
    + _REFUND
)

NOTES = """
query Notes($id: ID!, $first: Int!) {
  order(id: $id) { refunds(first: $first) { id note } }
}
"""

REFUNDED = (
    """
query Refunded($id: ID!, $parts: Int!) {
  refund(id: $id) { ...RefundParts }
}
"""
    + _REFUND
)
