"""Tests the commands about the routing, against a fake gateway."""

from pathlib import Path

import pytest
import yaml
from pytest_httpserver import HTTPServer

from gateway.cli.arguments import Format
from gateway.cli.errors import Exit
from gateway.cli.regions.cordon import uncordon
from gateway.cli.regions.routing import apply, listing, rollback, show

ONE = {
    "number": 1,
    "digest": "d1",
    "regions": {"beijing": {"weight": 3.0}, "shanghai": {"cordon": True}, "shenzhen": {}},
    "state": "Active",
    "applied_by": "ada",
    "applied_at": 1.8e9,
    "changed_by": "rollback",
    "changed_at": 1.8e9,
    "reason": "",
}
TWO = ONE | {"number": 2, "regions": {}, "state": "RolledBack", "reason": "too many fail"}
ROUTING = {"rev": 3, "revisions": [ONE, TWO]}


def test_a_document_in_yaml_is_applied(
    httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "routing.yaml"
    file.write_text("regions:\n  beijing: {weight: 3}\n")
    document = {"regions": {"beijing": {"weight": 3}}}
    httpserver.expect_request("/v1/routing", method="POST", json=document).respond_with_json(ROUTING, 201)
    assert apply(str(file), url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert "beijing 3, shanghai cordon, shenzhen as in the settings" in out
    assert "2: too many fail" in out


def test_what_is_shown_can_be_applied_again(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    httpserver.expect_request("/v1/routing").respond_with_json(ROUTING)
    url = httpserver.url_for("")
    assert show(url=url, token="t") == Exit.DONE
    assert yaml.safe_load(capsys.readouterr().out) == {"regions": ONE["regions"]}
    assert show(2, url=url, token="t") == Exit.DONE
    assert yaml.safe_load(capsys.readouterr().out) == {"regions": {}}
    assert show(3, url=url, token="t") == Exit.NOT_FOUND
    assert listing(output=Format.NAME, url=url, token="t") == Exit.DONE
    assert capsys.readouterr().out == "2\n1\n"


def test_a_rollback_is_of_the_state_that_was_seen(httpserver: HTTPServer) -> None:
    httpserver.expect_request("/v1/routing", method="GET").respond_with_json(ROUTING)
    httpserver.expect_request(
        "/v1/routing/1/rollback", method="POST", headers={"if-match": '"3"'}
    ).respond_with_json(ROUTING)
    assert rollback(1, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert rollback(1, rev=2, url=httpserver.url_for(""), token="t") != Exit.DONE


def test_uncordon_says_what_still_cordons(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    status = {"region": "beijing", "cordoned": True, "inflight": 0}
    httpserver.expect_request("/v1/regions/beijing/uncordon").respond_with_json(status)
    assert uncordon("beijing", url=httpserver.url_for(""), token="t") == Exit.DONE
    assert "cordoned by the routing revision in force" in capsys.readouterr().out
