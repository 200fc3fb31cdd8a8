"""One SMTP transaction: everything up to the message itself, and then the message. It blocks: for threads only.

Sources: https://www.rfc-editor.org/rfc/rfc5321, RFC 6409 (submission), 4954 (AUTH), 3463 (codes), 6531 (SMTPUTF8)
"""

from __future__ import annotations

import re
import smtplib
import ssl
from base64 import b64encode
from collections.abc import Generator, Sequence
from contextlib import contextmanager

from backoffice_customer.backends.email.access import Login, Patience, Place, Refused, secured

IMPLICIT_TLS = 465
_GREYLISTED = 60  # seconds; those who say "later" mean minutes


class Unclear(Exception):  # noqa: N818 - it is what happened
    """The message was on its way when the connection broke: it may have been accepted."""


class Session:
    """Logged in. `begin`, then `send`."""

    def __init__(self, smtp: smtplib.SMTP, patience: Patience) -> None:
        self._smtp = smtp
        self._patience = patience

    def begin(self, sender: str, to: str, also: Sequence[str]) -> None:
        """Name whom the message is from and for. That `also` are refused does not matter.

        Raises:
            Refused: the server does not take mail from this sender or for `to`.
            OSError: the connection broke. Nothing was sent.
        """
        international = "" if to.isascii() else " SMTPUTF8"
        if international and not self._smtp.has_extn("smtputf8"):
            raise Refused(400, f"this server can send to no address like {to!r} (RFC 6531)")
        self._smtp.command_encoding = "utf-8"
        self._expect(250, *self._ask("MAIL", f"FROM:<{sender}>{international}"))
        self._expect(250, *self._ask("RCPT", f"TO:<{to}>"), about_this=True)
        for address in also:
            self._ask("RCPT", f"TO:<{address}>")

    def send(self, message: bytes) -> None:
        """
        Raises:
            Refused: the server does not take it. Nothing was sent.
            Unclear: nobody can say.
        """
        self._wait()
        self._expect(354, *self._ask("DATA"), about_this=True)
        try:
            self._wait()
            self._smtp.send(_stuffed(message))
            answer = self._smtp.getreply()
        except (OSError, smtplib.SMTPException) as lost:
            raise Unclear from lost
        if answer[0] != 250 and not 400 <= answer[0] < 600:
            raise Unclear  # that is no answer
        self._expect(250, *answer, about_this=True)

    def _ask(self, command: str, argument: str = "") -> tuple[int, bytes]:
        self._wait()
        return self._smtp.docmd(command, argument)

    def _wait(self) -> None:
        if self._smtp.sock is not None:
            self._smtp.sock.settimeout(self._patience.left())

    @staticmethod
    def _expect(code: int, said: int, sentence: bytes, *, about_this: bool = False) -> None:
        """`about_this`: a refusal for now is about this recipient or message, and says nothing of others."""
        if said != code and not (code == 250 and said == 251):
            raise _refused(said, sentence, for_now=423 if about_this else 429)


@contextmanager
def session(place: Place, login: Login, domain: str, patience: Patience, context: ssl.SSLContext) -> Generator[Session]:
    """A session that is logged in, and ended afterwards. `domain` is what we introduce ourselves as.

    Raises:
        OSError: the connection could not be made, or broke.
        Refused: the server does not take the login, or no TLS.
    """
    smtp = _reached(place, domain, patience, context)
    try:
        try:
            smtp.ehlo_or_helo_if_needed()
            if place.port != IMPLICIT_TLS and secured(place, offered=smtp.has_extn("starttls")):
                smtp.starttls(context=context)
                smtp.ehlo_or_helo_if_needed()
            _log_in(smtp, login)
            yield Session(smtp, patience)
            _say_goodbye(smtp)
        except smtplib.SMTPResponseException as refused:
            raise _refused(refused.smtp_code, _raw(refused.smtp_error)) from refused
        except smtplib.SMTPException as lost:  # among them, that the connection broke
            raise ConnectionError(str(lost)) from lost
    finally:
        smtp.close()


def _reached(place: Place, domain: str, patience: Patience, context: ssl.SSLContext) -> smtplib.SMTP:
    left = patience.left()
    try:
        if place.port == IMPLICIT_TLS:
            return smtplib.SMTP_SSL(place.host, place.port, domain, context=context, timeout=left)
        return smtplib.SMTP(place.host, place.port, domain, timeout=left)
    except smtplib.SMTPResponseException as refused:
        raise _refused(refused.smtp_code, _raw(refused.smtp_error)) from refused
    except smtplib.SMTPException as lost:
        raise ConnectionError(str(lost)) from lost


def _log_in(smtp: smtplib.SMTP, login: Login) -> None:
    offered = str(smtp.esmtp_features.get("auth", "")).upper().split()
    if login.mechanism == "PLAIN" and "PLAIN" not in offered:
        smtp.login(login.user, login.password)
        return
    code, said = smtp.docmd("AUTH", f"{login.mechanism} {b64encode(login.initial).decode()}")
    if code == 334:  # why it refuses (XOAUTH2): an empty answer makes it say so
        code, said = smtp.docmd("")
    if code != 235:
        raise _refused(code, said)


def _say_goodbye(smtp: smtplib.SMTP) -> None:
    try:
        smtp.docmd("QUIT")
    except (OSError, smtplib.SMTPException):
        pass  # what it was for is done


def _refused(code: int, sentence: bytes, *, for_now: int = 429) -> Refused:
    said = " ".join(sentence.decode("utf-8", "replace").split())[:300] or f"answered {code}"
    if code in (530, 534, 535, 538):
        return Refused(401, said)
    if code in (421, 454):
        return Refused(503, said, retry_after=5)
    if 400 <= code < 500:
        return Refused(for_now, said, retry_after=_GREYLISTED)
    if code == 552 or "5.3.4" in said:
        return Refused(413, said)
    return Refused(403 if re.search(r"\b5\.7\.\d", said) else 400, said)


def _raw(said: bytes | str) -> bytes:
    return said if isinstance(said, bytes) else said.encode("utf-8", "replace")


def _stuffed(message: bytes) -> bytes:
    """Lines end in CRLF, and one that begins with a dot gets another; a dot alone ends it all (RFC 5321 §4.5.2)."""
    lines = re.sub(rb"\r\n|\r|\n", b"\r\n", message)
    whole = lines if lines.endswith(b"\r\n") else lines + b"\r\n"
    return re.sub(rb"(?m)^\.", b"..", whole) + b".\r\n"
