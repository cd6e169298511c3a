"""What a log line looks like, and what can never be in one."""

import io
import logging
from collections.abc import Iterator

import msgspec
import pytest
from loguru import logger

from observability import logs

TOKEN = "eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhZGEifQ.c2lnbmF0dXJl"


@pytest.fixture
def stream() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    logs.configure(level="DEBUG", style="json", stream=stream)
    yield stream
    logger.remove()


def test_a_line_is_json(stream: io.StringIO) -> None:
    """One object a line, with its own words and what was bound to it."""
    logger.bind(region="beijing").info("probe {} failed", 3)

    line = msgspec.json.decode(stream.getvalue())
    assert (line["level"], line["message"], line["region"]) == ("INFO", "probe 3 failed", "beijing")


@pytest.mark.parametrize("text", [f"Authorization: Bearer {TOKEN}", f"token {TOKEN}", "bearer abc.def", f"?access_token={TOKEN}"])
def test_a_token_never_reaches_the_log(stream: io.StringIO, text: str) -> None:
    """Whoever logs one by mistake has logged three stars."""
    logger.warning("{}", text)

    assert "***" in stream.getvalue()
    assert not any(part in stream.getvalue() for part in (*TOKEN.split("."), "abc.def"))


def test_a_traceback_shows_no_values(stream: io.StringIO) -> None:
    """Variables hold secrets: the trace tells where, not with what."""

    password = "".join(("sword", "fish"))

    def fail(value: str) -> None:
        raise ValueError(f"{len(value)} characters")

    try:
        fail(password)
    except ValueError:
        logger.exception("it failed")

    assert "9 characters" in msgspec.json.decode(stream.getvalue())["exception"]
    assert "swordfish" not in stream.getvalue()


def test_libraries_are_heard_from_warnings_on(stream: io.StringIO) -> None:
    """One sink for all: what a library has to say goes the same way."""
    logging.getLogger("uvicorn.error").info("started")
    logging.getLogger("uvicorn.error").warning("odd")

    assert [msgspec.json.decode(line)["message"] for line in stream.getvalue().splitlines()] == ["odd"]


def test_people_get_plain_lines() -> None:
    """At a terminal, a line is for reading."""
    stream = io.StringIO()
    logs.configure(style="human", stream=stream)
    logger.info("ready")
    logger.remove()

    assert stream.getvalue().endswith("INFO    ready\n")
