"""What outlives a call: limits, quotas, idempotency records, shared cache. Embedded by default, distributed when configured."""
