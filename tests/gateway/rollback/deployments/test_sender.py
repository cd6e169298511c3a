"""Tests sending the request for a rollback: what is tried again, what is not, and that no secret is shown."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import stamina

from gateway.core.errors import Conflict
from gateway.core.rollback import ReleaseKind
from gateway.rollback.deployments.sender import SecretError, read_secret, send_rollback
from tests.gateway.rollback.deployments.deployment_world import KEY, TOKEN, a_deployment
from tests.gateway.rollback.rollbacks import NOW, a_rollback

ROLLBACK = a_rollback(
    id=1, kind=ReleaseKind.EXTERNAL, owner="shop", release="shop@1.2", returns_to="shop@1.1", revision="1.2"
)


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    stamina.set_testing(True, attempts=3)
    yield
    stamina.set_testing(False)


async def sent(*answers: Any, **changes: Any) -> tuple[int, list[httpx.Request]]:
    """Sends the request to a receiver that gives these answers, statuses or errors, one after the other."""
    requests, left = list[httpx.Request](), iter(answers)

    async def receive(request: httpx.Request) -> httpx.Response:
        requests.append(request)
        answer = next(left)
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer, headers={"location": "https://elsewhere.test/"})

    transport = httpx.MockTransport(receive)
    status = await send_rollback(a_deployment(**changes), ROLLBACK, clock=lambda: NOW, transport=transport)
    return status, requests


async def test_what_may_be_better_later_is_tried_again_with_the_same_key() -> None:
    status, requests = await sent(503, httpx.ConnectError("refused"), 202)
    assert status == 202
    assert len({request.headers["idempotency-key"] for request in requests}) == 1
    assert len(requests) == 3


@pytest.mark.parametrize(
    ("answers", "why"),
    [
        ([500, 502, 429], "the answer was 429, 3 times"),
        ([301], "the answer was 301"),
        ([307], "the answer was 307"),
        ([401], "the answer was 401"),
        ([404], "the answer was 404"),
        ([httpx.ReadTimeout("slow")] * 3, "it could not be sent: ReadTimeout"),
        ([httpx.ConnectError("refused")] * 3, "it could not be sent: ConnectError"),
        ([httpx.RemoteProtocolError("odd")] * 3, "it could not be sent: RemoteProtocolError"),
    ],
)
async def test_no_good_answer_is_a_failure_that_says_why(answers: list[Any], why: str) -> None:
    """Redirects are not followed: the request has a token."""
    with pytest.raises(Conflict) as failed:
        await sent(*answers)
    assert failed.value.detail == why


async def test_silence_ends_at_the_time_limit() -> None:
    async def never(_: httpx.Request) -> httpx.Response:
        await asyncio.Event().wait()
        raise AssertionError

    with pytest.raises(Conflict, match="it may have been done"):
        await send_rollback(
            a_deployment(seconds=0.05), ROLLBACK, clock=lambda: NOW, transport=httpx.MockTransport(never)
        )


@pytest.mark.parametrize("reference", ["env:NOT_THERE", "file:/not/there", "env:EMPTY", "env:TWO_LINES"])
async def test_without_its_secret_nothing_is_sent(monkeypatch: pytest.MonkeyPatch, reference: str) -> None:
    monkeypatch.setenv("EMPTY", " ")
    monkeypatch.setenv("TWO_LINES", "a\nb")
    for field in ("token", "key"):
        with pytest.raises(Conflict, match=r"the secret .* (is missing|cannot be read)"):
            await sent(**{field: reference})


@pytest.mark.parametrize("token", ['a"b', "a\\b", "a b", "ä"])
async def test_a_token_that_would_end_its_text_is_not_sent(
    monkeypatch: pytest.MonkeyPatch, token: str
) -> None:
    monkeypatch.setenv("SHOP_TOKEN", token)
    with pytest.raises(Conflict) as failed:
        await sent()
    assert token not in failed.value.detail


async def test_root_certificates_that_are_none_are_a_failure(tmp_path: Path) -> None:
    with pytest.raises(Conflict):
        await sent(ca=str(tmp_path / "none.pem"))


async def test_no_secret_is_in_an_error_or_the_log(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level("DEBUG"), pytest.raises(Conflict) as failed:
        await sent(503, 503, 503)
    shown = f"{failed.value!r}{failed.value.detail}{failed.value.__cause__!r}{caplog.text}"
    assert [secret for secret in (TOKEN, KEY) if secret in shown] == []


def test_a_secret_is_read_anew(tmp_path: Path) -> None:
    """So that it can be changed while the gateway runs."""
    file = tmp_path / "token"
    for secret in ("old", "new"):
        file.write_text(f"{secret}\n")
        assert read_secret(f"file:{file}") == secret
    file.write_text("x" * 20_000)
    with pytest.raises(SecretError):
        read_secret(f"file:{file}")
