"""Tests what a caller gets while the deciding OPA is unreachable or has the wrong identity."""

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from gateway.api.http.services import Services
from gateway.policy.opa.address import OpaAddress
from tests.gateway.api.callers import answered, caller_of
from tests.gateway.policy.opa.faulty_opa import faulty_opa
from waypost.pki import authority
from waypost.pki.certificates import (
    api_profile,
    certificate_pem,
    key_pem,
    new_key,
    read_certificate,
    read_key,
    signed,
)

EXPIRED_DAYS = -1 / 86_400
"""The lifetime, in days, of a certificate that expired a second ago."""


async def submitted(client: httpx.AsyncClient, document: dict[str, Any]) -> int:
    """Submits a document and returns the status; a refusal must say nothing of OPA."""
    answer = await client.post("/v1/runs", json=document)
    if answer.status_code != 202:
        assert (answer.status_code, answer.json()["detail"]) == (503, "policy could not answer")
    return answer.status_code


def certificate(folder: Path, host: str, *, days: float = 1) -> ssl.SSLContext:
    """Returns a TLS server context with a certificate for `host`, issued by the root in `folder`."""
    root, root_key, key = read_certificate(folder / "ca.pem"), read_key(folder / "ca.key"), new_key()
    issued = signed(api_profile([host]), key, root=root, root_key=root_key, days=days)
    (folder / "opa.pem").write_bytes(certificate_pem(issued) + key_pem(key))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "opa.pem")
    return context


@pytest.fixture
def roots(tmp_path: Path) -> Path:
    authority.create_root(tmp_path / "pki")
    return tmp_path / "pki"


async def test_an_opa_that_shows_the_right_certificate_decides(
    services: Services, document: dict[str, Any], roots: Path, tmp_path: Path
) -> None:
    """Only so are the others worth anything."""
    async with (
        faulty_opa(tmp_path, tls=certificate(roots, "localhost")) as opa,
        caller_of(services, opa.address, ca=roots / "ca.pem") as client,
    ):
        assert (await answered(client, "POST", "/v1/runs", json=document)).status_code == 202


@pytest.mark.parametrize("wrong", ["expired", "of another host", "of another root", "of a public root"])
async def test_an_opa_that_shows_a_wrong_certificate_gets_no_question(
    services: Services, document: dict[str, Any], roots: Path, tmp_path: Path, wrong: str
) -> None:
    """Whoever sits between could read each document, and permit it."""
    authority.create_root(tmp_path / "other")
    host = "opa.example" if wrong == "of another host" else "localhost"
    tls = certificate(roots, host, days=EXPIRED_DAYS if wrong == "expired" else 1)
    trusted = {"of another root": tmp_path / "other/ca.pem", "of a public root": None}
    async with (
        faulty_opa(tmp_path, tls=tls) as opa,
        caller_of(services, opa.address, ca=trusted.get(wrong, roots / "ca.pem")) as client,
    ):
        assert await submitted(client, document) == 503
        assert opa.paths == []


@asynccontextmanager
async def listening(answer: bytes | None) -> AsyncIterator[OpaAddress]:
    """Yields the https address of a server that sends `answer` instead of OPA's; None: it sends nothing."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if answer is not None:
            writer.write(answer)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield OpaAddress(host="127.0.0.1", port=server.sockets[0].getsockname()[1], tls=True)


@pytest.mark.parametrize("answer", [None, b"HTTP/1.1 200 OK\r\n\r\n", b"\x16\x03\x01"])
async def test_who_speaks_no_tls_gets_no_question(
    services: Services, document: dict[str, Any], answer: bytes | None
) -> None:
    """A handshake that does not end is within the deadline too."""
    async with listening(answer) as address, caller_of(services, address) as client:
        assert await submitted(client, document) == 503


@pytest.mark.parametrize("at", ["vanished", "a file", "a folder", "closed", "full"])
async def test_a_socket_that_nobody_answers_on_is_a_503(
    services: Services, document: dict[str, Any], tmp_path: Path, at: str
) -> None:
    """Until there is an OPA again: it is tried anew, without a restart."""
    path = tmp_path / "fake.sock"
    with socket.socket(socket.AF_UNIX) as bound:
        match at:
            case "a file":
                path.write_bytes(b"")
            case "a folder":
                path.mkdir()
            case "closed":
                bound.bind(str(path))
            case "full":
                bound.bind(str(path))
                bound.listen(0)
        async with caller_of(services, OpaAddress(socket=str(path))) as client:
            assert await submitted(client, document) == 503
            path.rmdir() if at == "a folder" else path.unlink(missing_ok=True)
            async with faulty_opa(tmp_path):
                assert (await answered(client, "POST", "/v1/runs", json=document)).status_code == 202


async def test_a_socket_that_vanishes_under_way_is_a_503(
    services: Services, document: dict[str, Any], tmp_path: Path
) -> None:
    """A connection that is kept to an OPA that has gone is no way to a permission."""
    async with caller_of(services, OpaAddress(socket=str(tmp_path / "fake.sock"))) as client:
        async with faulty_opa(tmp_path):
            assert (await answered(client, "POST", "/v1/runs", json=document)).status_code == 202
        assert await submitted(client, document) == 503


@pytest.mark.parametrize("error", [socket.gaierror(-2, "Name or service not known"), None])
async def test_a_name_that_is_not_resolved_is_a_503(
    services: Services, document: dict[str, Any], monkeypatch: pytest.MonkeyPatch, error: OSError | None
) -> None:
    """Also where the name service does not answer at all."""

    async def resolve(*_: object, **__: object) -> list[Any]:
        if error is None:
            await asyncio.Event().wait()
        raise error or AssertionError

    monkeypatch.setattr(asyncio.get_running_loop(), "getaddrinfo", resolve)
    async with caller_of(services, OpaAddress(host="opa.example", tls=True)) as client:
        assert await submitted(client, document) == 503
