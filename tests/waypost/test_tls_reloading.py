"""Tests that new connections use the certificates that the files hold by then, without a restart."""

import asyncio
import ssl
import sys
from collections.abc import Callable
from itertools import product
from pathlib import Path

import httpx
import pytest
from loguru import logger
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route

from tests.waypost.pki.test_authority import handshake
from waypost import tls
from waypost.egress.bounded_connections import BoundedTransport
from waypost.pki import authority, root_rotation
from waypost.serving import Server, run
from waypost.tls_reloading import (
    ReloadedContext,
    reload_certificates,
    reloaded_api_context,
    reloaded_client_context,
    reloaded_server_context,
)

NAME = tls.cluster_name("beijing")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    authority.create_root(tmp_path)
    authority.issue_gateway(tmp_path)
    authority.issue_cluster(tmp_path, "beijing")
    return tmp_path


def ends(folder: Path) -> tuple[ReloadedContext, ReloadedContext]:
    """Returns the contexts of a cluster and of a gateway with the certificates in a folder."""
    server = reloaded_server_context(tls.cluster_credentials(folder, "beijing"))
    return server, reloaded_client_context(tls.gateway_credentials(folder))


def shown_by(server: ssl.SSLContext, folder: Path) -> bytes:
    """Returns the certificate (DER) that a server shows in a handshake."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = tls.client_context(tls.gateway_credentials(folder)).wrap_bio(
        to_client, to_server, server_hostname=NAME
    )
    serving = server.wrap_bio(to_server, to_client, server_side=True)
    for end in (client, serving, client):
        try:
            end.do_handshake()
        except ssl.SSLWantReadError:
            continue
    return client.getpeercert(binary_form=True) or b""


def der(path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert(path.read_text())


def test_new_connections_show_the_new_certificate_after_a_reload(folder: Path) -> None:
    server, _ = ends(folder)
    path = tls.cluster_credentials(folder, "beijing").certificate
    before = der(path)
    assert not server.reload()
    authority.issue_again(folder, "clusters/beijing")

    assert shown_by(server, folder) == before
    assert server.reload()
    assert shown_by(server, folder) == der(path) != before
    assert not server.reload()


def test_at_each_step_of_a_roots_exchange_all_know_each_other(folder: Path) -> None:
    """Whichever process reads its files first: each is still as it was before the step, or reloaded."""
    for step in (
        root_rotation.trust_new_root,
        root_rotation.issue_from_new_root,
        root_rotation.retire_old_root,
    ):
        before = ends(folder)
        step(folder)
        after = ends(folder)
        for server, client in product((before[0], after[0]), (before[1], after[1])):
            handshake(server, client, NAME)


def test_after_a_roots_exchange_the_old_one_is_not_trusted(folder: Path, tmp_path: Path) -> None:
    (server, client), old = ends(folder), ends(folder)
    for step in (
        root_rotation.trust_new_root,
        root_rotation.issue_from_new_root,
        root_rotation.retire_old_root,
    ):
        step(folder)
        assert server.reload()
        assert client.reload()
        handshake(server, client, NAME)

    for ours in ((server, old[1]), (old[0], client)):
        with pytest.raises(ssl.SSLError):
            handshake(*ours, NAME)


def test_half_a_pair_changes_nothing_and_is_told_once(folder: Path) -> None:
    """Two files cannot be replaced in one go."""
    server, client = ends(folder)
    credentials = tls.cluster_credentials(folder, "beijing")
    key, certificate = credentials.key.read_bytes(), credentials.certificate.read_bytes()
    authority.issue_again(folder, "clusters/beijing")
    new = credentials.certificate.read_bytes()
    credentials.certificate.write_bytes(certificate)

    log = list[str]()
    listening = logger.add(log.append, format="{message}")
    assert not server.reload()
    assert not server.reload()
    logger.remove(listening)
    assert [line for line in log if "cannot be used" in line] == [log[-1]]
    assert key.decode() not in log[-1]
    handshake(server, client, NAME)

    credentials.certificate.write_bytes(new)
    assert server.reload()
    handshake(server, client, NAME)


@pytest.mark.parametrize("name", ["gateway.pem", "gateway.key", "ca.pem"])
def test_a_file_that_is_gone_changes_nothing(folder: Path, name: str) -> None:
    server, client = ends(folder)
    (folder / name).unlink()

    assert not client.reload()
    handshake(server, client, NAME)


@pytest.mark.parametrize(
    ("method", "error"), [("exists", PermissionError(13, "Permission denied")), ("stat", FileNotFoundError())]
)
def test_a_folder_that_cannot_be_read_changes_nothing(
    folder: Path, monkeypatch: pytest.MonkeyPatch, method: str, error: OSError
) -> None:
    """A folder that is closed for a moment, or a file that goes while it is read, must end no process."""
    _, client = ends(folder)
    authority.issue_again(folder, "gateway")
    real = getattr(Path, method)

    def failing(path: Path, **options: object) -> object:
        if path.suffix == ".key" and sys._getframe(1).f_code.co_name != "_state":
            raise error
        return real(path, **options)

    with monkeypatch.context() as patched:
        patched.setattr(Path, method, failing)
        assert not client.reload()
    assert client.reload()


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
def test_servers_and_pools_of_connections_take_it_over(folder: Path, loop: str) -> None:
    """The gateway's pool and a cluster's server, on both kinds of event loop that they run on."""

    async def main() -> list[str]:
        server_tls, client_tls = ends(folder)
        app = Starlette(routes=[Route("/", lambda _: PlainTextResponse("ok"))])
        limits = httpx.Limits(max_keepalive_connections=0)
        async with (
            Server(app, host="127.0.0.1", port=0, tls=server_tls) as server,
            httpx.AsyncClient(transport=BoundedTransport(tls=client_tls, limits=limits)) as client,
        ):
            answers = []
            for step in (
                lambda _: None,
                root_rotation.trust_new_root,
                root_rotation.issue_from_new_root,
                root_rotation.retire_old_root,
            ):
                step(folder)
                server_tls.reload()
                client_tls.reload()
                url = f"https://127.0.0.1:{server.port}/"
                answers.append((await client.get(url, extensions={"sni_hostname": NAME})).text)
            return answers

    assert run(main(), loop=loop) == ["ok"] * 4  # type: ignore[arg-type]  # one of two literals


def test_the_apis_certificate_is_followed_too(folder: Path) -> None:
    credentials = authority.issue_api(folder, ["localhost"])
    context = reloaded_api_context(credentials.certificate, credentials.key)
    authority.issue_again(folder, "api")

    assert context.reload()


async def reloading(context: ReloadedContext, on_change: Callable[[], None]) -> asyncio.Task[None]:
    return asyncio.create_task(reload_certificates([context], on_change=on_change, seconds=0.001))


async def test_what_shows_a_change_is_called_until_it_can(folder: Path) -> None:
    """A file may be replaced once more just then; the gateway must not end by that."""
    server, _ = ends(folder)
    called, done = list[int](), asyncio.Event()

    def show() -> None:
        called.append(1)
        if len(called) < 3:
            raise tls.PkiError("gateway.pem cannot be read")
        done.set()

    task = await reloading(server, show)
    authority.issue_again(folder, "clusters/beijing")
    async with asyncio.timeout(10):
        await done.wait()
    task.cancel()
    assert len(called) == 3
