"""What tools are given."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

CustomerId = Annotated[str, Field(min_length=1, max_length=254)]
"""An id in a billing system, or an e-mail address."""
InvoiceId = Annotated[str, Field(min_length=1, max_length=120)]
PaymentId = Annotated[str, Field(min_length=1, max_length=120)]
OrderRef = Annotated[str, Field(min_length=1, max_length=120)]
