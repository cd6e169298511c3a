"""Tests which task's log is shown where no task is named, and the message for an empty log."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.logs.logs import logs
from tests.gateway.cli.runs.answers import task


def serve(server: HTTPServer, **written: str | None) -> str:
    """Makes the server list the given tasks in their order of starting, with their logs; None: no log."""
    tasks = [task(name, at=float(at)) for at, name in enumerate(written)]
    server.expect_request("/v1/runs/r").respond_with_json({"tasks": tasks})
    for name, text in written.items():
        request = server.expect_request("/v1/runs/r/logs", query_string={"task": name, "shard": "0"})
        if text is None:
            request.respond_with_json({"detail": "no log"}, status=404)
        else:
            request.respond_with_data(text)
    return server.url_for("")


def test_the_last_task_that_wrote_is_shown_and_named(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last that started is often silent; standard output is the log alone."""
    url = serve(httpserver, a="one\n", b="two\n", c="", d=None)
    assert logs("r", url=url, token="t") == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out == "two\n"
    assert printed.err == "task b of shard 0; others have started: d, c, a\n"


def test_silence_is_reported(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """Of all tasks, and of one that is named."""
    url = serve(httpserver, a="", b="")
    assert logs("r", url=url, token="t") == Exit.DONE
    assert capsys.readouterr().err == "shard 0: nothing was written by b, a\n"
    assert logs("r", "a", url=url, token="t") == Exit.DONE
    assert capsys.readouterr().err == "a of shard 0 has written nothing\n"
