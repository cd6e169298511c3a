"""Tests the commands for the steps of a policy rollout."""

from pathlib import Path

import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.rollout.listing import bundles
from gateway.cli.rollout.steps import activate, approve, canary, rollback, upload

BUNDLE = {
    "sequence": 7,
    "revision": "ab12",
    "state": "Canary",
    "uploaded_by": "ada",
    "changed_by": "bob",
    "changed_at": 1.8e9,
    "tenants": ["payments"],
    "percent": 12.5,
}
ACTIVE = BUNDLE | {"state": "Active", "tenants": [], "percent": 0.0}
LIST = {"items": [BUNDLE], "generation": 3, "deciding": "00ff", "active": None}
BUNDLES = "/v1/policy/bundles"


def test_bundles_are_listed_with_where_they_stand(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """And the generation, which a step can be bound to."""
    httpserver.expect_request(BUNDLES).respond_with_json(LIST)
    assert bundles(url=httpserver.url_for(""), token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert all(
        word in out for word in ("Canary for payments, 12.5 %", "ada", "bob", "generation 3", "revision 00ff")
    )
    assert bundles(quiet=True, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out == "7\n"


def test_a_step_is_about_the_state_that_is_there(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Read just before, or given."""
    httpserver.expect_request(BUNDLES).respond_with_json(LIST)
    httpserver.expect_oneshot_request(
        f"{BUNDLES}/7/activate", method="POST", headers={"if-match": '"3"'}
    ).respond_with_json(ACTIVE)
    assert activate(7, url=httpserver.url_for(""), token="t") == Exit.DONE
    assert capsys.readouterr().out == "bundle 7: Active, revision ab12\n"

    problem = {"detail": "the rollout is at generation 3, not 2: look at it again", "trace_id": "t1"}
    httpserver.expect_oneshot_request(
        f"{BUNDLES}/7/rollback", method="POST", headers={"if-match": '"2"'}
    ).respond_with_json(problem, status=412)
    assert rollback(7, generation=2, url=httpserver.url_for(""), token="t") == Exit.FAILED
    assert "look at it again" in capsys.readouterr().err


def test_what_others_must_approve_is_said(httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]) -> None:
    """By whom it was asked for, and how it goes on."""
    pending = {"step": "activate", "sequence": 7, "tenants": [], "percent": 0, "asked_by": "ada"}
    pending |= {"approvals": 2, "approved_by": ["eve"], "expires_at": 1.8e9}
    httpserver.expect_request(BUNDLES).respond_with_json(LIST | {"pending": pending})
    path = f"{BUNDLES}/7/approve"
    httpserver.expect_request(path, method="POST").respond_with_json(BUNDLE | {"pending": pending}, 202)
    url = httpserver.url_for("")
    text = "activate 7, asked for by ada; 1 approval needed until "
    assert bundles(url=url, token="t") == Exit.DONE
    assert f"waiting: {text}" in capsys.readouterr().out
    assert approve(7, url=url, token="t") == Exit.WAITING
    said = capsys.readouterr()
    assert (f"not done yet: {text}" in said.out, said.err) == (True, "")
    path = f"{BUNDLES}/7/activate"
    httpserver.expect_request(path, method="POST").respond_with_json(BUNDLE | {"pending": pending}, 202)
    assert activate(7, url=url, token="t") == Exit.WAITING
    assert f"replaced what waited before: {text}" in capsys.readouterr().err


def test_a_canary_is_for_those_that_are_named(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """By name, and as a share."""
    httpserver.expect_oneshot_request(
        f"{BUNDLES}/7/canary", method="POST", json={"tenants": ["payments"], "percent": 12.5}
    ).respond_with_json(BUNDLE)
    url = httpserver.url_for("")
    assert canary(7, tenant=["payments"], percent=12.5, generation=1, url=url, token="t") == Exit.DONE
    assert capsys.readouterr().out == "bundle 7: Canary for payments, 12.5 %, revision ab12\n"


def test_another_canary_says_which_it_replaces(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever adds a tenant must not lose one unseen."""
    httpserver.expect_request(BUNDLES).respond_with_json(LIST)
    answer = BUNDLE | {"tenants": ["demo"], "percent": 0.0}
    httpserver.expect_request(f"{BUNDLES}/7/canary", method="POST").respond_with_json(answer)
    assert canary(7, tenant=["demo"], url=httpserver.url_for(""), token="t") == Exit.DONE
    said = capsys.readouterr()
    assert said.out == "bundle 7: Canary for demo, revision ab12\n"
    assert said.err == "in place of the canary for payments, 12.5 %\n"


def test_an_upload_of_what_was_rolled_back_fails(
    httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """It changes nothing, and what was uploaded will never decide."""
    archive = tmp_path / "policy.tar.gz"
    archive.write_bytes(b"bundle")
    httpserver.expect_request(BUNDLES, method="POST").respond_with_json(ACTIVE | {"state": "RolledBack"})
    assert upload(archive, url=httpserver.url_for(""), token="t") == Exit.FAILED
    assert "rolled back for good: nothing has changed" in capsys.readouterr().err


def test_what_a_bundle_in_shadow_would_change_is_shown(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the decision, for `waypost decisions get`."""
    flip = {"kind": "refused", "action": "runs:submit", "tenant": "payments", "rules": ["image.banned"]}
    flip |= {"decision_id": "d1", "detail": ""}
    seen = {"compared": 5, "skipped": 2, "flips": {"refused": 1}, "latest": [flip]}
    for state, when in (("Shadow", "in shadow"), ("Canary", "while it was in shadow")):
        httpserver.expect_oneshot_request(f"{BUNDLES}/7").respond_with_json(
            BUNDLE | {"state": state, "shadow": seen}
        )
        assert bundles(7, url=httpserver.url_for(""), token="t") == Exit.DONE
        out = capsys.readouterr().out
        assert f"\n{when}: 5 decisions compared, 2 skipped; otherwise: 1 refused" in out
    assert all(word in out for word in ("image.banned", "payments", "d1"))


def test_an_upload_says_what_is_wrong_with_the_rules(
    httpserver: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Every line of it."""
    archive = tmp_path / "policy.tar.gz"
    archive.write_bytes(b"bundle")
    errors = [{"pointer": "", "detail": f"x.rego:{line}: bad"} for line in (4, 5)]
    problem = {"detail": "the rules cannot be used", "trace_id": "t1", "errors": errors}
    httpserver.expect_oneshot_request(BUNDLES, method="POST", data=b"bundle").respond_with_json(
        problem, status=422
    )
    assert upload(archive, url=httpserver.url_for(""), token="t") == Exit.USAGE
    err = capsys.readouterr().err
    assert "x.rego:4: bad" in err and "x.rego:5: bad" in err
    assert upload(tmp_path / "none", url=httpserver.url_for(""), token="t") == Exit.USAGE


def test_an_unknown_tenant_of_a_canary_is_warned_of(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error: the step is taken."""
    httpserver.expect_request(BUNDLES).respond_with_json(LIST)
    answer = BUNDLE | {"unknown_tenants": ["paymnets"]}
    httpserver.expect_request(f"{BUNDLES}/7/canary").respond_with_json(answer)
    assert canary(7, tenant=["paymnets"], url=httpserver.url_for(""), token="t") == Exit.DONE
    assert "no data has a tenant paymnets" in capsys.readouterr().err


def test_approvals_that_are_kept_after_a_rollback_are_shown(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever activates next is not surprised that others must approve."""
    httpserver.expect_request(BUNDLES).respond_with_json(LIST | {"approvals_kept": 2})
    assert bundles(url=httpserver.url_for(""), token="t") == Exit.DONE
    assert "the next canary or activation needs 2 approvals" in capsys.readouterr().out


def test_rules_that_were_rolled_back_and_those_not_in_force_are_warned_of(
    httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """At the step, and in the list: a release that was bad once looks like a new one."""
    bundle = ACTIVE | {"rolled_back_as": [5], "not_in_force": "revision 00ff decides"}
    listed = LIST | {"items": [bundle], "not_in_force": "revision 00ff decides"}
    httpserver.expect_request(BUNDLES).respond_with_json(listed)
    httpserver.expect_request(f"{BUNDLES}/7/activate", method="POST").respond_with_json(bundle)
    url = httpserver.url_for("")
    assert activate(7, url=url, token="t") == Exit.DONE
    assert capsys.readouterr().err == (
        "warning: its rules and data are those of bundle 5, rolled back\nwarning: revision 00ff decides\n"
    )
    assert bundles(url=url, token="t") == Exit.DONE
    out = capsys.readouterr().out
    assert "Active; as bundle 5, rolled back" in out and "warning: revision 00ff decides" in out
