"""E-mail: the support mailbox, by SMTP (RFC 5321, 6409) and IMAP (RFC 9051, 3501)."""
