"""Tests `waypost audit list`, which lists people's acts."""

from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.records.audit import listing

ENTRY = {
    "kind": "Cordoned",
    "at": 1.8e9,
    "actor": "ada",
    "run": "",
    "detail": {"region": "beijing", "decision_id": "d1"},
}


def test_acts_are_listed_with_who(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """The filters go with the call; the next page is named on standard error."""
    query = {"limit": "1", "kind": "Cordoned", "region": "beijing", "since": "1800000000"}
    page = {"items": [ENTRY], "continue": "abc"}
    httpserver.expect_request("/v1/audit", query_string=query).respond_with_json(page)
    url = httpserver.url_for("")

    filters: dict[str, Any] = {"kind": ("Cordoned",), "region": "beijing", "since": "1800000000"}
    assert listing(**filters, limit=1, url=url, token="t") == Exit.DONE
    out, err = capsys.readouterr()
    assert all(word in out for word in ("Cordoned", "beijing", "ada", "d1"))
    assert "--continue abc" in err


def test_a_time_that_is_none_is_refused() -> None:
    """Before anything is asked."""
    assert listing(since="yesterday", url="http://127.0.0.1:1", token="t") == Exit.USAGE


ASKED = {
    "exception": "e1",
    "rule": "image.banned",
    "tenant": "payments",
    "ticket": "OPS-7",
    "decision_id": "d2",
}
ACTIVATED = {"sequence": 42, "revision": "r", "asked_by": "grace", "decision_id": "d3"}
CANARIED = {"sequence": 43, "revision": "r", "tenants": ["payments"], "percent": 5.0, "decision_id": "d4"}
RELEASED = {"tenant": "payments", "workflow": "nightly", "version": 2, "digest": "d", "decision_id": "d5"}
STAGED = RELEASED | {"percent": 5.0, "steps": [25.0, 100.0]}


@pytest.mark.parametrize(
    ("kind", "detail", "words"),
    [
        ("ExceptionAsked", ASKED, "image.banned of payments, ticket OPS-7"),
        ("PolicyActivated", ACTIVATED, "asked by grace"),
        ("PolicyCanaried", CANARIED, "for payments, 5 %"),
        ("PolicyStepAsked", ACTIVATED | {"step": "activate"}, "activate, asked by grace"),
        ("PolicyRolledBack", ACTIVATED | {"decides": 41}, "bundle 41 decides"),
        ("WorkflowCanaried", STAGED, "payments/nightly@2 ada for 5 %, then 25, 100 %"),
        ("WorkflowRolledBack", RELEASED | {"reason": "40.0% are failed"}, "ada 40.0% are failed"),
    ],
)
def test_what_an_act_on_policy_is_about_is_shown(
    httpserver: HTTPServer,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    detail: object,
    words: str,
) -> None:
    """Rule and tenant of an exception; who asked for what others have approved."""
    monkeypatch.setenv("COLUMNS", "200")
    page = {"items": [{**ENTRY, "kind": kind, "detail": detail}], "continue": None}
    httpserver.expect_request("/v1/audit").respond_with_json(page)
    assert listing(url=httpserver.url_for(""), token="t") == Exit.DONE
    shown = " ".join(capsys.readouterr().out.split())
    assert words in shown
