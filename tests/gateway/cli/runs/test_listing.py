"""Lists page by page, a run's tasks in order, and what a log that is not there says."""

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.runs.describe import describe
from gateway.cli.runs.explain import explain
from gateway.cli.runs.listing import runs
from gateway.cli.runs.logs import logs


def run(identity: str) -> dict[str, Any]:
    return {
        "id": identity,
        "name": "n",
        "tenant": "demo",
        "phase": "Running",
        "shard_count": 1,
        "created_at": 0.0,
        "subject": "me",
    }


def task(name: str, phase: str = "Succeeded", at: float = 1.0) -> dict[str, Any]:
    return {
        "shard": 0,
        "task": name,
        "phase": phase,
        "region": "b",
        "tries": 1,
        "started_at": at,
        "ended_at": at,
        "reason": "",
    }


def test_the_next_page_is_a_copied_word_away(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, so that a program reads one list whatever there is more."""
    page = {"items": [run("r1")], "continue": "Cursor"}
    httpserver.expect_request("/v1/runs", query_string="limit=50").respond_with_json(page)
    httpserver.expect_request("/v1/runs", query_string="limit=50&continue=Cursor").respond_with_json(
        {"items": [], "continue": None}
    )

    assert runs(output=Format.JSON, url=httpserver.url_for(""), token="t") == Exit.DONE
    told = capsys.readouterr()
    assert ([found["id"] for found in json.loads(told.out)], told.err) == (
        ["r1"],
        "there are more: go on with --continue Cursor\n",
    )
    assert runs(continued="Cursor", url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().err == ""


def test_every_label_is_asked_for(httpserver: HTTPServer) -> None:
    """A run must have them all."""
    asked = "label=team%3Ddata&label=env%3Dtest&limit=50"
    httpserver.expect_request("/v1/runs", query_string=asked).respond_with_json({"items": []})
    assert runs(label=("team=data", "env=test"), url=httpserver.url_for(""), token="t") == Exit.DONE


def test_tasks_are_shown_as_the_workflow_goes(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each after those that it needs, whenever it started: tasks that are over in a moment start at the same time."""
    tasks = [{"name": "z", "needs": ["b"]}, {"name": "b", "needs": ["y"]}, {"name": "y"}]
    found = run("r1") | {
        "permitted": [],
        "shards": [],
        "tasks": [task("z"), task("b"), task("y")],
        "tasks_left_out": 0,
    }
    httpserver.expect_request("/v1/runs/r1").respond_with_json(
        found | {"workflow": {"spec": {"tasks": tasks}}}
    )
    assert describe("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    assert [line.split()[1] for line in capsys.readouterr().out.splitlines()[-3:]] == ["y", "b", "z"]


def test_a_task_that_was_skipped_has_no_log_and_that_is_said(
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


def test_a_decision_is_told_once(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The acceptance names it; its rules and regions stand above, and nothing is printed as Python writes it."""
    decision = {
        "id": "d1",
        "allow": True,
        "rules": ["tenant.permitted"],
        "reasons": [],
        "obligations": {"regions": ["beijing"]},
        "revision": "v1",
        "engine": "regorus",
        "action": "runs:submit",
    }
    credit = {"decision_id": "d1", "revision": "v1", "rules": ["tenant.permitted"], "regions": ["beijing"]}
    history = [
        {"kind": "Accepted", "at": 0.0, "actor": "me", "shard": None, "detail": credit},
        {
            "kind": "CancelRequested",
            "at": 0.0,
            "actor": "me",
            "shard": None,
            "detail": {"rules": ["scope.granted", "owner"]},
        },
        {"kind": "Ended", "at": 0.0, "actor": "", "shard": None, "detail": {}},
    ]
    story = {"run": run("r1"), "decisions": [decision], "history": history, "complete": True}
    httpserver.expect_request("/v1/runs/r1/explain").respond_with_json(story)
    assert explain("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert (out.count("tenant.permitted"), out.count("beijing"), "[" in out) == (1, 1, False)
    assert "by me, decision d1\n" in out and "rules scope.granted owner\n" in out and out.endswith("Ended\n")
