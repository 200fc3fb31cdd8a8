"""The sandbox's IMAP server: the part of RFC 3501 that mail programs use, with literals, keywords and UIDPLUS."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from typing import Any

from backoffice_customer.backends.email.bodies import MONTHS, item
from backoffice_customer.backends.email.faulty import Broken, Faulty, Refusing
from backoffice_customer.backends.email.postoffice import WHY_NOT, Folder, Kept, PostOffice, Unknown, numbered
from backoffice_customer.backends.email.syntax import Values, read, strings

_BEFORE, _AFTER = "IMAP4rev1 SASL-IR AUTH=PLAIN AUTH=XOAUTH2 LITERAL+", "IMAP4rev1 UIDPLUS LITERAL+ NAMESPACE"
_SYSTEM_FLAGS = "\\Answered \\Flagged \\Deleted \\Seen \\Draft"
_LARGEST_LITERAL = 30_000_000

Lines = list[bytes]


class _No(Exception):  # noqa: N818 - it is what the server says
    pass


class _Bad(Exception):  # noqa: N818 - it is what the server says
    pass


class ImapSession:
    """One connection, until LOGOUT or its end."""

    def __init__(
        self,
        office: PostOffice,
        faulty: Faulty,
        knows: Callable[[str, bytes], bool],
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self._office = office
        self._faulty = faulty
        self._knows = knows
        self._reader = reader
        self._writer = writer
        self._user = False
        self._folder: Folder | None = None
        self._writable = False

    async def run(self) -> None:
        self._say(f"* OK [CAPABILITY {_BEFORE}] Northwind mail ready.")
        while (command := await self._command()) is not None:
            try:
                values = read(command)
                tag, name = (_text(value) for value in values[:2])
            except ValueError:
                self._say("* BAD Error in IMAP command")
                continue
            if name.upper() == "LOGOUT":
                self._say("* BYE Logging out", f"{tag} OK Logout completed.")
                return
            await self._answer(tag, name.upper(), values[2:])
            await self._writer.drain()

    async def _answer(self, tag: str, name: str, rest: Values) -> None:
        if name == "UID":
            name = f"UID {_text(rest.pop(0) if rest else b'').upper()}"
        try:
            if name.removeprefix("UID ") in _COUNTED and self._user:
                lines = await self._faulty.command(name, lambda: self._do(name, rest), _garbled(name))
            else:
                lines = await self._login(name, rest) if name in ("LOGIN", "AUTHENTICATE") else self._do(name, rest)
        except _No as no:
            lines, said = [], f"NO {no}"
        except Refusing as refusing:
            lines = []
            said = f"NO {_LIMIT if refusing.throttled else _DOWN}"
        except (_Bad, Unknown, ValueError) as bad:
            lines, said = [], f"BAD {bad}"
        else:
            said = f"OK {self._completed(name, lines)}"
        self._writer.write(b"".join(line + b"\r\n" for line in lines))
        self._say(f"{tag} {said}")

    def _completed(self, name: str, lines: Lines) -> str:
        code = lines.pop().decode() + " " if lines and lines[-1].startswith(b"[") else ""
        return f"{code}{name.removeprefix('UID ').capitalize()} completed."

    def _do(self, name: str, rest: Values) -> Lines:
        match name:
            case "CAPABILITY":
                return [f"* CAPABILITY {_AFTER if self._user else _BEFORE}".encode()]
            case "NOOP" | "CHECK":
                return []
            case _ if not self._user:
                raise _Bad("Please login first.")
            case "SELECT" | "EXAMINE":
                return self._select(name, rest)
            case "LIST" | "LSUB":
                return [f'* {name} (\\HasNoChildren) "/" {folder}'.encode() for folder in self._office.folders]
            case "CLOSE" | "UNSELECT":
                self._folder = None
                return []
            case "APPEND":
                return self._append(rest)
            case "SEARCH" | "UID SEARCH":
                return self._search(rest, by_uid=name.startswith("UID"))
            case "FETCH" | "UID FETCH":
                return self._fetch(rest, by_uid=name.startswith("UID"))
            case "STORE" | "UID STORE":
                return self._store(rest, by_uid=name.startswith("UID"))
            case "EXPUNGE" | "UID EXPUNGE":
                return self._expunge(rest)
            case _:
                raise _Bad(f"Error in IMAP command {name[:40]}: Unknown command.")

    # -------------------------------------------------------------------------------------------------------- login

    async def _login(self, name: str, rest: Values) -> Lines:
        if name == "LOGIN":
            user, password = (_text(value) for value in [*rest, b"", b""][:2])
            mechanism, initial = "PLAIN", f"\0{user}\0{password}".encode()
        else:
            mechanism = _text(rest[0] if rest else b"").upper()
            initial = await self._initial(rest[1:])
        if not self._knows(mechanism, initial):
            if mechanism == "XOAUTH2":
                self._say(f"+ {b64encode(WHY_NOT.encode()).decode()}")
                await self._reader.readline()
            raise _No("[AUTHENTICATIONFAILED] Authentication failed.")
        self._user = True
        return [f"[CAPABILITY {_AFTER}]".encode()]

    async def _initial(self, given: Values) -> bytes:
        if not given:
            self._say("+ ")
            given = [(await self._reader.readline()).strip()]
        try:
            return b64decode(given[0] if isinstance(given[0], bytes) else b"", validate=True)
        except ValueError:
            raise _Bad("Invalid base64 data in initial response") from None

    # ------------------------------------------------------------------------------------------------------ folders

    def _named(self, value: Any) -> Folder:
        name = _text(value)
        folders = self._office.folders
        found = folders.get("INBOX" if name.upper() == "INBOX" else name)
        if found is None:
            raise _No(f"[NONEXISTENT] Mailbox doesn't exist: {name[:80]}")
        return found

    def _select(self, name: str, rest: Values) -> Lines:
        self._folder = None
        folder = self._folder = self._named(rest[0] if rest else b"")
        self._writable = name == "SELECT"
        keywords = sorted({flag for kept in folder.messages.values() for flag in kept.flags if flag[0] != "\\"})
        permanent = f"{_SYSTEM_FLAGS} {' '.join(keywords)} \\*".replace("  ", " ") if self._writable else ""
        lines = [
            f"* FLAGS ({' '.join([_SYSTEM_FLAGS, *keywords])})",
            f"* OK [PERMANENTFLAGS ({permanent})] Flags permitted.",
            f"* {len(folder.messages)} EXISTS",
            "* 0 RECENT",
            f"* OK [UIDVALIDITY {folder.validity}] UIDs valid",
            f"* OK [UIDNEXT {folder.next_uid}] Predicted next UID",
            f"[READ-{'WRITE' if self._writable else 'ONLY'}]",
        ]
        return [line.encode() for line in lines]

    def _opened(self, *, to_write: bool = False) -> Folder:
        if self._folder is None:
            raise _Bad("No mailbox selected.")
        if to_write and not self._writable:
            raise _No("[READ-ONLY] Mailbox is read-only.")
        return self._folder

    def _chosen(self, value: Any, *, by_uid: bool) -> list[Kept]:
        folder = self._opened()
        if by_uid:
            return [folder.messages[uid] for uid in sorted(numbered(_text(value), folder))]
        kept = list(folder.messages.values())
        return [kept[n - 1] for n in sorted(_numbers(_text(value), len(kept)))]

    # ----------------------------------------------------------------------------------------------------- messages

    def _append(self, rest: Values) -> Lines:
        folder = self._named(rest[0] if rest else b"")
        flags = strings(rest[1]) if len(rest) > 2 and isinstance(rest[1], list) else []
        content = rest[-1]
        if len(rest) < 2 or not isinstance(content, bytes):
            raise _Bad("Invalid arguments.")
        dates = [value for value in rest[1:-1] if isinstance(value, bytes)]
        at = _moment(dates[0].decode("ascii", "replace")) if dates else datetime.now(UTC).replace(microsecond=0)
        kept = folder.add(at, flags, content=content)
        return [f"[APPENDUID {folder.validity} {kept.uid}]".encode()]

    def _search(self, rest: Values, *, by_uid: bool) -> Lines:
        folder = self._opened()
        self._office.stale = self._faulty.stale
        found = self._office.search(folder, rest)
        if not by_uid:
            places = {uid: n for n, uid in enumerate(folder.messages, 1)}
            found = [places[uid] for uid in found]
        return [b" ".join([b"* SEARCH", *(str(n).encode() for n in found)])]

    def _fetch(self, rest: Values, *, by_uid: bool) -> Lines:
        folder = self._opened()
        items = rest[1] if len(rest) == 2 and isinstance(rest[1], list) else rest[1:]
        wanted = [_text(item) for item in items]
        places = {uid: n for n, uid in enumerate(folder.messages, 1)}
        lines: Lines = []
        for kept in self._chosen(rest[0] if rest else b"", by_uid=by_uid):
            if self._writable and any(re.match(r"(?i)BODY\[|RFC822$", item) for item in wanted):
                kept.flags.add("\\Seen")
            uid = ["UID"] if by_uid and "UID" not in [item.upper() for item in wanted] else []
            given = b" ".join(item(name, kept, folder) for name in [*uid, *wanted])
            lines.append(b"* %d FETCH (%b)" % (places[kept.uid], given))
        return lines

    def _store(self, rest: Values, *, by_uid: bool) -> Lines:
        folder = self._opened(to_write=True)
        how = _text(rest[1] if len(rest) > 1 else b"").upper()
        found = re.fullmatch(r"([+-]?)FLAGS(\.SILENT)?", how)
        flags = strings(rest[2]) if len(rest) > 2 and isinstance(rest[2], list) else strings(rest[2:])
        if found is None:
            raise _Bad("Invalid arguments.")
        places = {uid: n for n, uid in enumerate(folder.messages, 1)}
        lines: Lines = []
        for kept in self._chosen(rest[0], by_uid=by_uid):
            kept.flags = {"+": kept.flags | {*flags}, "-": kept.flags - {*flags}}.get(found[1], {*flags})
            if not found[2]:
                given = f"FLAGS ({' '.join(sorted(kept.flags))})"
                lines.append(f"* {places[kept.uid]} FETCH ({f'UID {kept.uid} ' if by_uid else ''}{given})".encode())
        return lines

    def _expunge(self, rest: Values) -> Lines:
        folder = self._opened(to_write=True)
        among = numbered(_text(rest[0]), folder) if rest else set(folder.messages)
        lines: Lines = []
        for n, uid in reversed(list(enumerate(folder.messages, 1))):
            if uid in among and "\\Deleted" in folder.messages[uid].flags:
                del folder.messages[uid]
                lines.append(f"* {n} EXPUNGE".encode())
        return lines

    # --------------------------------------------------------------------------------------------------- the wire

    async def _command(self) -> list[bytes | tuple[bytes, bytes]] | None:
        """A line, with the literals in it; None when the connection has ended."""
        parts: list[bytes | tuple[bytes, bytes]] = []
        while line := await self._reader.readline():
            line = line.rstrip(b"\r\n")
            found = re.search(rb"\{(\d+)(\+?)\}$", line)
            if found is None:
                return [*parts, line]
            if int(found[1]) > _LARGEST_LITERAL:
                self._say("* BYE Too long literal")
                return None
            if not found[2]:
                self._say("+ OK")
                await self._writer.drain()
            parts.append((line, await self._reader.readexactly(int(found[1]))))
        return None

    def _say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())


_LIMIT = "[LIMIT] Too many commands. Slow down."
_DOWN = "[UNAVAILABLE] The server is temporarily unavailable."
_COUNTED = ("SEARCH", "FETCH", "STORE", "APPEND", "EXPUNGE")


def _garbled(name: str) -> Callable[[str], Lines]:
    def answer(how: str) -> Lines:
        if "SEARCH" in name:
            return [b"* SEARCH 1 2 (" if how == "malformed" else b"* SEARCH one two"]
        if "FETCH" in name:
            return [
                b"* 1 FETCH (UID 1 FLAGS (" if how == "malformed" else b"* 1 FETCH (UID (1) FLAGS 7 INTERNALDATE ())"
            ]
        raise Broken

    return answer


def _moment(said: str) -> datetime:
    found = re.fullmatch(r" ?(\d{1,2})-([A-Z][a-z]{2})-(\d{4}) (\d\d:\d\d:\d\d) ([+-]\d\d)(\d\d)", said)
    if found is None or found[2] not in MONTHS:
        raise _Bad("Invalid internal date.")
    month = MONTHS.index(found[2]) + 1
    return datetime.fromisoformat(f"{found[3]}-{month:02d}-{int(found[1]):02d}T{found[4]}{found[5]}:{found[6]}")


def _numbers(given: str, most: int) -> Iterator[int]:
    for part in given.split(","):
        ends = [most if end == "*" else int(end) for end in part.split(":")]
        yield from range(max(1, min(ends)), min(max(ends), most) + 1)


def _text(value: Any) -> str:
    if not isinstance(value, bytes):
        raise _Bad("Invalid arguments.")
    return value.decode("utf-8", "replace")
