"""Tests following a task's log while its gateway or region fails."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import CliError, Exit
from gateway.cli.logs.following import follow_log
from gateway.cli.logs.log_request import NO_OPTIONS, LogOptions
from gateway.cli.logs.logs import logs
from tests.gateway.cli.runs.answers import task


def line(epoch: int, text: str, offset: int) -> bytes:
    return (
        json.dumps(
            {"region": "beijing", "epoch": epoch, "text": text, "offset": offset}, ensure_ascii=False
        ).encode()
        + b"\n"
    )


class Broken(httpx.SyncByteStream):
    """A response that breaks off in the middle, as of a gateway that was killed."""

    def __init__(self, *pieces: bytes) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[bytes]:
        yield from self._pieces
        raise httpx.RemoteProtocolError("peer closed connection")


class Gateway:
    """A fake gateway that gives, at each reading, the task's phase and the log so far."""

    def __init__(self, *readings: tuple[str, int, bytes | httpx.SyncByteStream]) -> None:
        self.readings = list(readings)
        self.offsets: list[str] = []
        self.queries: list[dict[str, str]] = []

    def answer(self, request: httpx.Request) -> httpx.Response:
        phase, epoch, log = self.readings[0]
        if not request.url.path.endswith("/logs"):
            found: dict[str, Any] = {"task": "a", "shard": 0, "phase": phase, "epoch": epoch, "reason": ""}
            return httpx.Response(200, json={"tasks": [found]})
        self.offsets.append(request.url.params["offset"])
        self.queries.append(dict(request.url.params))
        self.readings.pop(0)
        return httpx.Response(200, content=log) if isinstance(log, bytes) else httpx.Response(200, stream=log)

    def follow(self, options: LogOptions = NO_OPTIONS) -> None:
        with httpx.Client(
            transport=httpx.MockTransport(self.answer), base_url="http://gateway.test"
        ) as client:
            follow_log(client, "r", "0", "a", options)


@pytest.fixture(autouse=True)
def without_waiting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("gateway.cli.logs.following.RECONNECT_SECONDS", 0.0)


def test_a_broken_log_goes_on_where_it_was(capsys: pytest.CaptureFixture[str]) -> None:
    """At the very byte; and a stream that ended with its gateway, not with the task, is read on too."""
    gateway = Gateway(
        ("Running", 1, Broken(line(1, "one\n", 4))),
        ("Running", 1, line(1, "two\u2028\n", 11)),
        ("Succeeded", 1, line(1, "three\n", 17)),
    )
    gateway.follow()
    printed = capsys.readouterr()
    assert (printed.out, gateway.offsets) == ("one\ntwo\u2028\nthree\n", ["0", "4", "11"])
    assert "trying again" in printed.err


def test_another_attempts_log_begins_at_its_beginning(capsys: pytest.CaptureFixture[str]) -> None:
    """The region was lost: the task runs again elsewhere, and writes another file."""
    gateway = Gateway(("Running", 1, line(1, "one\n", 4)), ("Succeeded", 2, line(2, "again\n", 6)))
    gateway.follow()
    assert (capsys.readouterr().out, gateway.offsets) == ("one\nagain\n", ["0", "0"])


def test_a_refusal_is_no_end() -> None:
    """Nor is it tried again: it would be refused again."""
    with (
        httpx.Client(
            transport=httpx.MockTransport(lambda _: httpx.Response(403, json={"detail": "no"})),
            base_url="http://g.test",
        ) as client,
        pytest.raises(CliError, match="no"),
    ):
        follow_log(client, "r", "0", "a")


def test_a_task_that_was_skipped_has_no_log_and_the_reason_is_printed(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """And it is not the one that a log is wanted of where none was named."""
    found = {"tasks": [task("a"), task("b", "Skipped", at=2.0)]}
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found)
    httpserver.expect_request("/v1/runs/r1/logs", query_string="task=a&shard=0").respond_with_data("words\n")
    assert logs("r1", "b", url=httpserver.url_for(""), token="t") == Exit.NOT_FOUND
    assert "b was skipped" in capsys.readouterr().err
    assert logs("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out == "words\n"


def test_an_earlier_attempts_log_is_read_by_its_epoch(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Of the task that is named, even one that was skipped since, or of the last that wrote in it."""
    httpserver.expect_request("/v1/runs/r").respond_with_json({"tasks": [task("a"), task("b", "Skipped")]})
    query = {"shard": "0", "attempt": "1"}
    for name in "ab":
        asked = httpserver.expect_request("/v1/runs/r/logs", query_string=query | {"task": name})
        asked.respond_with_data(f"{name} in attempt 1\n")
    url = httpserver.url_for("")
    assert logs("r", "b", attempt=1, url=url, token="t") == Exit.DONE
    assert logs("r", attempt=1, url=url, token="t") == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out == "b in attempt 1\na in attempt 1\n"
    assert printed.err == "task a of shard 0, attempt 1\n"


def test_an_attempt_without_a_log_says_why(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its region is gone, or there was none: the gateway's own words."""
    httpserver.expect_request("/v1/runs/r").respond_with_json({"tasks": [task("a")]})
    refusal = {"detail": "attempt 1 of shard 0 ran in beijing, which is gone"}
    httpserver.expect_request("/v1/runs/r/logs").respond_with_json(refusal, status=404)
    url = httpserver.url_for("")
    for name in (None, "a"):
        assert logs("r", name, attempt=1, url=url, token="t") == Exit.NOT_FOUND
        assert "ran in beijing, which is gone" in capsys.readouterr().err


def test_a_log_is_followed_over_the_pause_before_a_retry(capsys: pytest.CaptureFixture[str]) -> None:
    """A stream may end in the pause, as with its gateway: the task goes on."""
    gateway = Gateway(("Retrying", 1, line(1, "one\n", 4)), ("Succeeded", 1, line(1, "two\n", 8)))
    gateway.follow()
    assert (capsys.readouterr().out, gateway.offsets) == ("one\ntwo\n", ["0", "4"])


def test_a_task_that_was_omitted_has_no_log_and_the_reason_is_printed(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    omitted = task("b", "Omitted") | {"reason": "a failed"}
    httpserver.expect_request("/v1/runs/r1").respond_with_json({"tasks": [task("a", "Failed"), omitted]})
    assert logs("r1", "b", url=httpserver.url_for(""), token="t") == Exit.NOT_FOUND
    assert "b was omitted: a failed" in capsys.readouterr().err


def test_a_part_of_a_log_is_followed(capsys: pytest.CaptureFixture[str]) -> None:
    """Only the first stream asks for a part: the next goes on where that ended."""
    gateway = Gateway(
        ("Running", 1, Broken(line(1, "one\ntw", 4))),
        ("Succeeded", 1, line(1, "o\n", 11)),
    )
    gateway.follow(LogOptions(tail=2, since=60, timestamps=True))
    assert capsys.readouterr().out == "- one\n- two\n"
    begun, resumed = gateway.queries
    assert (begun["tail"], begun["since"], begun["timestamps"]) == ("2", "60", "true")
    assert (resumed.keys() & {"tail", "since"}, resumed["timestamps"]) == (set(), "true")


def test_an_attempt_is_followed_to_its_end(capsys: pytest.CaptureFixture[str]) -> None:
    """Its log goes on at the byte where it was, though another attempt runs the task by now."""
    gateway = Gateway(("Running", 1, Broken(line(1, "one\n", 4))), ("Running", 2, line(1, "two\n", 8)))
    gateway.follow(LogOptions(attempt=1))
    assert capsys.readouterr().out == "one\ntwo\n"
    assert [(query["attempt"], query["offset"]) for query in gateway.queries] == [("1", "0"), ("1", "4")]


@pytest.mark.parametrize("text", ["soon", "10y", "2026-13-01", "1h2m", ""])
def test_a_time_that_is_none_is_named(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Before anything is asked."""
    assert logs("r", "a", since=text, url="http://unused", token="t") == Exit.USAGE
    assert "--since is a time like 90s" in capsys.readouterr().err
