"""Tests the description of a run: its tasks in order, its shards, and what it waits for."""

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


def test_a_shard_is_shown_with_its_item_and_where_it_was(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Which slice is shard 3? And a failed shard is in no region any more: its last task's tells."""
    shard = {"epoch": 1, "failovers": 0, "attempts_lost": 0, "orphans": [], "reason": "exit code 1"}
    shards = [
        shard | {"index": 0, "item": "orders", "phase": "Failed", "region": None},
        shard | {"index": 1, "item": {"table": "x" * 100}, "phase": "Running", "region": "shanghai"},
    ]
    found = run("r1") | {
        "permitted": [],
        "shards": shards,
        "tasks": [task("a", "Failed"), task("a") | {"shard": 1}],
        "tasks_left_out": 0,
        "finished_at": 4.0,
        "workflow": {
            "spec": {"tasks": [{"name": "a"}, {"name": "b", "needs": ["a"]}, {"name": "c", "needs": ["b"]}]}
        },
    }
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found)
    assert describe("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert "ended 1970-01-01" in lines[1] and "after 4.0s" in lines[1]
    assert next(line.split()[:4] for line in lines if "orders" in line) == ["0", "orders", "Failed", "b"]
    assert '{"table":"xxx' in next(line for line in lines if "shanghai" in line) and "x" * 50 not in str(
        lines
    )
    waiting = [line for line in lines if "waits for" in line]
    assert [(line.split()[:3], line.partition("waits for ")[2].strip()) for line in waiting] == [
        (["1", "b", "Pending"], "a processor in shanghai"),
        (["1", "c", "Pending"], "b"),
    ]


def test_a_waiting_task_is_shown_with_what_its_region_says(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A semaphore is not seen from the gateway."""
    shard = {"epoch": 1, "failovers": 0, "attempts_lost": 0, "orphans": [], "reason": ""}
    shards = [shard | {"index": 0, "item": None, "phase": "Running", "region": "shanghai"}]
    document = {"spec": {"tasks": [{"name": "a"}, {"name": "b"}]}}
    found = run("r1") | {"permitted": [], "shards": shards, "tasks": [], "tasks_left_out": 0}
    text = "waits for the semaphore db: 2 of 2 places are taken"
    wait = {
        "shard": 0,
        "region": "shanghai",
        "task": "a",
        "reason": "Semaphore",
        "text": text,
        "seconds": 3.0,
    }
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found | {"workflow": document})
    httpserver.expect_request("/v1/runs/r1/waits").respond_with_json({"items": [wait]})
    assert describe("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()[-2:]}

    assert f"{text}, for 3.0s so far" in lines["a"]
    assert "waits for a processor in shanghai" in lines["b"]


def test_a_retry_is_shown_with_its_reason_and_time(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """And a task that runs again, or went well at last, with the reason of the try before."""
    failure = {"tries": 1, "ended_at": 1.0, "reason": "exit code 3"}
    names = ("a", "b", "c", "d")
    tasks = [
        task("a", "Retrying") | {"reason": "exit code 3", "next_try_at": 61.0, "last_failure": failure},
        task("b", "Running") | {"last_failure": failure},
        task("c") | {"last_failure": failure},
        task("d", "Failed") | {"reason": "exit code 4", "last_failure": failure},
    ]
    found = run("r1") | {"permitted": [], "shards": [], "tasks": tasks, "tasks_left_out": 0}
    found |= {"workflow": {"spec": {"tasks": [{"name": name} for name in names]}}}
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found)
    assert describe("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    lines = {line.split()[1]: line for line in capsys.readouterr().out.splitlines()[-4:]}
    assert "exit code 3; next try at 1970-01-01" in lines["a"]
    assert "try 1 failed: exit code 3" in lines["b"] and "try 1 failed: exit code 3" in lines["c"]
    assert lines["d"].rstrip().endswith("exit code 4")


def test_a_deadline_beyond_all_calendars_is_shown(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """`deadlineSeconds: 1e18` is as good as none, and no reason to fail."""
    found = run("r1") | {"permitted": [], "shards": [], "tasks": [], "tasks_left_out": 0, "deadline_at": 1e18}
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found | {"workflow": {"spec": {"tasks": []}}})
    assert describe("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    assert "deadline after the year 9999" in capsys.readouterr().out


def test_stages_are_shown_by_their_names(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """What `collect` needs of the shards is done when it begins."""
    shard = {"epoch": 0, "failovers": 0, "attempts_lost": 0, "orphans": [], "reason": "", "region": None}
    spec = {
        "tasks": [{"name": "a"}],
        "collect": [{"name": "c", "needs": ["a"]}],
        "finally": [{"name": "f"}, {"name": "g", "needs": ["f"]}],
    }
    found = run("r1") | {
        "permitted": [],
        "shards": [
            shard | {"index": 0, "phase": "Succeeded"},
            shard | {"index": 1_000_000, "phase": "Running", "region": "shanghai"},
            shard | {"index": 1_000_001, "phase": "Waiting"},
        ],
        "tasks": [task("a")],
        "tasks_left_out": 0,
        "workflow": {"spec": spec},
    }
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found)
    assert describe("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    assert ["collect", "Running", "shanghai"] in [words[:3] for words in lines]
    assert ["finally", "Waiting", "-"] in [words[:3] for words in lines]
    tasks = {
        words[1]: (words[0], " ".join(words).partition("waits for ")[2])
        for words in lines
        if words[2:3] == ["Pending"]
    }
    assert tasks == {
        "c": ("collect", "a processor in shanghai"),
        "f": ("finally", "the shards before it"),
        "g": ("finally", "f"),
    }


def test_a_tolerated_failure_and_what_never_ran_are_shown(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """A run that has Succeeded does not hide what has failed in it."""
    tasks = [
        {"name": "a", "continueOnFailure": True},
        {"name": "b", "needs": ["a"]},
        {"name": "c", "needs": ["b"]},
        {"name": "d", "needs": ["b"], "runs": "always"},
    ]
    shard = {"index": 0, "phase": "Running", "region": "b", "epoch": 1, "failovers": 0}
    found = run("r1") | {
        "permitted": [],
        "shards": [shard | {"attempts_lost": 0, "orphans": [], "reason": ""}],
        "tasks": [
            task("a", "Failed") | {"reason": "exit code 3"},
            task("b", "Failed") | {"reason": "exit code 1"},
            task("c", "Omitted") | {"reason": "b failed"},
        ],
        "tasks_left_out": 0,
        "workflow": {"spec": {"tasks": tasks}},
    }
    httpserver.expect_request("/v1/runs/r1").respond_with_json(found)
    httpserver.expect_request("/v1/runs/r1/waits").respond_with_json({"items": []})
    assert describe("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert "failed, and tolerated (continueOnFailure): a\n" in out
    assert "b failed" in out
    assert "waits for b" not in out


@pytest.mark.parametrize(("lost", "shown"), [(0, False), (3, True)])
def test_a_run_without_troubles_fits_a_terminal(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str], *, lost: int, shown: bool
) -> None:
    """Columns that say nothing in any row are left out; with them the table was wider than 80 columns."""
    shard = {"epoch": 12, "failovers": lost, "attempts_lost": lost, "orphans": [], "reason": ""}
    row = {"region": "shanghai", "tries": 10, "task": "extract-orders"}
    found = run("019a2f3e5c7d8e9fa0b1c2d3e4f5") | {
        "permitted": ["beijing", "shanghai", "shenzhen"],
        "shards": [shard | {"index": 10, "phase": "Quarantined", "region": "shanghai"}],
        "tasks": [task("a") | row | {"shard": 10}],
        "tasks_left_out": 0,
        "finished_at": 4.0,
        "workflow": {"spec": {"tasks": [{"name": "extract-orders"}]}},
    }
    httpserver.expect_request(f"/v1/runs/{found['id']}").respond_with_json(found)
    assert describe(found["id"], url=httpserver.url_for(""), token="t") == Exit.DONE
    lines = capsys.readouterr().out.splitlines()
    assert max(len(line.rstrip()) for line in lines) <= 80
    assert any("FAILOVERS" in line and "LOST" in line for line in lines) == shown
    assert not any("REASON" in line or "ITEM" in line for line in lines)
