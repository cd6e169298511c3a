"""The order of a run's tasks."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.runs.describe import describe
from tests.gateway.cli.runs.answers import run, task


def test_tasks_are_shown_as_the_workflow_goes(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each after those that it needs: short tasks start at the same time."""
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
