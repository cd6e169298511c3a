"""Tests lists of runs, page by page."""

import json

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.runs.describe import describe
from gateway.cli.runs.explain import explain
from gateway.cli.runs.listing import runs
from tests.gateway.cli.runs.answers import run


def test_the_next_page_is_a_copied_word_away(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, so that a program reads one list whatever there is more."""
    page = {"items": [run("r1")], "continue": "Cursor"}
    httpserver.expect_request("/v1/runs", query_string="limit=1").respond_with_json(page)
    httpserver.expect_request("/v1/runs", query_string="continue=Cursor&limit=1").respond_with_json(
        {"items": [], "continue": None}
    )

    assert runs(limit=1, output=Format.JSON, url=httpserver.url_for(""), token="t") == Exit.DONE
    printed = capsys.readouterr()
    assert ([found["id"] for found in json.loads(printed.out)], printed.err) == (
        ["r1"],
        "there are more: go on with --continue Cursor\n",
    )
    assert runs(limit=1, continued="Cursor", url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().err == ""


def test_pages_that_end_early_are_gone_on_with(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """What waits for hours is behind thousands of runs that are over: who is on call would not see it."""
    for query, items, following in (
        ("limit=2", [], "A"),
        ("continue=A&limit=2", [run("r1")], "B"),
        ("continue=B&limit=1", [run("r2")], "C"),
    ):
        answer = {"items": items, "continue": following}
        httpserver.expect_ordered_request(
            "/v1/runs", query_string=f"phase=Pending&{query}"
        ).respond_with_json(answer)
    assert runs(phase="pending", limit=2, quiet=True, url=httpserver.url_for(""), token="t") == Exit.DONE
    printed = capsys.readouterr()
    assert printed.out.split() == ["r1", "r2"]
    assert printed.err == "there are more: go on with --continue C\n"


def test_every_label_is_asked_for(httpserver: HTTPServer) -> None:
    """A run must have them all."""
    asked = "label=team%3Ddata&label=env%3Dtest&limit=50"
    httpserver.expect_request("/v1/runs", query_string=asked).respond_with_json({"items": []})
    assert runs(label=("team=data", "env=test"), url=httpserver.url_for(""), token="t") == Exit.DONE


def test_the_released_version_of_a_run_is_shown(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who is called for a release that fails looks for its version here; one sent whole has none."""
    found = [run("r1") | {"released": "nightly@2"}, run("r2") | {"released": ""}]
    httpserver.expect_request("/v1/runs").respond_with_json({"items": found})
    assert runs(url=httpserver.url_for(""), token="t") == Exit.DONE
    head, *rows = capsys.readouterr().out.splitlines()
    at = head.index("VERSION")
    assert [row[at:].split()[0] for row in rows] == ["nightly@2", "demo"]


def test_the_head_of_a_description_and_an_explanation_names_the_released_version(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    released = run("r1") | {"released": "nightly@2"}
    story = {"run": released, "decisions": [], "history": [], "complete": True}
    httpserver.expect_request("/v1/runs/r1/explain").respond_with_json(story)
    nothing = {"permitted": [], "shards": [], "tasks": [], "tasks_left_out": 0}
    shown = released | nothing | {"workflow": {"spec": {"tasks": []}}}
    httpserver.expect_request("/v1/runs/r1").respond_with_json(shown)
    for show in (describe, explain):
        assert show("r1", url=httpserver.url_for(""), token="t") == Exit.DONE
        assert capsys.readouterr().out.startswith("r1  n  nightly@2  Running")
