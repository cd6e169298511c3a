"""Tests a stack whose policy is decided by a real OPA, also during an outage of OPA."""

import asyncio
import json
import os
import shutil
import signal
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from gateway.cli.dev.stack import Stack
from gateway.cli.errors import Exit
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


async def test_four_eyes_exceptions_and_the_trail_hold_where_opa_decides(tmp_path: Path) -> None:
    """As docs/policy.md tells it; what each act was is in the sealed trail, and its loss is found."""
    rules, release = tmp_path / "rules", str(tmp_path / "release.tar.gz")
    shutil.copytree(SHIPPED_POLICIES, rules)
    (rules / "house" / "closed.rego").write_text(CLOSED)
    data = json.loads((rules / "data.json").read_text())
    data["security"]["approvals"] = 1
    (rules / "data.json").write_text(json.dumps(data | {"levels": {"closed": "soft"}}))
    async with Stack(tmp_path / "state", REGIONS[:1], opa=OPA) as stack:
        key = str(stack.state / "opa" / "policy.key")

        async def released(sequence: str) -> int:
            await waypost(stack, "policy", "build", str(rules), "-f", release, "--sequence", sequence)
            await waypost(stack, "policy", "sign", release, "--key", key)
            assert await waypost(stack, "policy", "upload", release) == (0, "")
            return (await waypost(stack, "policy", "activate", sequence))[0]

        assert await released("1") == Exit.DONE  # the rules before it ask for no approval
        assert await released("2") == Exit.WAITING
        assert (await waypost(stack, "policy", "approve", "2"))[0] == Exit.REFUSED
        assert await waypost(stack, "policy", "approve", "2", subject="bob") == (0, "")

        code, said = await submits(stack)
        assert code == Exit.REFUSED and "asks for an exception" in said
        asking = ("ask", "closed", "--ticket", "OPS-7", "--reason", "urgent", "--expires", "1d")
        _, asked, _ = await ran(stack, "policy", "exceptions", *asking, "-o", "name", subject="dev")
        approving = ("policy", "exceptions", "approve", asked.strip())
        assert (await waypost(stack, *approving, subject="dev"))[0] == Exit.REFUSED
        assert "1 more must approve" in str(await ran(stack, *approving, subject="cat"))
        assert (await submits(stack))[0] == Exit.REFUSED
        assert "Active" in str(await ran(stack, *approving, subject="bob"))
        code, warned = await submits(stack)
        assert code == Exit.DONE and asked.strip() in warned

        _, trail, _ = await ran(stack, "audit", "export", subject="ada")
        lines, public = trail.splitlines(keepends=True), str(stack.state / "audit.pub.pem")
        for name, text, found in (("all", lines, 0), ("cut", [*lines[:2], *lines[3:]], 1)):
            (tmp_path / name).write_text("".join(text))
            verify = ("audit", "verify", str(tmp_path / name), "--key", public)
            assert (await ran(stack, *verify, subject="ada"))[0] == found


async def submits(stack: Stack) -> tuple[int, str]:
    """Submits by the command line; returns the exit code and the error output."""
    return await waypost(stack, "submit", str(ROOT / "examples" / "hello.yaml"), "--param", "who=you")


async def waypost(stack: Stack, *words: str, subject: str = "ada") -> tuple[int, str]:
    """Runs `waypost ...` as a security operator; returns the exit code and the error output."""
    code, _, err = await ran(stack, *words, subject=subject)
    return code, err


async def ran(stack: Stack, *words: str, subject: str) -> tuple[int, str, str]:
    """Runs `waypost ...` as an operator of security and of tenants; returns exit code, output and errors."""
    token = mint_token(
        stack.state / "development",
        subject=subject,
        tenant="demo",
        scopes=(
            *("workflows:submit", "policy:operate", "policy:read", "audit:read"),
            *("exceptions:ask", "exceptions:approve", "workflows:read"),
        ),
        groups=("/waypost/security", "/waypost/operators"),
    )
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "gateway", *words),
        env={**os.environ, "WAYPOST_URL": stack.url, "WAYPOST_TOKEN": token},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode or 0, out.decode(), err.decode()
