"""Tests the logs of all tasks of a run, printed together."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.runs.all_logs import prefixed
from gateway.cli.runs.logs import logs
from tests.gateway.cli.runs.answers import run, task


def served(httpserver: HTTPServer) -> str:
    """Serves a run of two shards: `a`, `b` and the instance of `e` have written, `c` and `d` have not."""
    tasks = [
        task("b") | {"started_at": 2.0},
        task("a") | {"started_at": 1.0},
        task("c", "Failed") | {"started_at": 3.0},
        task("d", "Skipped") | {"started_at": 0.0},
        task("e") | {"started_at": 5.0, "instances": 1},
        task("e[0]") | {"started_at": 5.0},
        task("a") | {"shard": 1, "started_at": 4.0},
    ]
    found = run("r1") | {"shards": [], "tasks": tasks, "tasks_left_out": 7}
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found)
    for name, shard, text in (
        ("a", "0", "one\ntwo\n"),
        ("b", "0", "no newline"),
        ("a", "1", "three\n"),
        ("e[0]", "0", "four\n"),
    ):
        httpserver.expect_request(
            "/v1/runs/r1/logs", query_string={"task": name, "shard": shard}
        ).respond_with_data(text)
    httpserver.expect_request("/v1/runs/r1/logs", query_string={"task": "c", "shard": "0"}).respond_with_json(
        {"title": "NotFound", "detail": "no log"}, status=404
    )
    return httpserver.url_for("")


def test_each_line_is_printed_behind_its_task(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """In the order of their starts. A task without a log is passed over."""
    assert logs("r1", every=True, url=served(httpserver), token="t") == Exit.DONE
    said = capsys.readouterr()

    assert said.out.splitlines() == [
        "[0/a] one",
        "[0/a] two",
        "[0/b] no newline",
        "[1/a] three",
        "[0/e[0]] four",
    ]
    assert "7 more tasks are left out" in said.err


def test_one_shard_and_the_last_lines(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Of each log."""
    url = served(httpserver)
    assert logs("r1", every=True, shard="0", tail=1, url=url, token="t") == Exit.DONE
    assert capsys.readouterr().out.splitlines() == ["[0/a] two", "[0/b] no newline", "[0/e[0]] four"]
    assert logs("r1", every=True, shard="5", url=url, token="t") == Exit.NOT_FOUND


def test_one_task_or_all(capsys: pytest.CaptureFixture[str]) -> None:
    """Not both."""
    assert logs("r1", "a", every=True, url="http://unused", token="t") == Exit.USAGE
    assert logs("r1", every=True, follow=True, url="http://unused", token="t") == Exit.USAGE


def test_pieces_are_no_lines() -> None:
    """A line that comes in two pieces is one, and other line ends are part of it."""
    assert list(prefixed(["on", "e\r\u2028x\ntw", "o"], "> ")) == ["> one\r\u2028x\n", "> two\n"]
