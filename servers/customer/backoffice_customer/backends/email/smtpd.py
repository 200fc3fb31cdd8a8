"""The sandbox's submission server: RFC 5321 and 6409, with AUTH (RFC 4954). Who logs in sends as the mailbox only."""

from __future__ import annotations

import asyncio
import re
from base64 import b64decode, b64encode
from collections.abc import Callable

from backoffice_customer.backends.email.faulty import Broken, Faulty
from backoffice_customer.backends.email.postoffice import SUPPORT, WHY_NOT, PostOffice
from backoffice_shared.sandbox.frame import Fault

LARGEST = 25_000_000
_PATH = re.compile(r"(?i)(FROM|TO):\s*<([^<>\s]*)>(?: .*)?")


class SmtpSession:
    """One connection, until QUIT or its end."""

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
        self._sender: str | None = None
        self._recipients: list[str] = []
        self._fault: Fault = "ok"

    async def run(self) -> None:
        self._say("220 mail.northwind.example ESMTP")
        while line := await self._reader.readline():
            name, _, argument = line.decode("utf-8", "replace").strip().partition(" ")
            if name.upper() == "QUIT":
                self._say("221 2.0.0 Bye")
                return
            await self._answer(name.upper(), argument)
            await self._writer.drain()

    async def _answer(self, name: str, argument: str) -> None:
        match name:
            case "EHLO":
                self._say("250-mail.northwind.example", f"250-SIZE {LARGEST}", "250-8BITMIME", "250-SMTPUTF8")
                self._say("250-ENHANCEDSTATUSCODES", "250 AUTH PLAIN LOGIN XOAUTH2")
            case "HELO":
                self._say("250 mail.northwind.example")
            case "NOOP":
                self._say("250 2.0.0 OK")
            case "RSET":
                self._reset()
                self._say("250 2.0.0 OK")
            case "AUTH":
                await self._auth(argument)
            case "MAIL" | "RCPT" | "DATA" if not self._user:
                self._say("530 5.7.0 Authentication required")
            case "MAIL":
                await self._mail(argument)
            case "RCPT":
                self._rcpt(argument)
            case "DATA":
                await self._data()
            case _:
                self._say("502 5.5.2 Command not recognized")

    async def _auth(self, argument: str) -> None:
        mechanism, _, initial = argument.partition(" ")
        try:
            if mechanism.upper() == "LOGIN":
                user, password = await self._asked("Username:"), await self._asked("Password:")
                self._user = self._knows("PLAIN", b"\0" + user + b"\0" + password)
            else:
                given = b64decode(initial, validate=True) if initial else await self._asked("")
                self._user = self._knows(mechanism.upper(), given)
                if not self._user and mechanism.upper() == "XOAUTH2":
                    await self._asked(WHY_NOT)
        except ValueError:
            self._say("501 5.5.2 Cannot decode the response")
            return
        self._say(
            "235 2.7.0 Authentication successful" if self._user else "535 5.7.8 Authentication credentials invalid"
        )

    async def _asked(self, prompt: str) -> bytes:
        self._say(f"334 {b64encode(prompt.encode()).decode()}")
        await self._writer.drain()
        return b64decode((await self._reader.readline()).strip(), validate=True)

    async def _mail(self, argument: str) -> None:
        found = _PATH.fullmatch(argument)
        if found is None or found[1].upper() != "FROM":
            self._say("501 5.1.7 Bad sender address syntax")
            return
        self._fault = self._faulty.drawn()
        match self._fault:
            case "throttle":
                self._refuse("451 4.7.1 Too many messages, try again later", 429)
            case "error":
                self._refuse("421 4.3.2 Service not available, closing transmission channel", 503)
                raise Broken
            case "reset":
                self._faulty.log("SMTP", "MAIL", 0)
                raise Broken
            case _ if found[2].lower() != SUPPORT:
                self._refuse("553 5.7.1 Sender address rejected: not owned by user", 403)
            case fault:
                if fault == "slow":
                    await self._faulty.hold()
                self._sender = found[2]
                self._say("250 2.1.0 Ok")

    def _rcpt(self, argument: str) -> None:
        found = _PATH.fullmatch(argument)
        if self._sender is None:
            self._say("503 5.5.1 Error: need MAIL command")
        elif found is None or found[1].upper() != "TO" or "@" not in found[2]:
            self._say("501 5.1.3 Bad recipient address syntax")
        elif not self._office.knows(found[2]):
            self._refuse(f"550 5.1.1 <{found[2]}>: Recipient address rejected: User unknown", 400)
        else:
            self._recipients.append(found[2])
            self._say("250 2.1.5 Ok")

    async def _data(self) -> None:
        if not self._recipients or self._sender is None:
            self._say("503 5.5.1 Error: need RCPT command")
            return
        self._say("354 End data with <CR><LF>.<CR><LF>")
        await self._writer.drain()
        content = await self._content()
        if content is None:
            self._refuse("552 5.3.4 Message size exceeds fixed limit", 413)
        else:
            self._office.accept(self._sender, self._recipients, content)
            self._committed()
        self._reset()

    def _committed(self) -> None:
        if self._fault == "drop_after_commit":
            self._faulty.log("SMTP", "DATA", 0)
            raise Broken
        self._faulty.log("SMTP", "DATA", 200)
        if self._fault in ("malformed", "wrong_types"):
            self._say("2 5 0 Ok" if self._fault == "malformed" else "200 []")
        else:
            self._say("250 2.0.0 Ok: queued")

    async def _content(self) -> bytes | None:
        """The message; None when it is too large."""
        lines: list[bytes] = []
        size = 0
        while (line := await self._reader.readline()) != b".\r\n":
            if not line:
                raise Broken  # before its end: it was never taken
            size += len(line)
            if size <= LARGEST:
                lines.append(line[1:] if line.startswith(b".") else line)
        return b"".join(lines) if size <= LARGEST else None

    def _refuse(self, said: str, status: int) -> None:
        self._faulty.log("SMTP", said[:3], status)
        self._say(said)

    def _reset(self) -> None:
        self._sender, self._recipients = None, []

    def _say(self, *lines: str) -> None:
        self._writer.write("".join(f"{line}\r\n" for line in lines).encode())
