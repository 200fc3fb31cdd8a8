"""E-mail: the support mailbox, by SMTP (RFC 5321, 6409) and IMAP (RFC 9051, 3501)."""

from backoffice_customer.backends.email.adapter import EMAIL, Email
from backoffice_customer.backends.email.sandbox import email_sandbox
from backoffice_customer.backends.email.wire import MailWire

__all__ = ["EMAIL", "Email", "MailWire", "email_sandbox"]
