"""Tests how instances of tasks are shown: one by one where they are few, else folded into their task."""

from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.runs.describe import describe
from gateway.cli.runs.explain import explain
from tests.gateway.cli.runs.answers import run, task


def described(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str], tasks: list[Any]) -> list[str]:
    found = run("r1") | {"permitted": [], "shards": [], "tasks": tasks, "tasks_left_out": 0}
    found |= {"workflow": {"spec": {"tasks": [{"name": "m"}, {"name": "z", "needs": ["m"]}]}}}
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found)
    assert describe("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    return capsys.readouterr().out.splitlines()


def test_few_instances_are_shown_in_their_order(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """By their index, which the order of names is not."""
    instances = [task(f"m[{index}]") for index in (1, 10, 2, 0)]
    lines = described(httpserver, capsys, [task("z"), *instances, task("m") | {"instances": 4}])

    assert [line.split()[1] for line in lines[-6:]] == ["m", "m[0]", "m[1]", "m[2]", "m[10]", "z"]
    assert "4 of 4 instances succeeded" in lines[-6]


def test_of_many_instances_those_are_shown_that_have_not_succeeded(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A thousand lines would hide the one that failed."""
    instances = [task(f"m[{index}]", "Failed" if index == 77 else "Succeeded") for index in range(90)]
    running = [task("m[90]", "Running")]
    lines = described(httpserver, capsys, [*instances, *running, task("m", "Running") | {"instances": 200}])

    assert [line.split()[1] for line in lines[-3:]] == ["m", "m[77]", "m[90]"]
    assert "89 of 200 instances succeeded, 1 failed, 1 running" in lines[-3]


def test_the_history_folds_the_successes_of_many_instances(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The last of them tells how many there were; a failure keeps its line."""
    detail = {"region": "b", "epoch": 1, "tries": 1, "seconds": 1.0}
    entries = [
        {
            "seq": index,
            "shard": 0,
            "kind": "TaskFinished",
            "at": 1.0,
            "actor": "",
            "detail": detail | {"task": f"m[{index}]", "phase": "Failed" if index == 5 else "Succeeded"},
        }
        for index in range(30)
    ]
    story = {"run": run("r1"), "decisions": [], "history": entries, "complete": True}
    httpserver.expect_request("/v1/runs/r1/explain").respond_with_json(story)
    assert explain("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    lines = [line for line in capsys.readouterr().out.splitlines() if "m[" in line]

    assert len(lines) == 2
    assert "m[5] Failed" in lines[0]
    assert "m[29] Succeeded" in lines[1] and "(and 28 other instances before it)" in lines[1]
