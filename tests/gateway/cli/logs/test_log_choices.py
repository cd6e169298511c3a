"""Tests which task and shard `waypost logs` prints, and its errors for unknown names."""

from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.logs.logs import logs
from tests.gateway.cli.runs.answers import run, task


def serve(server: HTTPServer, *phases: str) -> str:
    """Makes the server answer with a run of two tasks, whose shards are in `phases`."""
    shards = [{"index": index, "phase": phase} for index, phase in enumerate(phases)]
    tasks = [task("greet") | {"shard": index} for index in range(len(phases))]
    document = {"spec": {"tasks": [{"name": "greet"}, {"name": "farewell"}]}}
    answer: dict[str, Any] = run("r") | {"workflow": document, "shards": shards, "tasks": tasks}
    server.expect_request("/v1/runs/r").respond_with_json(answer | {"shard_count": len(phases)})
    for index in range(len(phases)):
        query = {"task": "greet", "shard": str(index)}
        asked = server.expect_request("/v1/runs/r/logs", query_string=query)
        asked.respond_with_data(f"one\ntwo\nof shard {index}\n")
    return server.url_for("")


@pytest.mark.parametrize(
    ("name", "said"),
    [("gret", "Did you mean greet?"), ("zzz", "`waypost describe r` lists them."), ("", "lists them")],
)
@pytest.mark.parametrize("options", [{}, {"follow": True}, {"attempt": 1}, {"shard": "1"}], ids=str)
def test_a_misspelt_task_is_named(
    name: str, said: str, options: dict[str, Any], httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """That it has not started would be waited for."""
    url = serve(httpserver, "Running", "Running")
    assert logs("r", name, **options, url=url, token="t") == Exit.NOT_FOUND
    err = capsys.readouterr().err
    assert f"the run has no task {name}" in err and said in err


def test_a_shard_that_is_none_is_named(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """They are counted from 0."""
    url = serve(httpserver, "Running", "Running")
    assert logs("r", "greet", shard="2", url=url, token="t") == Exit.NOT_FOUND
    assert "the run has no shard 2: it has 2, counted from 0" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("phases", "name", "shown", "said"),
    [
        (("Succeeded", "Failed"), None, 1, "task greet of shard 1"),
        (("Succeeded", "Failed", "Quarantined"), None, 1, "this is shard 1; failed too, see --shard: 2"),
        (("Failed", "Failed"), None, 0, "this is shard 0; failed too, see --shard: 1"),
        (("Succeeded", "Failed"), "greet", 0, "this is shard 0; failed, see --shard: 1"),
        (("Succeeded", "Succeeded"), None, 0, "task greet of shard 0"),
        (("Succeeded", *["Failed"] * 9), "greet", 0, "see --shard: 1, 2, 3, 4, 5 and 4 more"),
    ],
)
def test_the_shard_that_failed_is_shown_or_named(
    phases: tuple[str, ...],
    name: str | None,
    shown: int,
    said: str,
    httpserver: HTTPServer,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """Whoever looks for why a run failed finds nothing in the shard that did not."""
    assert logs("r", name, url=serve(httpserver, *phases), token="t") == Exit.DONE
    out, err = capsys.readouterr()
    assert f"of shard {shown}\n" in out
    assert said in err


def serve_stages(server: HTTPServer) -> str:
    """Makes the server answer with a run that has a stage `finally`."""
    document = {"spec": {"tasks": [{"name": "greet"}], "finally": [{"name": "notify"}]}}
    shards = [{"index": 0, "phase": "Succeeded"}, {"index": 1_000_001, "phase": "Failed"}]
    tasks = [task("greet"), task("notify", "Failed") | {"shard": 1_000_001}]
    answer: dict[str, Any] = run("r") | {"workflow": document, "shards": shards, "tasks": tasks}
    server.expect_request("/v1/runs/r").respond_with_json(answer)
    query = {"task": "notify", "shard": "finally"}
    server.expect_request("/v1/runs/r/logs", query_string=query).respond_with_data("of finally\n")
    return server.url_for("")


@pytest.mark.parametrize(
    ("name", "options"), [("notify", {}), ("notify", {"shard": "finally"}), (None, {})], ids=str
)
def test_a_task_of_a_stage_is_found_by_its_name(
    name: str | None, options: dict[str, Any], httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """No task of another stage has it. Without a name it is the shard that failed."""
    url = serve_stages(httpserver)
    assert logs("r", name, **options, url=url, token="t") == Exit.DONE
    assert capsys.readouterr().out == "of finally\n"


@pytest.mark.parametrize(
    ("shard", "code", "said"),
    [
        ("collect", Exit.NOT_FOUND, "the run has no collect"),
        ("last", Exit.USAGE, "--shard last: write its number, collect or finally"),
    ],
)
def test_a_stage_that_is_none_is_named(
    shard: str, code: Exit, said: str, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """As a number beyond the last shard is."""
    assert logs("r", "greet", shard=shard, url=serve_stages(httpserver), token="t") == code
    assert said in capsys.readouterr().err


def test_an_instance_is_named_as_describe_lists_it(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The document has its task alone; an instance of no task is unknown."""
    url = serve(httpserver, "Succeeded")
    query = {"task": "greet[1]", "shard": "0"}
    httpserver.expect_request("/v1/runs/r/logs", query_string=query).respond_with_data("of the second\n")
    assert logs("r", "greet[1]", url=url, token="t") == Exit.DONE
    assert capsys.readouterr().out == "of the second\n"
    assert logs("r", "zzz[1]", url=url, token="t") == Exit.NOT_FOUND
