"""Configures the logging of a process: JSON lines, or plain lines at a terminal, without credentials.

Nothing is queued, and tracebacks show no values of variables. Secrets do not belong in a log call: their
redaction here is only the last guard.
"""

import logging
import re
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from datetime import UTC
from functools import partial
from typing import TYPE_CHECKING, Final, Literal, TextIO

import msgspec
from loguru import logger

if TYPE_CHECKING:
    from loguru import Message, Record

Style = Literal["auto", "json", "human"]

TOKEN: Final = re.compile(
    r"(?i:bearer)(?:\s|%20|[=:])+[\w.~+/=-]+|eyJ[\w-]{8,}(?:\.[\w-]*)*"
    r"|(?<=Basic )[\w+/]{6,}=*|(?<=://)[^\s/@\"']+(?=@)"
)
"""Matches credentials: a bearer token, a JWT or its beginning, HTTP Basic, a password in a URL."""
CONTROL: Final = re.compile(r"[\x00-\x1f\x7f-\x9f]")
"""Matches control characters, with which text from outside could forge a line or change the terminal."""
FOREIGN: Final = ("uvicorn", "uvicorn.error", "httpx", "httpcore", "asyncio", "sse_starlette")
"""The names of standard-library loggers whose warnings and errors are logged too."""

KINDS: Final = 1_000
"""The most kinds of log line whose rate is remembered; beyond it all are forgotten."""


def configure(
    *,
    level: str = "INFO",
    style: Style = "auto",
    stream: TextIO | None = None,
    fields: Mapping[str, str] | None = None,
) -> None:
    """Configures the logging of this process: all lines go to `stream` (default: standard error).

    To be called once, at the start. The style "auto" is "human" at a terminal, else "json". `fields` are in
    every line of JSON: which process of which region wrote it.
    """
    target = sys.stderr if stream is None else stream
    human = style == "human" or (style == "auto" and target.isatty())
    line = _human if human else partial(_json, dict(fields or {}))

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
    """Returns `text` with bearer tokens, JWTs and passwords (HTTP Basic, in URLs) replaced by `***`."""
    return TOKEN.sub("***", text)


class LogRateLimiter:
    """Limits the log lines that callers can cause to one line of each kind in `seconds`."""

    def __init__(self, *, seconds: float = 1.0, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._next: dict[str, float] = {}
        self._kept_back: Counter[str] = Counter()

    def take_turn(self, kind: str) -> str | None:
        """Decides whether a log line of `kind` may be written now; returns a suffix for it, or None if not.

        The suffix says how many lines were suppressed before; it is empty if there were none.
        """
        now = self._clock()
        if now < self._next.get(kind, now):
            self._kept_back[kind] += 1
            return None
        if len(self._next) >= KINDS:
            self._next.clear()
        self._next[kind] = now + self._seconds
        kept_back = self._kept_back.pop(kind, 0)
        return f" (and {kept_back} more like it before)" if kept_back else ""


class _Forward(logging.Handler):
    """A handler of the standard library's logging that forwards its records to loguru.

    Warnings are rate limited: some libraries log one for each malformed request.
    """

    def __init__(self) -> None:
        super().__init__()
        self._limiter = LogRateLimiter()

    def emit(self, record: logging.LogRecord) -> None:
        more = self._limiter.take_turn(str(record.msg)) if record.levelno <= logging.WARNING else ""
        if more is not None:
            logger.opt(exception=record.exc_info).log(record.levelname, "{}{}", record.getMessage(), more)


def _json(of_process: Mapping[str, str], record: "Record") -> str:
    fields = {
        "time": record["time"].astimezone(UTC).isoformat(timespec="milliseconds"),
        "level": record["level"].name,
        "message": record["message"],
        "source": f"{record['name']}:{record['line']}",
        **of_process,
        **{name: str(value) for name, value in record["extra"].items()},
    }
    if (trace := _trace(record)) is not None:
        fields["exception"] = trace
    return msgspec.json.encode(fields).decode()


def _human(record: "Record") -> str:
    trace = _trace(record)
    message = CONTROL.sub(" ", record["message"])
    fields = {name: CONTROL.sub(" ", str(value)) for name, value in record["extra"].items()}
    # Most fields repeat for programs what the sentence says to people.
    extra = "".join(f" {name}={value}" for name, value in fields.items() if value not in message)
    return f"{record['time']:HH:mm:ss.SSS} {record['level'].name:<7} {message}{extra}" + (
        f"\n{trace}" if trace else ""
    )


def _trace(record: "Record") -> str | None:
    found = record["exception"]
    if found is None or found.type is None:
        return None
    return "".join(traceback.format_exception(found.type, found.value, found.traceback)).rstrip()
