"""Tests `waypost explain`, which prints the history of a run for people."""

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.runs.explain import explain
from tests.gateway.cli.runs.answers import run


def test_a_decision_is_printed_once(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The acceptance names it; its rules and regions stand above. No value is printed in Python's form."""
    decision = {
        "id": "d1",
        "allow": True,
        "rules": ["tenant.permitted"],
        "reasons": [],
        "obligations": {"regions": ["beijing"]},
        "revision": "v1",
        "engine": "embedded",
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
    assert (
        "by me, decision d1\n" in out
        and "by me, rules scope.granted owner\n" in out
        and out.endswith("Ended\n")
    )


def test_what_did_not_refuse_is_printed_with_what_let_it_in(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """An auditor looks for the exception here first. A warning that repeats a reason is printed once."""
    decision = {
        "id": "d1",
        "allow": True,
        "rules": ["image.banned", "labels.team"],
        "reasons": [
            {"rule": "image.banned", "message": "alpine", "level": "soft", "exception": "e1"},
            {"rule": "labels.team", "message": "is missing", "level": "advisory"},
        ],
        "obligations": {
            "regions": ["beijing"],
            "warnings": ["image.banned: alpine (exception e1)", "labels.team: is missing", "old images"],
        },
        "revision": "v1",
        "engine": "embedded",
        "action": "runs:submit",
    }
    story = {"run": run("r1"), "decisions": [decision], "history": [], "complete": True}
    httpserver.expect_request("/v1/runs/r1/explain").respond_with_json(story)
    assert explain("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert "runs:submit allowed despite image.banned, labels.team (policy" in out
    assert out.endswith(
        "    image.banned: alpine (exception e1)\n"
        "    labels.team: is missing (only warns)\n"
        "    warning: old images\n\n"
    )


def test_a_failed_try_is_told_with_the_time_of_the_next(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is no transition of a shard, and nothing else in the history says why there was a pause."""
    detail = {"task": "a", "phase": "Retrying", "epoch": 1, "region": "b", "tries": 2, "seconds": 0.5}
    detail |= {"reason": "exit code 3", "next_try_at": 61.5}
    entry = {"kind": "TaskRetrying", "at": 0.0, "actor": "gateway", "shard": 0, "detail": detail}
    story = {"run": run("r1"), "decisions": [], "history": [entry], "complete": True}
    httpserver.expect_request("/v1/runs/r1/explain").respond_with_json(story)
    assert explain("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "TaskRetrying" in line]
    assert "a Retrying in b, epoch 1, try 2 in 0.5 s, next try at" in line
    assert line.endswith(":01:01.500 (exit code 3)")


def test_what_tasks_wait_for_is_told_in_their_regions_words(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """They know of semaphores and turns, where the gateway takes all of it for processors."""
    guess = "task a of shard 1 waits to be started in b"
    story = {"run": run("r1") | {"phase": "Running"}, "decisions": [], "history": [], "complete": True}
    story |= {"waiting": f"1 shard waits for a turn: b fits; {guess}", "waiting_tasks": guess}
    wait = {"shard": 1, "region": "b", "seconds": 3.0}
    waits = [
        wait | {"task": "a", "reason": "Turn", "text": "waits for its tenant's turn"},
        wait | {"task": "c", "reason": "Turn", "text": "waits for its tenant's turn"},
        wait | {"task": "d", "reason": "Needs", "text": "waits for tasks that it needs"},
    ]
    httpserver.expect_request("/v1/runs/r1/explain").respond_with_json(story)
    httpserver.expect_request("/v1/runs/r1/waits").respond_with_json({"items": waits})
    assert explain("r1", url=httpserver.url_for(""), token="t") == Exit.DONE

    assert capsys.readouterr().out.splitlines()[-2:] == [
        "now: 1 shard waits for a turn: b fits",
        "now: waits for its tenant's turn in b: a of shard 1, c of shard 1",
    ]


def test_a_task_that_was_never_tried_has_no_try(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """It was skipped, or its instances were tried in its place."""
    detail = {"phase": "Skipped", "region": "beijing", "epoch": 1, "seconds": 0.0, "reason": ""}
    history = [
        {
            "kind": "TaskFinished",
            "at": 0.0,
            "actor": "",
            "shard": 0,
            "detail": detail | {"task": task, "tries": tries},
        }
        for task, tries in (("a", 0), ("b", 2))
    ]
    story = {"run": run("r1"), "decisions": [], "history": history, "complete": True}
    httpserver.expect_request("/v1/runs/r1/explain").respond_with_json(story)
    assert explain("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert "a Skipped in beijing, epoch 1 in 0.0 s" in out
    assert "b Skipped in beijing, epoch 1, try 2 in 0.0 s" in out
