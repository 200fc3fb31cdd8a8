"""What tools are given."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

CustomerId = Annotated[str, Field(min_length=1, max_length=120)]
TicketId = Annotated[str, Field(min_length=1, max_length=300)]
OrderId = Annotated[str, Field(min_length=1, max_length=120)]
DocId = Annotated[str, Field(min_length=1, max_length=120)]
