"""Tests calls of OPA by https under a private root, and with a bearer token."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import msgspec
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from gateway.policy.opa.address import OpaAddress
from gateway.policy.opa.engine import OpaPolicyEngine
from tests.conformance.policy_engine import submission
from tests.gateway.policy.opa.faulty_opa import PROVENANCE, body_of
from waypost import tls, tls_reloading
from waypost.pki import authority
from waypost.serving import Server
from waypost.tls import PkiError


@asynccontextmanager
async def opa_by_https(folder: Path) -> AsyncIterator[OpaAddress]:
    """Runs a fake OPA under the root in `folder` that answers only to the token `secret`."""
    authority.create_root(folder)
    credentials = authority.issue_api(folder, ["127.0.0.1"])

    async def decide(request: Request) -> Response:
        permitted = request.headers["authorization"] == "Bearer secret"
        # Its bundle has no rules for numbered questions.
        clear = (
            msgspec.json.encode({"provenance": PROVENANCE}) if "/batch/" in request.url.path else body_of()
        )
        content = clear if permitted else b""
        return Response(content, 200 if permitted else 401, media_type="application/json")

    context = tls.api_context(credentials.certificate, credentials.key)
    routes = [Route("/v1/data/{rule:path}", decide, methods=["POST"])]
    async with Server(Starlette(routes=routes), host="127.0.0.1", port=0, tls=context) as server:
        yield OpaAddress(host="127.0.0.1", port=server.port, tls=True)


async def test_an_opa_under_a_root_of_ones_own_is_asked_with_the_token(tmp_path: Path) -> None:
    """OPA's own way to know its callers is `--authentication=token`."""
    async with (
        opa_by_https(tmp_path) as address,
        OpaPolicyEngine(address, ca=str(tmp_path / "ca.pem"), token="secret", deadline_seconds=10) as engine,
    ):
        assert (await engine.decide(submission())).allow is True


async def test_an_opa_of_an_unknown_root_decides_nothing(tmp_path: Path) -> None:
    """Anybody on the way could permit everything; the log says that it is the certificate."""
    async with (
        opa_by_https(tmp_path) as address,
        OpaPolicyEngine(address, token="secret", deadline_seconds=10) as engine,
    ):
        decision = await engine.decide(submission())
    assert decision.allow is False
    assert "CERTIFICATE_VERIFY_FAILED" in decision.fault


async def test_a_root_that_is_exchanged_needs_no_restart(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """OPA gets a certificate of a new root, which is trusted once it is in the file."""
    monkeypatch.setattr(tls_reloading, "RELOAD_SECONDS", 0.001)
    authority.create_root(tmp_path / "old")
    trusted = tmp_path / "trusted.pem"
    trusted.write_bytes((tmp_path / "old" / "ca.pem").read_bytes())
    async with (
        opa_by_https(tmp_path) as address,
        OpaPolicyEngine(address, ca=str(trusted), token="secret", deadline_seconds=10) as engine,
    ):
        assert "CERTIFICATE_VERIFY_FAILED" in (await engine.decide(submission())).fault
        trusted.write_bytes((tmp_path / "ca.pem").read_bytes())
        while (await engine.decide(submission())).allow is not True:
            await asyncio.sleep(0)


async def test_a_root_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    """As any other file of the settings."""
    address = OpaAddress(host="127.0.0.1", tls=True)
    with pytest.raises(PkiError, match="cannot read"):
        await OpaPolicyEngine(address, ca=str(tmp_path / "no.pem")).__aenter__()
