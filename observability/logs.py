"""Where log lines go and what may not be in them: one sink, JSON lines for programs or plain lines at a terminal.

Nothing is queued and no variable's value is shown in a traceback. Secrets do not belong in a log call: the redaction here is only the
last guard.
"""

import logging
import re
import sys
import traceback
from datetime import UTC
from typing import TYPE_CHECKING, Final, Literal, TextIO

import msgspec
from loguru import logger

if TYPE_CHECKING:
    from loguru import Message, Record

Style = Literal["auto", "json", "human"]

TOKEN: Final = re.compile(r"(?i:bearer)\s+[\w.~+/=-]+|eyJ[\w-]{8,}(?:\.[\w-]*)+")
"""A bearer credential, or anything that looks like a JWT."""
FOREIGN: Final = ("uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio", "sse_starlette")
"""Loggers of the standard library that are heard too, from warnings on."""


def configure(*, level: str = "INFO", style: Style = "auto", stream: TextIO | None = None) -> None:
    """Sends every log line of this process to `stream` (standard error). To be called once, by whoever starts the process."""
    target = sys.stderr if stream is None else stream
    human = style == "human" or (style == "auto" and target.isatty())
    line = _human if human else _json

    def write(message: "Message") -> None:
        target.write(redacted(line(message.record)) + "\n")
        target.flush()

    logger.remove()
    logger.add(write, level=level.upper(), format="{message}", backtrace=False, diagnose=False, enqueue=False)
    for name in FOREIGN:
        foreign = logging.getLogger(name)
        foreign.handlers, foreign.propagate = [_Forward()], False
        foreign.setLevel(logging.WARNING)


def redacted(text: str) -> str:
    """`text` without anything that looks like a credential."""
    return TOKEN.sub("***", text)


class _Forward(logging.Handler):
    """Hands a line of the standard library's logging on."""

    def emit(self, record: logging.LogRecord) -> None:
        logger.opt(exception=record.exc_info).log(record.levelname, "{}", record.getMessage())


def _json(record: "Record") -> str:
    fields = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "message": record["message"],
        "source": f"{record['name']}:{record['line']}",
        **{name: str(value) for name, value in record["extra"].items()},
    }
    if (trace := _trace(record)) is not None:
        fields["exception"] = trace
    return msgspec.json.encode(fields).decode()


def _human(record: "Record") -> str:
    extra = "".join(f" {name}={value}" for name, value in record["extra"].items())
    trace = _trace(record)
    return f"{record['time']:HH:mm:ss.SSS} {record['level'].name:<7} {record['message']}{extra}" + (f"\n{trace}" if trace else "")


def _trace(record: "Record") -> str | None:
    found = record["exception"]
    if found is None or found.type is None:
        return None
    return "".join(traceback.format_exception(found.type, found.value, found.traceback)).rstrip()
