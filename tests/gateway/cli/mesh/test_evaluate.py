"""Tests `waypost mesh evaluate`: what it decides of one request, and which requests it does not take."""

import json
import time
from pathlib import Path

import jwt
import pytest

from gateway.cli.mesh import evaluate
from gateway.mesh.request import Verdict
from tests.gateway.cli.mesh.test_services import ended
from tests.gateway.mesh.service_files import SHIPPED_SERVICES
from tests.opa_fixture import needs_opa

ISSUER = "https://login.example.com/realms/corporate"
CLAIMS = {"iss": ISSUER, "aud": "finance", "sub": "ann", "scope": "read:finance"}
AUDIT = "spiffe://cluster.local/ns/audit/sa/audit"
AT = ("evaluate", "finance", "--services", str(SHIPPED_SERVICES))
REQUEST = (*AT, "--method", "GET", "--path", "/ledger/q4", "--workload", AUDIT)


def token(**changes: object) -> str:
    return jwt.encode(CLAIMS | changes, "k" * 32, algorithm="HS256")


def test_who_fits_is_let_in(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*REQUEST, "--claims", json.dumps(CLAIMS)) == 0
    assert capsys.readouterr().out.splitlines() == [
        "allowed by audit",
        "Istio: allowed by AuthorizationPolicy finance: rule 0",
    ]
    assert ended(*REQUEST, "--token", token(exp=int(time.time()) + 600)) == 0


@needs_opa
@pytest.mark.integration
def test_an_opa_decides_alike() -> None:
    assert ended(*REQUEST, "--claims", json.dumps(CLAIMS), "--opa") == 0
    assert ended(*REQUEST, "--opa") == 3


def test_a_refusal_says_what_does_not_fit(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*REQUEST, "--claims", json.dumps(CLAIMS | {"scope": "other"}), "-o", "json") == 3
    printed = json.loads(capsys.readouterr().out)
    assert printed["rule"]["reasons"][0] == {"rule": "audit", "message": "audit: does not fit: scopes"}
    assert printed["istio"] == {"allow": False, "by": "AuthorizationPolicy: no rule allows it"}
    assert ended(*REQUEST) == 3
    assert "audit: does not fit: scopes, token" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("changes", "misfits"),
    [
        ({"iss": "https://other.example.com"}, "iss"),
        ({"aud": "other"}, "aud"),
        ({"sub": ""}, "sub"),
        ({"aud": "other", "sub": "", "scope": ""}, "aud, scopes, sub"),
    ],
)
def test_a_refusal_names_the_claims_that_do_not_fit(
    capsys: pytest.CaptureFixture[str], changes: dict[str, str], misfits: str
) -> None:
    """Who asks has a token at hand, and wants to know what to ask its issuer for."""
    assert ended(*REQUEST, "--claims", json.dumps(CLAIMS | changes)) == 3
    assert f"  audit: does not fit: {misfits}\n" in capsys.readouterr().out


def test_a_token_that_is_over_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert ended(*REQUEST, "--token", token(exp=int(time.time()) - 1)) == 3
    assert ended(*REQUEST, "--token", token(nbf=int(time.time()) + 600)) == 3
    assert "the token's nbf says that it is not valid now" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "code"),
    [
        ((*AT, "--path", "/ledger"), 2),
        ((*AT, "--method", "GET", "--path", "ledger"), 2),
        ((*AT, "--method", "GET", "--path", "/a/../ledger"), 2),
        ((*AT, "--method", "GET", "--path", "/a//ledger"), 2),
        ((*AT, "--method", "GET", "--path", "/%6cedger"), 2),
        ((*REQUEST, "--claims", "[]"), 2),
        ((*REQUEST, "--claims", "{}", "--token", "a.b.c"), 2),
        ((*REQUEST, "--token", "a.b.c"), 2),
        ((*REQUEST, "--port", "0"), 2),
        ((*AT, "--method", "GET", "--path", "/ledger", "--workload", "audit"), 2),
        (("evaluate", "ledger-database", *AT[2:], "--port", "5432", "--method", "GET"), 2),
        (("evaluate", "unknown", *AT[2:]), 4),
        ((*AT[:2], "--services", "nowhere"), 2),
    ],
    ids=lambda part: " ".join(part[4:]) if isinstance(part, tuple) else str(part),
)
def test_what_is_no_request_is_not_decided(words: tuple[str, ...], code: int) -> None:
    """A path that proxies change first would be decided otherwise than here."""
    assert ended(*words) == code


def test_a_tcp_port_knows_who_calls(capsys: pytest.CaptureFixture[str]) -> None:
    database = ("evaluate", "ledger-database", *AT[2:], "--port", "5432")
    assert ended(*database, "--workload", "spiffe://cluster.local/ns/finance/sa/finance") == 0
    assert ended(*database, "--workload", AUDIT) == 3


def test_where_rule_and_rendering_differ_it_fails(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Neither of them is believed."""
    monkeypatch.setattr(evaluate, "evaluate", lambda *_: Verdict(allow=True, by="a fault"))
    assert ended(*REQUEST) == 1
    assert "do not agree" in capsys.readouterr().err
