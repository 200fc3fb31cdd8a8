"""A real mailbox: Dovecot for IMAP, and aiosmtpd that delivers into it. Import its fixtures where they are needed."""

from __future__ import annotations

import grp
import imaplib
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, Envelope, LoginPassword, Session

ANSWERS_WITHIN = 15.0  # seconds; it takes a fifth of one
ADDRESS, PASSWORD = "support@northwind.example", "dovecots-secret-value"

_CONFIGURATION = """
base_dir = {folder}/run
state_dir = {folder}/state
log_path = {folder}/log
ssl = no
protocols = imap
listen = 127.0.0.1
default_internal_user = {user}
default_internal_group = {group}
default_login_user = {user}
disable_plaintext_auth = no
auth_mechanisms = plain login
mail_location = maildir:{folder}/mail/%u
first_valid_uid = 1
first_valid_gid = 1
passdb {{
  driver = static
  args = password={password}
}}
userdb {{
  driver = static
  args = uid={user} gid={group} home={folder}/home
}}
namespace inbox {{
  inbox = yes
  mailbox Sent {{
    auto = create
    special_use = \\Sent
  }}
}}
service imap-login {{
  chroot =
  inet_listener imap {{
    port = {port}
  }}
  inet_listener imaps {{
    port = 0
  }}
}}
service anvil {{
  chroot =
}}
"""


class MailServer:
    """`delivered` is what went out to others: recipient and message. `faults` happen to the next messages in turn:
    "lose" takes one and breaks the connection, "refuse" and "defer" do not take it.
    """

    def __init__(self, folder: Path, binary: Path) -> None:
        self._folder = folder
        self._binary = binary
        self._process: subprocess.Popen[bytes] | None = None
        self._controller: Any = None
        self.imap_port = self.smtp_port = 0
        self.delivered: list[tuple[str, bytes]] = []
        self.faults: list[str] = []

    def start(self) -> None:
        self.imap_port, self.smtp_port = _free_ports(2)
        # Dovecot gives nobody's mail to root.
        user = pwd.getpwuid(os.geteuid()).pw_name if os.geteuid() else "nobody"
        group = grp.getgrgid(pwd.getpwnam(user).pw_gid).gr_name
        if os.geteuid() == 0:
            shutil.chown(self._folder, user, group)
            self._folder.chmod(0o755)
        settings = _CONFIGURATION.format(
            folder=self._folder, user=user, group=group, password=PASSWORD, port=self.imap_port
        )
        configuration = self._folder / "dovecot.conf"
        configuration.write_text(settings)
        self._process = subprocess.Popen([self._binary, "-F", "-c", configuration])
        until = time.monotonic() + ANSWERS_WITHIN
        while not self._answers():
            assert time.monotonic() < until, (self._folder / "log").read_text()
            time.sleep(0.02)
        self._controller = Controller(
            self,
            hostname="127.0.0.1",
            port=self.smtp_port,
            authenticator=_authenticate,
            auth_required=True,
            auth_require_tls=False,
            enable_SMTPUTF8=True,
        )
        self._controller.start()

    def stop(self) -> None:
        if self._controller is not None:
            self._controller.stop()
        if self._process is not None:
            self._process.terminate()
            self._process.wait(ANSWERS_WITHIN)

    def emptied(self) -> None:
        """As it was at first, but for what UIDs were given."""
        with self.mailbox() as box:
            for folder in ("INBOX", "Sent"):
                if box.select(folder)[1] != [b"0"]:
                    box.store("1:*", "+FLAGS", "\\Deleted")
                    box.expunge()
        self.delivered.clear()
        self.faults.clear()

    def mailbox(self) -> imaplib.IMAP4:
        box = imaplib.IMAP4("127.0.0.1", self.imap_port, timeout=ANSWERS_WITHIN)
        box.login(ADDRESS, PASSWORD)
        return box

    def receive(self, message: bytes) -> None:
        with self.mailbox() as box:
            box.append("INBOX", "", "", message)

    async def handle_DATA(self, server: Any, session: Session, envelope: Envelope) -> str:  # noqa: ARG002, N802
        fault = self.faults.pop(0) if self.faults else "ok"
        if fault == "refuse":
            return "550 5.7.1 Message rejected as spam"
        if fault == "defer":
            return "451 4.7.1 Try again later"
        content = envelope.original_content or b""
        for recipient in envelope.rcpt_tos:
            if recipient == ADDRESS:
                self.receive(content)
            else:
                self.delivered.append((recipient, content))
        if fault == "lose":
            server.transport.abort()
        return "250 2.0.0 Ok"

    async def handle_RCPT(  # noqa: N802
        self,
        server: Any,  # noqa: ARG002
        session: Session,  # noqa: ARG002
        envelope: Envelope,
        address: str,
        options: list[str],  # noqa: ARG002
    ) -> str:
        if address.endswith("@nowhere.example"):
            return "550 5.1.1 User unknown"
        envelope.rcpt_tos.append(address)
        return "250 2.1.5 Ok"

    def _answers(self) -> bool:
        try:
            self.mailbox().logout()
        except (OSError, imaplib.IMAP4.error):
            return False
        return True


def _authenticate(_server: Any, _session: Any, _envelope: Any, mechanism: str, given: Any) -> AuthResult:
    expected = LoginPassword(ADDRESS.encode(), PASSWORD.encode())
    return AuthResult(success=mechanism in ("LOGIN", "PLAIN") and given == expected)


def _free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [taken.getsockname()[1] for taken in sockets]
    for taken in sockets:
        taken.close()
    return ports


def _binary() -> Path | None:
    installed = shutil.which("dovecot", path=os.environ.get("PATH", "") + ":/usr/sbin:/usr/local/sbin")
    return None if installed is None else Path(installed)


_SERVER = pytest.StashKey[MailServer]()


@pytest.fixture(scope="session")
def the_mail_server(request: pytest.FixtureRequest) -> MailServer:
    """The server of this worker, with what the last test left in it."""
    config = request.config
    if _SERVER not in config.stash:
        if (binary := _binary()) is None:
            pytest.skip("dovecot is not installed (Debian: dovecot-imapd)")
        folder = Path(tempfile.mkdtemp(prefix="backoffice-mail-"))
        server = MailServer(folder, binary)
        config.add_cleanup(lambda: shutil.rmtree(folder, ignore_errors=True))
        config.add_cleanup(server.stop)
        server.start()
        config.stash[_SERVER] = server
    return config.stash[_SERVER]


@pytest.fixture
def mail_server(the_mail_server: MailServer) -> MailServer:
    """A mailbox with nothing in it."""
    the_mail_server.emptied()
    return the_mail_server
