"""The audit as whoever reads it needs it: the records, what vouches for them, and the key to both."""

from __future__ import annotations

from dataclasses import dataclass, field

from backoffice_shared.audit.checkpoints import Checkpoints
from backoffice_shared.audit.sinks.sink import Reader


@dataclass(frozen=True, slots=True)
class Archive:
    reader: Reader
    checkpoints: Checkpoints
    key: bytes = field(repr=False)
