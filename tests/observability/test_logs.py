"""Tests the form of log lines, and that credentials are redacted."""

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


def test_each_line_says_which_process_wrote_it() -> None:
    """Lines of all of them come together in one place; what is known of one line alone is added."""
    stream = io.StringIO()
    logs.configure(style="json", stream=stream, fields={"process": "cluster", "region": "beijing"})
    logger.bind(run="run-1", shard=3).info("it loses its files")
    logger.remove()

    line = msgspec.json.decode(stream.getvalue())
    assert {name: line[name] for name in ("process", "region", "run", "shard")} == {
        "process": "cluster",
        "region": "beijing",
        "run": "run-1",
        "shard": "3",
    }


def test_people_are_not_told_twice() -> None:
    """What the sentence says already is a field for programs alone."""
    stream = io.StringIO()
    logs.configure(style="human", stream=stream)
    logger.bind(region="beijing", trace_id="4bf9").info("region {} is lost", "beijing")
    logger.remove()

    assert stream.getvalue().endswith("region beijing is lost trace_id=4bf9\n")


@pytest.mark.parametrize(
    "text", [f"Authorization: Bearer {TOKEN}", f"token {TOKEN}", "bearer abc.def", f"?access_token={TOKEN}"]
)
def test_a_token_never_reaches_the_log(stream: io.StringIO, text: str) -> None:
    """Whoever logs one by mistake has logged three stars."""
    logger.warning("{}", text)

    assert "***" in stream.getvalue()
    assert not any(part in stream.getvalue() for part in (*TOKEN.split("."), "abc.def"))


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("access_token=eyJhbGciOiJFUzI1NiJ9", "access_token=***"),
        ("eyJhbGciOiJFUzI1NiJ9.eyJzdWIiOiJhIn0 is not one", "*** is not one"),
        ("?bearer=abc.def&page=2", "?***&page=2"),
        ("bearer%20abc.def", "***"),
        ("Authorization: Basic YWRhOnN3b3JkZmlzaA==", "Authorization: Basic ***"),
        ("postgresql://ada:swordfish@db.test/x", "postgresql://***@db.test/x"),
        (
            "GET https://issuer.test/jwks from ada@issuer.test",
            "GET https://issuer.test/jwks from ada@issuer.test",
        ),
    ],
)
def test_what_is_half_a_token_or_a_password_is_kept_back_too(text: str, shown: str) -> None:
    """Secrets come in parts, in queries and in addresses; what is none stays readable."""
    assert logs.redacted(text) == shown


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


def test_lines_that_callers_can_cause_are_rate_limited() -> None:
    """One line of each kind a second; the next one says how many there were."""
    now = 0.0
    limiter = logs.LogRateLimiter(clock=lambda: now)

    assert [limiter.take_turn("kid.unknown") for _ in range(4)] == ["", None, None, None]
    assert limiter.take_turn("claims.exp") == ""
    now = 1.0
    assert limiter.take_turn("kid.unknown") == " (and 3 more like it before)"
    now = 2.0
    assert limiter.take_turn("kid.unknown") == ""


def test_a_library_cannot_fill_the_disk(stream: io.StringIO) -> None:
    """The server has a warning for each request that is none: no token is needed to cause one.

    Errors are told each time.
    """
    for _ in range(50):
        logging.getLogger("uvicorn.error").warning("Invalid HTTP request received.")
    for _ in range(3):
        logging.getLogger("uvicorn.error").error("it failed")

    levels = [msgspec.json.decode(line)["level"] for line in stream.getvalue().splitlines()]
    assert (levels.count("WARNING") < 10, levels.count("ERROR")) == (True, 3)


def test_people_get_plain_lines() -> None:
    """At a terminal, a line is for reading."""
    stream = io.StringIO()
    logs.configure(style="human", stream=stream)
    logger.info("ready")
    logger.remove()

    assert stream.getvalue().endswith("INFO    ready\n")


def test_nobodys_words_make_a_line_of_their_own() -> None:
    """A refusal quotes what was sent: it must not look like another line, nor paint the terminal."""
    stream = io.StringIO()
    logs.configure(style="human", stream=stream)
    logger.info("refused: {}", "image\n12:00:00.000 INFO all is well \x1b[2J")
    logger.remove()

    assert stream.getvalue().count("\n") == 1
    assert "\x1b" not in stream.getvalue()
