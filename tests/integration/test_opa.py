"""Tests a stack whose policy is decided by a real OPA, also during an outage of OPA."""

import asyncio
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from gateway.identity.development_issuer import mint_token
from gateway.policy.bundle import SHIPPED_POLICIES, read_bundle
from tests.integration.conftest import QUICK_RETURN, REGIONS, noting, rows
from tests.integration.waiting import ended, submitted, taking_work, until
from tests.opa_fixture import OPA, needs_opa

ROOT = Path(__file__).parents[2]
CLOSED = """package waypost.house

submit contains {"rule": "closed", "message": "closed today"}
"""
pytestmark = [needs_opa, pytest.mark.integration]


@pytest.fixture
async def stack(tmp_path: Path) -> AsyncIterator[Stack]:
    async with Stack(tmp_path / "stack", REGIONS, settings=QUICK_RETURN, opa=OPA, shared=[tmp_path]) as stack:
        yield stack


async def readiness(stack: Stack) -> httpx.Response:
    async with httpx.AsyncClient(base_url=stack.metrics_url, timeout=10) as inside:
        return await inside.get("/readyz?verbose")


async def test_runs_end_whatever_becomes_of_opa(
    stack: Stack, client: httpx.AsyncClient, tmp_path: Path
) -> None:
    """What is accepted ends while OPA is away; nothing is accepted then; afterwards all is as before."""
    revision = read_bundle(SHIPPED_POLICIES, None).revision
    await taking_work(client, REGIONS)
    assert f"[+] policy: revision {revision}, opa+unix:" in (await readiness(stack)).text

    run = await submitted(client, noting(tmp_path / "log", 0.2, "a", "b"))
    stack.kill("opa")
    await stack.processes["opa"].wait()
    refused = await client.post("/v1/runs", json=noting(tmp_path / "other", 0, "a"))
    assert (refused.status_code, refused.json()["reason"]) == (503, "Unavailable")
    assert (await readiness(stack)).status_code == 503

    # Reads are asked of policy too, so the run is looked at once OPA is back.
    await stack.start_opa()
    assert (await ended(client, run))["phase"] == "Succeeded"
    stack.signal("opa", signal.SIGSTOP)
    refused = await client.post("/v1/runs", json=noting(tmp_path / "other", 0, "a"))
    assert refused.status_code == 503
    stack.signal("opa", signal.SIGCONT)

    async def accepted() -> bool:
        answer = await client.post("/v1/runs", json=noting(tmp_path / "other", 0, "a"))
        return answer.is_success

    assert await until(accepted)
    assert await until(lambda: is_ready(stack))
    engines = rows(
        stack.state / "gateway.db", "select distinct json_extract(state, '$.engine') from decision"
    )
    assert engines == [("opa",)]


async def is_ready(stack: Stack) -> bool:
    return (await readiness(stack)).is_success


async def test_what_is_released_decides_until_it_is_taken_back(tmp_path: Path) -> None:
    """By the command line; OPA fetches each release from the gateway, also the first one."""
    async with Stack(tmp_path / "state", REGIONS[:1], opa=OPA) as stack:
        assert await submits(stack) == (0, "")
        shutil.copytree(SHIPPED_POLICIES, tmp_path / "rules")
        (tmp_path / "rules" / "house" / "closed.rego").write_text(CLOSED)
        release, key = str(tmp_path / "release.tar.gz"), str(stack.state / "opa" / "policy.key")
        for step in (
            ("build", str(tmp_path / "rules"), "-f", release, "--sequence", "1"),
            ("sign", release, "--key", key),
            ("upload", release),
            ("activate", "1"),
        ):
            assert (await waypost(stack, "policy", *step))[0] == 0, step
        code, said = await submits(stack)
        assert code != 0 and "closed today" in said
        assert (await waypost(stack, "policy", "rollback", "1"))[0] == 0
        assert await submits(stack) == (0, "")


async def submits(stack: Stack) -> tuple[int, str]:
    """Submits by the command line; returns the exit code and the error output."""
    return await waypost(stack, "submit", str(ROOT / "examples" / "hello.yaml"), "--param", "who=you")


async def waypost(stack: Stack, *words: str) -> tuple[int, str]:
    """Runs `waypost ...` as a security operator; returns the exit code and the error output."""
    token = mint_token(
        stack.state / "development",
        subject="ada",
        tenant="demo",
        scopes=("workflows:submit", "policy:operate", "policy:read"),
        groups=("/waypost/security",),
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        env={**os.environ, "WAYPOST_URL": stack.url, "WAYPOST_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    _, err = await process.communicate()
    return process.returncode or 0, err.decode()
