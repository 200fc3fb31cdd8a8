"""Text as one line that shows everything: a stranger's line break must not look like a log line of ours."""

from __future__ import annotations


def visible(text: str) -> str:
    """`text` with control and other invisible characters written as Python writes them: a line break as `\\n`."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in text)
