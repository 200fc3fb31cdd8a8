"""Every GraphQL document that we send. What varies goes in as a variable, never into the text.

The sizes keep each document under the 1,000 points that one query may cost, counted as the vendor first published it:
a point an object, and as many objects as are asked for. It has charged less than that for long pages since.

Source: https://shopify.engineering/rate-limiting-graphql-apis-calculating-query-complexity
"""

from __future__ import annotations

LINES = 100  # of an order; a longer one is cut, and says so
RETURNS, RETURNED_LINES = 5, 10  # of an order, and of a return; likewise
SHIPMENTS, PARCELS = 20, 5  # of an order, and of a shipment: where so many come there may be more, and it says so
PAYMENTS, PAID_BACK = 50, 50  # of an order; likewise
REFUNDED_ORDERS, REFUNDS = 25, 10  # in a page of a history, and of each of them
ITEMS, LEVELS, MORE_LEVELS = 10, 15, 100  # things in stock, the places that keep one, and its further places

_CUSTOMER = """
fragment CustomerParts on Customer {
  id
  displayName
  defaultEmailAddress { emailAddress marketingState }
  defaultPhoneNumber { phoneNumber smsMarketingConsent { state } }
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

EMAIL_CONSENT = (
    """
mutation EmailConsent($input: CustomerEmailMarketingConsentUpdateInput!) {
  changed: customerEmailMarketingConsentUpdate(input: $input) {
    customer { ...CustomerParts }
    userErrors { field message code }
  }
}
"""
    + _CUSTOMER
)

SMS_CONSENT = (
    """
mutation SmsConsent($input: CustomerSmsMarketingConsentUpdateInput!) {
  changed: customerSmsMarketingConsentUpdate(input: $input) {
    customer { ...CustomerParts }
    userErrors { field message code }
  }
}
"""
    + _CUSTOMER
)

LANGUAGE = (
    """
mutation Language($input: CustomerInput!) {
  changed: customerUpdate(input: $input) {
    customer { ...CustomerParts }
    userErrors { field message }
  }
}
"""
    + _CUSTOMER
)

_ORDER = """
fragment OrderParts on Order {
  id
  name
  createdAt
  cancelledAt
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
    edges { cursor node { ...OrderParts } }
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

REFUNDED = """
query Refunded($query: String!, $first: Int!, $after: String, $refunds: Int!) {
  shop { myshopifyDomain }
  orders(first: $first, after: $after, query: $query, sortKey: CREATED_AT, reverse: true) {
    nodes {
      id
      name
      refunds(first: $refunds) {
        id
        processedAt
        note
        totalRefundedSet { shopMoney { amount currencyCode } }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""

ORDER = (
    """
query Order(
  $id: ID!
  $lines: Int!
  $shipments: Boolean!
  $payments: Boolean!
  $refunds: Boolean!
  $returns: Boolean!
  $returnsFirst: Int!
  $returnedLines: Int!
  $shipmentsFirst: Int!
  $parcels: Int!
  $paymentsFirst: Int!
  $refundsFirst: Int!
) {
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
    fulfillments(first: $shipmentsFirst) @include(if: $shipments) {
      status
      displayStatus
      estimatedDeliveryAt
      location { name }
      trackingInfo(first: $parcels) { company number url }
    }
    transactions(first: $paymentsFirst) @include(if: $payments) {
      createdAt
      processedAt
      kind
      status
      formattedGateway
      amountSet { shopMoney { amount currencyCode } }
    }
    refunds(first: $refundsFirst) @include(if: $refunds) {
      id
      processedAt
      note
      totalRefundedSet { shopMoney { amount currencyCode } }
    }
    returns(first: $returnsFirst) @include(if: $returns) {
      nodes {
        id
        status
        returnLineItems(first: $returnedLines) {
          nodes {
            quantity
            returnReasonDefinition { name }
            returnReasonNote
            ... on ReturnLineItem { fulfillmentLineItem { lineItem { name } } }
          }
          pageInfo { hasNextPage }
        }
      }
      pageInfo { hasNextPage }
    }
  }
}
"""
    + _ORDER
)

_LEVEL = """
fragment LevelParts on InventoryLevel {
  location { id name }
  quantities(names: ["available", "on_hand", "committed", "incoming"]) { name quantity }
}
"""

STOCK = (
    """
query Stock($query: String!, $first: Int!, $after: String, $levels: Int!) {
  inventoryItems(first: $first, after: $after, query: $query) {
    nodes {
      id
      sku
      inventoryLevels(first: $levels) {
        nodes { ...LevelParts }
        pageInfo { hasNextPage endCursor }
      }
    }
    pageInfo { hasNextPage endCursor }
  }
}
"""
    + _LEVEL
)

MORE_STOCK = (
    """
query MoreStock($id: ID!, $first: Int!, $after: String) {
  inventoryItem(id: $id) {
    inventoryLevels(first: $first, after: $after) {
      nodes { ...LevelParts }
      pageInfo { hasNextPage endCursor }
    }
  }
}
"""
    + _LEVEL
)
