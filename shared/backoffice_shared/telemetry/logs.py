"""What the log says: to people as text, to machines as one JSON object a line. Always on standard error.

Every line passes the same way, whoever wrote it: secrets that are in use are masked, nothing in it can look like
another line, it has an end, and it carries the ids of the trace that it belongs to.
"""

from __future__ import annotations

import json
import logging
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Literal, TextIO

import click
from opentelemetry import trace

from backoffice_shared.redaction import SECRETS
from backoffice_shared.telemetry.visible import visible

Form = Literal["text", "json"]

LONGEST_MESSAGE = 4_096  # characters
LONGEST_EXCEPTION = 16_384

_OURS = "backoffice"
_QUIET = "WARNING"

log = logging.getLogger(_OURS)
_operator = logging.getLogger(f"{_OURS}.operator")


def log_to_stderr(level: str, form: Form = "text") -> None:
    """Standard output belongs to the protocol.

    `level` is for what we say ourselves. Libraries are heard from warnings on: below that, some show whole requests,
    with secrets that nobody has learnt yet.
    """
    logging.basicConfig(handlers=[handler(sys.stderr, form)], level=max(_QUIET, level, key=_severity), force=True)
    log.setLevel(level)
    _operator.setLevel(logging.INFO)
    logging.captureWarnings(True)  # noqa: FBT003
    sys.excepthook = lambda kind, error, _trace: _nobody_caught(kind, error)
    threading.excepthook = lambda ended: _nobody_caught(ended.exc_type, ended.exc_value)
    sys.unraisablehook = lambda lost: _nobody_caught(lost.exc_type, lost.exc_value)


def handler(stream: TextIO, form: Form) -> logging.Handler:
    """A handler that writes to `stream` as the log of a server does."""
    made = logging.StreamHandler(stream)
    made.setFormatter(_Lines(_json_line if form == "json" else _text_line))
    return made


def say(line: str) -> None:
    """To the operator, whatever the level: as it is, or as a line of a log that machines read."""
    if any(isinstance(made.formatter, _Lines) and made.formatter.json for made in logging.getLogger().handlers):
        _operator.info("%s", line)
    else:
        click.echo(line, err=True)


class _Lines(logging.Formatter):
    """`line` makes a record's line of its message and of the text of its exception. Nothing that is in a record keeps it
    from being written."""

    def __init__(self, line: Callable[[logging.LogRecord, str, str], str]) -> None:
        super().__init__()
        self.json = line is _json_line
        self._line = line

    def format(self, record: logging.LogRecord) -> str:
        message = visible(SECRETS.scrub(_message(record)))
        exception = "\n".join(map(visible, SECRETS.scrub(self._exception(record)).split("\n")))
        return self._line(record, _head(message), _tail(exception))

    def _exception(self, record: logging.LogRecord) -> str:
        """The exception and the stack that a record holds; empty when it holds none."""
        try:
            told = self.formatException(record.exc_info) if record.exc_info and record.exc_info[0] else ""
        except Exception as error:
            told = f"an exception that cannot be shown: {type(error).__name__}"
        return "\n".join(part for part in (told, record.stack_info) if part)


def _message(record: logging.LogRecord) -> str:
    try:
        return record.getMessage()
    except Exception as error:
        return f"{_shown(record.msg)} with {_shown(record.args)}: {type(error).__name__}"


def _shown(part: object) -> str:
    try:
        return repr(part)
    except Exception:
        return f"<{type(part).__name__}>"


def _json_line(record: logging.LogRecord, message: str, exception: str) -> str:
    context = trace.get_current_span().get_span_context()
    at = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    line = {"ts": at, "level": record.levelname, "logger": record.name, "message": message}
    if context.is_valid:
        line |= {"trace_id": f"{context.trace_id:032x}", "span_id": f"{context.span_id:016x}"}
    if exception:
        line["exception"] = exception
    return json.dumps(line, ensure_ascii=False)


def _text_line(record: logging.LogRecord, message: str, exception: str) -> str:
    lines = [f"{record.levelname} {record.name}: {message}"]
    lines += [f"    {line}" for line in exception.split("\n") if exception]
    return "\n".join(lines)


def _head(text: str) -> str:
    return text if len(text) <= LONGEST_MESSAGE else text[:LONGEST_MESSAGE] + " …"


def _tail(text: str) -> str:
    """What happened is at the end of a traceback."""
    return text if len(text) <= LONGEST_EXCEPTION else "… " + text[-LONGEST_EXCEPTION:]


def _severity(level: str) -> int:
    return logging.getLevelNamesMapping()[level]


def _nobody_caught(kind: type[BaseException], error: BaseException | None) -> None:
    log.error("a fault that nobody caught", exc_info=(kind, error, error.__traceback__) if error is not None else None)
