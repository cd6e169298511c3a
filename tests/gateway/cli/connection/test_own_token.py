"""Tests what a caller reads about a token that the gateway refused without a reason."""

import json
import time
from pathlib import Path

import jwt
import pytest
from pytest_httpserver import HTTPServer

from gateway.cli.errors import Exit
from gateway.cli.runs.listing import runs
from gateway.identity.development_issuer import DEVELOPMENT_ISSUER

ISSUER = "https://issuer.example"


PAST, FUTURE = int(time.time()) - 100, int(time.time()) + 900_000


def token(**claims: object) -> str:
    return jwt.encode({"iss": ISSUER, "aud": "waypost"} | claims, "k" * 32, "HS256")


@pytest.fixture
def refusing(httpserver: HTTPServer) -> HTTPServer:
    problem = {"detail": "no acceptable token", "trace_id": "ab" * 16}
    httpserver.expect_request("/v1/runs").respond_with_json(problem, status=401)
    return httpserver


@pytest.mark.parametrize(
    ("sent", "said", "hinted"),
    [
        (token(exp=PAST), "The token expired ", False),
        (token(exp=0), "expired", False),
        (token(exp=FUTURE, nbf=FUTURE - 9), "not valid before", False),
        (token(exp=FUTURE), f"of issuer '{ISSUER}' for audience 'waypost', and has not expired", False),
        (token(exp=PAST, iss=DEVELOPMENT_ISSUER), "The token expired ", True),
        (token(exp=FUTURE, iss=DEVELOPMENT_ISSUER), "only a gateway started with --dev", False),
        (token(exp=10**400), "The token's exp is 1000", False),
        (token(exp=float("inf")), "The token's exp is inf: a gateway takes whole seconds", False),
        (token(exp=FUTURE + 0.5), "a gateway takes whole seconds", False),
        (token(exp="soon"), "The token's exp is 'soon'", False),
        (token(exp=str(FUTURE)), "The token's exp is '", False),
        (token(exp=True), "The token's exp is True", False),
        (token(exp=[]), "The token's exp is []", False),
        (token(exp=FUTURE, nbf=float("nan")), "The token's nbf is nan", False),
        (token(exp=FUTURE, iat="yesterday"), "The token's iat is 'yesterday'", False),
        (token(), "The token has no exp", False),
        (token(exp=None), "The token's exp is None", False),
        ("nonsense", "not a JWT", False),
        ("a.b.c", "not a JWT", False),
        (None, "No token was sent", False),
    ],
)
def test_what_is_wrong_with_a_token_is_read_from_itself(
    sent: str | None, said: str, *, hinted: bool, refusing: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """And nobody is told to mint a development token for a gateway that takes none."""
    assert runs(url=refusing.url_for(""), token=sent) == Exit.REFUSED
    printed = capsys.readouterr().err
    assert said in printed
    assert ("mint --dev" in printed) == hinted


def test_the_gateway_of_this_folder_is_known_to_take_development_tokens(
    refusing: HTTPServer, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """There the hint helps."""
    (tmp_path / ".waypost").mkdir()
    context = {"url": refusing.url_for("").rstrip("/"), "development": str(tmp_path)}
    (tmp_path / ".waypost" / "context.json").write_text(json.dumps(context))
    assert runs(token=token(exp=1)) == Exit.REFUSED
    assert "mint --dev" in capsys.readouterr().err
    assert runs(url="http://127.0.0.1:9", token=token(exp=1)) == Exit.UNAVAILABLE


@pytest.mark.parametrize("status", [400, 401, 403, 404, 409, 422, 429, 500, 503])
def test_every_refusal_names_its_trace(
    status: int, httpserver: HTTPServer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Under it the gateway's log has more."""
    problem = {"detail": "no", "trace_id": "0af7651916cd43dd8448eb211c80319c"}
    httpserver.expect_request("/v1/runs").respond_with_json(problem, status=status)
    runs(url=httpserver.url_for(""), token="t")
    assert "trace 0af7651916cd43dd8448eb211c80319c" in capsys.readouterr().err
