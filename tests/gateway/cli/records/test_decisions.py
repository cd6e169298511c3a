"""Tests `waypost decisions`, which lists, shows and exports policy decisions."""

import json
from typing import Any

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.records.decisions import Filters, export, get, listing, summary

ITEM = {
    "id": "d1",
    "at": 1.8e9,
    "action": "runs:submit",
    "allow": False,
    "fault": "",
    "tenant": "payments",
    "subject": "ada",
    "run": "",
    "name": "nightly",
    "rules": ["image.banned"],
}


def test_refusals_are_listed_by_who_and_why(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The filters go with the call; the next page is named on standard error."""
    query = {"limit": "1", "refused": "true", "rule": "image.banned", "since": "1800000000"}
    page = {"items": [ITEM], "continue": "abc"}
    httpserver.expect_request("/v1/decisions", query_string=query).respond_with_json(page)
    filters = Filters(refused=True, rule="image.banned", since="1800000000")

    assert listing(filters=filters, limit=1, url=httpserver.url_for(""), token="t") == Exit.DONE
    out, err = capsys.readouterr()
    assert all(word in out for word in ("refused", "payments", "ada", "nightly", "image.banned", "d1"))
    assert "--continue abc" in err


def test_a_page_that_ends_early_is_followed_by_the_next(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The gateway looks at 2,000 decisions for a page: an empty one does not mean that there are none."""
    page = httpserver.expect_ordered_request
    page("/v1/decisions", query_string={"limit": "50", "rule": "image.banned"}).respond_with_json(
        {"items": [], "continue": "abc"}
    )
    page(
        "/v1/decisions", query_string={"limit": "50", "rule": "image.banned", "continue": "abc"}
    ).respond_with_json({"items": [ITEM]})

    assert listing(filters=Filters(rule="image.banned"), url=httpserver.url_for(""), token="t") == Exit.DONE
    out, err = capsys.readouterr()
    assert "d1" in out
    assert not err


def test_an_act_that_was_permitted_may_not_have_been_done(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The state of the rollout may refuse it then, with 409: the acts are in the audit trail."""
    permitted = ITEM | {"allow": True, "action": "policy:operate", "operation": "activate 7"}
    for item, said in ((permitted, True), (permitted | {"allow": False}, False), (ITEM, False)):
        httpserver.expect_oneshot_request("/v1/decisions").respond_with_json({"items": [item]})
        assert listing(url=httpserver.url_for(""), token="t") == Exit.DONE
        assert ("waypost audit list" in capsys.readouterr().err) is said


def test_the_reason_of_a_refusal_is_one_that_refuses(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    reasons = [{"message": "warned of", "level": "advisory"}, {"message": "refused for", "level": "soft"}]
    page = {"items": [ITEM | {"reasons": reasons}]}
    httpserver.expect_request("/v1/decisions").respond_with_json(page)
    assert listing(filters=Filters(refused=True), url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert "refused for" in out and "warned of" not in out


def test_ids_are_listed_for_scripts(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """One a line."""
    httpserver.expect_request("/v1/decisions").respond_with_json({"items": [ITEM], "continue": None})
    assert listing(output=Format.NAME, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert listing(quiet=True, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out == "d1\nd1\n"


def test_refusals_are_counted_by_reason(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """All pages of them; what happens most is the first line."""
    other = ITEM | {"id": "d9", "rules": ["scope.missing"], "subject": "eve"}
    first = {"items": [other, ITEM], "continue": "abc"}
    second = {"items": [ITEM | {"id": "d0", "subject": "bob"}], "continue": None}
    query = {"limit": "200", "refused": "true", "since": "5"}
    for page in (first, second):
        asked = query if page is first else query | {"continue": "abc"}
        httpserver.expect_ordered_request("/v1/decisions", query_string=asked).respond_with_json(page)
    filters, url = Filters(since="5"), httpserver.url_for("")
    assert summary(filters=filters, output=Format.JSON, url=url, token="t") == Exit.DONE
    found = json.loads(capsys.readouterr().out)
    assert [(one["why"], one["decisions"], one["subjects"], one["latest"]) for one in found] == [
        ("image.banned", 2, ["ada", "bob"], "d1"),
        ("scope.missing", 1, ["eve"], "d9"),
    ]


def test_one_is_shown_with_its_input(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """As YAML by default."""
    httpserver.expect_request("/v1/decisions/d1").respond_with_json(ITEM | {"input": {"at": 1}})
    assert get("d1", url=httpserver.url_for(""), token="t") == Exit.DONE
    assert "at: 1" in capsys.readouterr().out


def test_an_export_is_lines_of_json(httpserver: HTTPServer, capfdbinary: Any) -> None:
    """All pages, each decision with its input: a call a page, and none for each decision."""
    first = {"items": [ITEM | {"input": {"at": 1}}], "continue": "abc"}
    second = {"items": [ITEM | {"id": "d0"}], "continue": None}
    query = {"limit": "200", "inputs": "true", "since": "5"}
    for page in (first, second):
        asked = query if page is first else query | {"continue": "abc"}
        httpserver.expect_ordered_request("/v1/decisions", query_string=asked).respond_with_json(page)

    assert export(filters=Filters(since="5"), url=httpserver.url_for(""), token="t") == Exit.DONE
    lines = [json.loads(line) for line in capfdbinary.readouterr().out.splitlines()]
    assert lines == [ITEM | {"input": {"at": 1}}, ITEM | {"id": "d0"}]


def test_what_is_no_export_is_refused(httpserver: HTTPServer) -> None:
    """In a sentence: a gateway that refuses, and what is no gateway."""
    problem = {"detail": "no", "trace_id": "t1"}
    httpserver.expect_oneshot_request("/v1/decisions").respond_with_json(problem, status=403)
    assert export(url=httpserver.url_for(""), token="t") == Exit.REFUSED
    httpserver.expect_oneshot_request("/v1/decisions").respond_with_data("<html>")
    assert export(url=httpserver.url_for(""), token="t") == Exit.UNAVAILABLE


def test_a_time_that_is_none_is_refused() -> None:
    """Before anything is asked."""
    assert listing(filters=Filters(since="yesterday"), url="http://127.0.0.1:1", token="t") == Exit.USAGE


def test_tables_have_the_beginning_of_a_long_sentence(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """An outage of OPA is a sentence of 150 letters. Refusals have the first of their reasons."""
    reasons = [{"rule": "image.banned", "message": "alpine is banned"}, {"rule": "x", "message": "second"}]
    fault = "no answer: " + "x" * 150
    items = [ITEM | {"reasons": reasons}, ITEM | {"rules": [], "fault": fault, "reasons": []}]
    httpserver.expect_request("/v1/decisions").respond_with_json({"items": items, "continue": None})
    url = httpserver.url_for("")
    assert listing(filters=Filters(refused=True), url=url, token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert ("alpine is banned" in out, "second" in out, f"{fault[:57]}... " in out) == (True, False, True)
    assert listing(url=url, token="t") == summary(url=url, token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert ("alpine" in out, out.count(f"{fault[:57]}... "), fault[:61] in out) == (False, 2, False)
