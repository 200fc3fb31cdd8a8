"""The chain: every record carries a code over itself and all before it, which only the holder of the key can make.

    mac(n) = HMAC-SHA256(key, mac(n-1) ‖ record(n)),    mac(0) = HMAC-SHA256(key, the writer's name)

Each writer (one run of one process) has a chain of its own, so that replicas need not wait for each other. What is
authenticated is the text as it is stored, byte for byte. A chain cannot show that its end was cut off; checkpoints,
which are kept elsewhere, can.
"""

from __future__ import annotations

import hmac
import json
import re
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass

from backoffice_shared.audit.facets import Facets
from backoffice_shared.jsonvalues import obj

VERSION = 1

_MAC = ',"mac":"'
_STRANGE = re.compile(r"[^A-Za-z0-9._-]+")


@dataclass(frozen=True, slots=True)
class Entry:
    """A record as it is kept. `text` is JSON, `mac` hexadecimal. `filed` is how the store found it, when it has an index.

    `seq` is 0 where something is kept that cannot be read.
    """

    writer: str
    seq: int
    text: str
    mac: str
    filed: Facets | None = None

    @property
    def line(self) -> str:
        """One line of JSON, without its end: the record with its code."""
        return f'{self.text[:-1]}{_MAC}{self.mac}"}}'


class Chain:
    """The end to which a writer adds."""

    def __init__(self, key: bytes, writer: str) -> None:
        """`writer` is a name that JSON need not escape."""
        self._key = derived(key, "chain")
        self.writer = writer
        self.seq = 0
        self.mac = genesis(self._key, writer)

    def add(self, body: str) -> Entry:
        """Chain a record: `body` is the text of a JSON object that is not empty."""
        self.seq += 1
        text = f'{{"v":{VERSION},"writer":"{self.writer}","seq":{self.seq},{body[1:]}'
        self.mac = linked(self._key, self.mac, text)
        return Entry(self.writer, self.seq, text, self.mac)


def derived(key: bytes, purpose: str) -> bytes:
    """A key for one purpose, from which the others cannot be told."""
    return hmac.digest(key, f"backoffice audit {VERSION} {purpose}".encode(), "sha256")


def genesis(chain_key: bytes, writer: str) -> str:
    """The code that stands before a writer's first record."""
    return hmac.digest(chain_key, b"genesis\0" + writer.encode(), "sha256").hex()


def linked(chain_key: bytes, previous: str, text: str) -> str:
    """The code of the record `text` that follows the one with the code `previous`."""
    return hmac.digest(chain_key, previous.encode() + text.encode("utf-8", "surrogatepass"), "sha256").hex()


def named_in(text: str) -> tuple[str, int]:
    """The writer and the number that a record says it has; ("", 0) when it cannot be read."""
    try:
        record = obj(json.loads(text))
    except (ValueError, RecursionError):
        return "", 0
    writer, seq = record.get("writer"), record.get("seq")
    return (writer, seq) if isinstance(writer, str) and isinstance(seq, int) else ("", 0)


def read_line(line: str) -> Entry | None:
    """The entry that `Entry.line` wrote; None when it is no such line."""
    text, found, mac = line.rpartition(_MAC)
    writer, seq = named_in(text + "}") if found else ("", 0)
    return Entry(writer, seq, text + "}", mac.removesuffix('"}')) if writer else None


def writer_name(
    server: str,
    *,
    host: Callable[[], str] = socket.gethostname,
    unique: Callable[[], str] = lambda: secrets.token_hex(4),
) -> str:
    """A name for this run of this process: `billing-7c9f-1a2b3c4d`. It can be part of a file's name."""
    return "-".join(_STRANGE.sub("_", part).strip("._-")[:60] or "_" for part in (server, host(), unique()))
